"""Steps that people answer, and the ends of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.records import IncidentState
from ringwatch_runbooks import history, render
from ringwatch_runbooks.model import Ask, End, Escalate
from ringwatch_runbooks.moves import ended, finished, waiting
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World

HANDED_OVER: Final = "handed over"
STATES: Final[dict[str, str]] = {
    "resolved": "succeeded",
    "mitigated": "mitigated",
    "no_fault": "no_fault",
    "redirect": "redirected",
    "handed_over": "handed_over",
}


def with_look(world: World, run: RunRecord, step: Ask) -> RunRecord:
    """Return the run with the command that helps to answer, each name quoted as one word."""
    record = run.step(step.id)
    if not step.look or record.command:
        return run
    try:
        command = render.command(step.look, world.parameters(run))
    except RunbookError as error:
        command = f"(cannot be shown: {error})"
    return run.with_step(replace(record, command=command))


def answer(run: RunRecord, step: Ask, text: str, author: str, now_s: float) -> RunRecord:
    """Take an answer to a question; raise ValueError when it is not among the options."""
    option = next((each for each in step.options if each.answer == text), None)
    if option is None:
        raise ValueError(f"the answers are {', '.join(each.answer for each in step.options)}")
    return ended(run, option.goto, now_s, state="done", outcome=text, by=author)


def take_over(run: RunRecord, step: Escalate, text: str, author: str, now_s: float) -> RunRecord:
    """Take the word of a person that others have it now; the text may name a ticket."""
    outcome = text.strip()[:200] or HANDED_OVER
    return ended(run, step.then, now_s, state="done", outcome=outcome, by=author)


async def end(world: World, run: RunRecord, step: End) -> RunRecord:
    """End the run; a repair closes the incident, which refuses while its signal is still seen."""
    if run.step(step.id).state == "waiting":
        return run
    incident = world.incident(run)
    text = f"{run.id}: {step.note}"
    if step.outcome == "resolved" and incident is not None and incident.state is not IncidentState.RESOLVED:
        book = world.library.runbooks[run.runbook]
        missing = history.missing_to_close(run, book, world.library)
        if missing:
            return waiting(run, "refused", world.clock.now_s(), f"cannot be closed: {missing}")
        try:
            await world.incidents.resolve(run.incident, _actor(run), text)
        except ValueError as error:
            return waiting(run, "refused", world.clock.now_s(), f"cannot be closed: {error}")
    elif incident is not None and step.outcome != "resolved":
        await world.incidents.note(run.incident, _actor(run), text)
    return closed(run, step, world.clock.now_s())


def closed(run: RunRecord, step: End, now_s: float) -> RunRecord:
    """Return the run at its end."""
    note = step.note + (f" Next: runbook {step.runbook}." if step.runbook else "")
    record = replace(run.step(step.id), state="done", phase="", outcome=step.outcome, ended_s=now_s)
    return finished(run.with_step(record), STATES[step.outcome], note, now_s)


def retry_end(run: RunRecord, step: End, now_s: float) -> RunRecord:
    """Try to end again."""
    record = replace(run.step(step.id), state="running", phase="", why="", since_s=now_s)
    return replace(run, state="running").with_step(record)


def _actor(run: RunRecord) -> str:
    """Return who is answerable for the end: the last person who moved the run."""
    people = [run.step(step_id).by for step_id in run.path if run.step(step_id).by]
    return people[-1] if people else run.started_by
