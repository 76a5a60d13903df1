"""What operators do to incidents and runs: each asks first, then sends, under the operator's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ringwatch_proto.records import Incident
from ringwatch_tui.session import Session
from ringwatch_tui.state.format import plural
from ringwatch_tui.state.model import Run, RunStep
from ringwatch_tui.state.text import clip
from ringwatch_tui.views.lines import BLANK, DIM, STRONG, WARN, Build, Line, Span, labelled, line, paragraph
from ringwatch_tui.views.run import book_lines

# So many incidents are named in a dialog; the number says the rest.
_LISTED: Final = 12


class Ask(Protocol):
    """Puts a question to the operator; None means that there was no answer."""

    async def text(
        self,
        title: str,
        build: Build,
        *,
        placeholder: str = "",
        expected: str | None = None,
        required: bool = False,
    ) -> str | None:
        """Ask for a text."""
        ...

    async def choice(self, title: str, build: Build, options: Sequence[tuple[str, str]]) -> str | None:
        """Ask for one of several things."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What an operation works with."""

    session: Session
    ask: Ask
    user: str
    open: Callable[[str, str], None]


IncidentOperation = Callable[[Desk, Incident], Awaitable[None]]
# Takes all that are marked, after one dialog that lists them.
SeveralOperation = Callable[[Desk, Sequence[Incident]], Awaitable[None]]
RunOperation = Callable[[Desk, Run, RunStep], Awaitable[None]]
SILENCES: Final = (("900", "15 minutes"), ("3600", "1 hour"), ("14400", "4 hours"), ("86400", "1 day"))


def _about(incidents: Sequence[Incident], *more: str) -> Build:
    def build(cells: int) -> list[Line]:
        out: list[Line] = []
        for incident in incidents[:_LISTED]:
            text = f"{incident.id}  {incident.summary}"
            alone = len(incidents) == 1
            out.extend(paragraph(text, cells, STRONG) if alone else [line(Span(clip(text, cells), STRONG))])
        if len(incidents) > _LISTED:
            out.append(line(Span(f"and {len(incidents) - _LISTED:,} more", WARN)))
        for text in more:
            out.extend(paragraph(text, cells, DIM))
        return out

    return build


def _called(incidents: Sequence[Incident]) -> str:
    return incidents[0].id if len(incidents) == 1 else plural(len(incidents), "incident")


async def _act(
    desk: Desk, incidents: Sequence[Incident], action: str, text: str, silence_s: float = 0.0
) -> None:
    """Say the same about each, one after the other; tell how many took it."""
    done = [await desk.session.act(each.id, action, desk.user, text, silence_s) for each in incidents]
    if len(done) > 1:
        failed = done.count(False)
        tail = f"; {failed} did not take it" if failed else ""
        said = f"{action} by {desk.user}: {plural(done.count(True), 'incident')}{tail}"
        desk.session.say(said, "fault" if failed else "info")


async def acknowledge(desk: Desk, incidents: Sequence[Incident]) -> None:
    """Say that somebody sees to it; a comment may go with it."""
    told = _about(incidents, "Tells everybody that you see to this. It pages nobody further.")
    text = await desk.ask.text(
        f"Acknowledge {_called(incidents)}", told, placeholder="comment (may be empty)"
    )
    if text is not None:
        await _act(desk, incidents, "acknowledge", text)


async def own(desk: Desk, incidents: Sequence[Incident]) -> None:
    """Make it one's own; several only after a look at which."""
    if len(incidents) > 1:
        title = f"Own {_called(incidents)}"
        yes = await desk.ask.choice(title, _about(incidents), [("yes", "make all of them mine")])
        if yes is None:
            return
    await _act(desk, incidents, "own", "")


async def note(desk: Desk, incidents: Sequence[Incident]) -> None:
    """Write a note."""
    text = await desk.ask.text(
        f"Note on {_called(incidents)}",
        _about(incidents),
        placeholder="what others should know",
        required=True,
    )
    if text is not None:
        await _act(desk, incidents, "note", text)


async def silence(desk: Desk, incidents: Sequence[Incident]) -> None:
    """Silence it for a time, with a reason."""
    told = _about(incidents, "A silenced incident pages nobody; it goes on in the list.")
    seconds = await desk.ask.choice(f"Silence {_called(incidents)} for", told, SILENCES)
    if seconds is None:
        return
    reason = await desk.ask.text(f"Silence {_called(incidents)}", told, placeholder="reason", required=True)
    if reason is not None:
        await _act(desk, incidents, "silence", reason, float(seconds))


async def resolve(desk: Desk, incident: Incident) -> None:
    """Close it by hand, with a reason."""
    still = "The signal is still seen: it will open again." if incident.active else "The signal is gone."
    reason = await desk.ask.text(
        f"Resolve {incident.id}", _about((incident,), still), placeholder="what fixed it", required=True
    )
    if reason is not None:
        await desk.session.act(incident.id, "resolve", desk.user, reason)


