"""What is said about a runbook run: the steps, the one it is at, its checks, and what it printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ringwatch_tui.state.format import age, clock, mmss
from ringwatch_tui.state.model import Fact, Run, Runbook, RunStep
from ringwatch_tui.state.text import clip, pad, wrap
from ringwatch_tui.views.lines import (
    BLANK,
    DIM,
    FAULT,
    HEAD,
    INFO,
    STRONG,
    WARN,
    Column,
    Line,
    Row,
    Section,
    Span,
    Table,
    labelled,
    line,
    paragraph,
)
from ringwatch_tui.views.marks import STEP_STATE

STEP_LEGEND: Final = "ok done  >> waits for you  .. running  !! failed  -- skipped"
_ENDS: Final[dict[str, tuple[str, str]]] = {
    "succeeded": ("SUCCEEDED", STRONG),
    "mitigated": ("MITIGATED", STRONG),
    "no_fault": ("NO FAULT FOUND", STRONG),
    "redirected": ("REDIRECTED", INFO),
    "handed_over": ("HANDED OVER", INFO),
    "failed": ("FAILED", FAULT),
    "aborted": ("ABORTED", WARN),
    "running": ("RUNNING", INFO),
    "waiting": ("WAITING", WARN),
}


def state_span(run: Run) -> Span:
    """Return the state of a run as a word that cannot be overlooked."""
    text, mark = _ENDS.get(run.state, (run.state.upper(), ""))
    return Span(text, mark)


def waits_for(step: RunStep | None) -> str:
    """Return what the open step wants from a person, in a few words."""
    if step is None or step.state != "waiting":
        return ""
    if step.kind == "ask":
        return "an answer"
    if step.options:
        return "your word how it went"
    if step.kind == "action":
        return "approval"
    return "your decision"


def headline(run: Run, target: str) -> Line:
    """Return the run in one line; ``target`` is what people call its target."""
    step = run.open_step
    place = next((index for index, each in enumerate(run.steps, 1) if each is step), 0)
    wants = waits_for(step)
    return line(
        Span(f"run {run.id}", STRONG),
        "  ",
        state_span(run),
        Span(f" for {wants}" if wants else "", WARN),
        Span(f"  step {place}/{len(run.steps)}" if place else "", DIM),
        Span(f"  on {target}" if run.target.kind != "none" else ""),
        Span(f"  started {clock(run.started_s)} by {run.started_by}", DIM),
    )


_STEPS = (
    Column(key="mark", title="", cells=2),
    Column(key="number", title="", cells=2, align="right"),
    Column(key="title", title="", cells=36, flex=1),
    Column(key="when", title="", cells=5, align="right", priority=1),
)


def step_table(run: Run) -> Table:
    """Return the steps in the order of the runbook."""
    rows = []
    for index, step in enumerate(run.steps, 1):
        word, mark = STEP_STATE.get(step.state, ("  ", ""))
        now = step.id == run.current and not run.ended
        rows.append(
            Row(
                id=step.id,
                values={
                    "mark": Span(word, mark),
                    "number": Span(str(index), DIM),
                    "title": Span(step.title, STRONG if now else mark if step.state == "pending" else ""),
                    "when": Span(clock(step.ended_s)[:5] if step.ended_s else "", DIM),
                },
            )
        )
    return Table(columns=_STEPS, rows=tuple(rows))


def fits(action: str, run: Run) -> bool:
    """Say whether an answer of this kind fits the step that the run is at."""
    step = run.open_step
    if step is None or run.ended:
        return False
    waiting = step.state == "waiting"
    approval = waiting and bool(step.typed_target)
    possible = {
        "answer": waiting and bool(step.options or step.typed_target or step.kind == "ask"),
        "approve": approval,
        "dry_run": approval,
        "skip": waiting and step.kind == "action",
        "retry": waiting and not approval and step.kind != "ask",
    }
    return possible.get(action, True)


def step_strip(run: Run) -> Line:
    """Return the steps in one line, for screens without room for a list."""
    spans: list[Span] = []
    for index, step in enumerate(run.steps, 1):
        word, mark = STEP_STATE.get(step.state, ("", ""))
        spans.append(Span(f"{word.strip()}{index} ", mark))
    return tuple(spans)


def sections(run: Run, step: RunStep | None) -> tuple[Section, ...]:
    """Return the step that is looked at, then what it printed."""
    title = "Result" if step is None else f"{step.title}"
    return (
        Section(key="step", title=title, build=lambda cells: _step_lines(run, step, cells)),
        Section(
            key="output",
            title="Output",
            build=lambda cells: _output_lines(step, cells),
        ),
    )


def _step_lines(run: Run, step: RunStep | None, cells: int) -> list[Line]:
    out: list[Line] = []
    if run.ended:
        out.extend(labelled("RESULT", run.result or run.state, cells, mark=_ENDS.get(run.state, ("", ""))[1]))
    if step is None:
        out.extend(_rules(run, cells))
        return out
    out.extend(labelled("STATE", _state_text(step), cells, mark=STEP_STATE.get(step.state, ("", ""))[1]))
    for label, text in (("WHY", step.why), ("EXPECT", step.expect)):
        out.extend(labelled(label, text, cells) if text else [])
    out.extend(_fact_lines(step.facts, cells))
    if step.question:
        out.extend([BLANK, *labelled("QUESTION", step.question, cells, mark=STRONG)])
        out.extend(
            row
            for index, option in enumerate(step.options, 1)
            for row in paragraph(f"{index}  {option}", cells, indent=" " * 10)
        )
    if step.command:
        risk = f"   risk {step.risk}" if step.risk else ""
        out.extend([BLANK, line(Span("COMMAND", HEAD), Span(risk, DIM))])
        out.extend(
            line(Span(("  $ " if index == 0 else "    ") + row, STRONG))
            for index, row in enumerate(wrap(step.command, cells - 4))
        )
    for label, text in (("EFFECT", step.effect), ("UNDO", step.undo)):
        out.extend(labelled(label, text, cells) if text else [])
    out.extend(_taken_back(run, step, cells))
    out.extend(_approval(step, cells))
    out.extend(_verification(step))
    out.extend(_rules(run, cells) if run.current == step.id else [])
    return out


def _state_text(step: RunStep) -> str:
    took = ""
    if step.started_s is not None and step.ended_s is not None:
        took = f", took {age(step.ended_s - step.started_s)}"
    by = f" by {step.by}" if step.by else ""
    return f"{step.state}{': ' + step.outcome if step.outcome else ''}{by}{took}"


def _fact_lines(facts: Sequence[Fact], cells: int) -> list[Line]:
    if not facts:
        return []
    room = min(34, max(len(fact.name) for fact in facts) + 2)
    out = [BLANK, line(Span("CHECKS", HEAD))]
    for fact in facts:
        word = Span("ok  ", "") if fact.holds else Span("FAIL", WARN)
        value = f"{fact.value} {fact.unit}".strip()
        read = f"  {age(fact.age_s)} old" if math.isfinite(fact.age_s) else ""
        note = f"  {fact.note}" if fact.note else ""
        left = cells - 7 - room
        out.append(
            line(
                "  ",
                word,
                " ",
                Span(pad(fact.name, room)),
                Span(clip(value, left), STRONG),
                Span(clip(read + note, max(0, left - len(value))), DIM),
            )
        )
    return out


def _taken_back(run: Run, step: RunStep, cells: int) -> list[Line]:
    """Say what came of an undo, or how to ask for one."""
    out = labelled("UNDONE", step.undone, cells, mark=WARN) if step.undone else []
    if step.undo_target:
        command = f"ringwatch runbook answer {run.id} {step.id} undo {step.undo_target}"
        out.extend(labelled("TAKE BACK", command, cells))
    return out


def _approval(step: RunStep, cells: int) -> list[Line]:
    if step.state != "waiting" or not step.typed_target:
        return []
    who = f"needed from: {step.approval}" if step.approval else "needed"
    return [
        BLANK,
        *labelled("APPROVAL", who, cells, mark=WARN),
        line(" " * 10, Span("A, then type  ", DIM), Span(step.typed_target, STRONG)),
    ]


def _verification(step: RunStep) -> list[Line]:
    if step.healthy_needed_s <= 0:
        return []
    share = min(1.0, max(0.0, step.healthy_s / step.healthy_needed_s))
    bar = "█" * round(share * 20) + "░" * (20 - round(share * 20))
    return [
        BLANK,
        line(
            Span(pad("HEALTHY", 10), HEAD),
            Span(bar, INFO),
            Span(f"  {mmss(step.healthy_s)} of {mmss(step.healthy_needed_s)} without the signal"),
        ),
    ]


def _rules(run: Run, cells: int) -> list[Line]:
    out: list[Line] = []
    if run.first_rule:
        out.extend([BLANK, *labelled("FIRST", run.first_rule, cells, mark=DIM)])
    for text in run.never:
        out.extend(labelled("NEVER", text, cells, mark=DIM))
    return out


def _output_lines(step: RunStep | None, cells: int) -> list[Line]:
    if step is None or not step.output:
        return [line(Span("Nothing printed yet.", DIM))]
    return [row for text in step.output for row in paragraph(text, cells)]


def book_lines(book: Runbook, cells: int) -> list[Line]:
    """Return a runbook as written: what to do before one starts to walk it."""
    out = paragraph(book.title, cells, STRONG)
    out.extend(labelled("FIRST", book.first_rule, cells) if book.first_rule else [])
    for text in book.never:
        out.extend(labelled("NEVER", text, cells, mark=WARN))
    for index, step in enumerate(book.steps, 1):
        approval = "  (needs approval)" if step.approval else ""
        out.append(line(Span(f"{index:>3}  ", DIM), Span(clip(step.title, cells - 24)), Span(approval, DIM)))
    return out