async def runbook(desk: Desk, incident: Incident) -> None:
    """Open the incident's run, or choose a runbook and start it."""
    if incident.run:
        desk.open("run", incident.run)
        return
    if not incident.runbooks:
        desk.session.say(f"{incident.id}: no runbook fits this kind of incident", "warn")
        return
    books = {book.id: book for book in desk.session.state.runbooks}
    first = books.get(incident.runbooks[0])

    def told(cells: int) -> list[Line]:
        head = paragraph(f"{incident.id}  {incident.summary}", cells, STRONG)
        lead = "Starting a run only reads. Each step that changes anything waits for your approval."
        out = [*head, BLANK, *paragraph(lead, cells, DIM), BLANK]
        return [*out, *book_lines(first, cells), BLANK] if first is not None else out

    options = [
        (id, f"start {id}" + (f"  {books[id].title}" if id in books else "")) for id in incident.runbooks
    ]
    chosen = await desk.ask.choice("Runbook", told, options)
    if chosen is None:
        return
    run = await desk.session.start_run(incident.id, chosen, desk.user)
    if run is not None:
        desk.open("run", run.id)


def _plan(run: Run, step: RunStep) -> Build:
    def build(cells: int) -> list[Line]:
        out = paragraph(step.title, cells, STRONG)
        for label, text in (
            ("COMMAND", step.command),
            ("EFFECT", step.effect),
            ("UNDO", step.undo),
            ("RISK", step.risk),
        ):
            out.extend(labelled(label, text, cells) if text else [])
        if step.typed_target:
            out.extend(
                [BLANK, line(Span("type  ", DIM), Span(step.typed_target, STRONG), Span("  to approve", DIM))]
            )
        for rule in run.never:
            out.extend(labelled("NEVER", rule, cells, mark=WARN))
        return out

    return build


async def approve(desk: Desk, run: Run, step: RunStep) -> None:
    """Approve a step by typing its target."""
    expected = step.typed_target or None
    text = await desk.ask.text(
        "Approve", _plan(run, step), placeholder="the target" if expected else "comment", expected=expected
    )
    if text is not None:
        await desk.session.answer(run.id, step.id, "approve", text, desk.user)


async def dry_run(desk: Desk, run: Run, step: RunStep) -> None:
    """Ask what a step would do."""
    await desk.session.answer(run.id, step.id, "dry_run", "", desk.user)


async def skip(desk: Desk, run: Run, step: RunStep) -> None:
    """Skip a step, with a reason."""
    reason = await desk.ask.text("Skip step", _plan(run, step), placeholder="reason", required=True)
    if reason is not None:
        await desk.session.answer(run.id, step.id, "skip", reason, desk.user)


async def retry(desk: Desk, run: Run, step: RunStep) -> None:
    """Try a step again."""
    await desk.session.answer(run.id, step.id, "retry", "", desk.user)


async def answer(desk: Desk, run: Run, step: RunStep) -> None:
    """Answer the question of a step."""
    if step.state == "waiting" and step.typed_target and not step.options:
        await approve(desk, run, step)
        return
    question = step.question or step.title
    if not step.options:
        await _answer_freely(desk, run, step, question)
        return
    options = [(option, option) for option in step.options]
    chosen = await desk.ask.choice(
        "Question", lambda cells: [*paragraph(question, cells, STRONG), BLANK], options
    )
    if chosen is not None:
        await desk.session.answer(run.id, step.id, "answer", chosen, desk.user)


async def _answer_freely(desk: Desk, run: Run, step: RunStep, question: str) -> None:
    if step.kind != "ask":
        desk.session.say("this step asks nothing")
        return
    text = await desk.ask.text("Question", lambda cells: paragraph(question, cells, STRONG), required=True)
    if text is not None:
        await desk.session.answer(run.id, step.id, "answer", text, desk.user)


async def abort(desk: Desk, run: Run, step: RunStep) -> None:
    """End a run; the word has to be typed."""
    told = "Ends the run where it is. What was done stays done."

    def build(cells: int) -> list[Line]:
        return [
            *paragraph(run.title, cells, STRONG),
            *paragraph(told, cells, DIM),
            line(Span("type  ", DIM), Span("abort", STRONG)),
        ]

    text = await desk.ask.text("Abort run", build, placeholder="abort", expected="abort")
    if text is not None:
        await desk.session.answer(run.id, step.id, "abort", "", desk.user)


INCIDENT_OPERATIONS: Final[dict[str, IncidentOperation]] = {
    "resolve": resolve,
    "runbook": runbook,
}
SEVERAL_OPERATIONS: Final[dict[str, SeveralOperation]] = {
    "acknowledge": acknowledge,
    "own": own,
    "note": note,
    "silence": silence,
}
RUN_OPERATIONS: Final[dict[str, RunOperation]] = {
    "approve": approve,
    "dry_run": dry_run,
    "skip": skip,
    "retry": retry,
    "answer": answer,
    "abort": abort,
}
ALL: Final = frozenset({*INCIDENT_OPERATIONS, *SEVERAL_OPERATIONS, *RUN_OPERATIONS})
