"""How a run goes from step to step: pure functions on records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ringwatch_runbooks.model import Ask, Escalate, Step
from ringwatch_runbooks.record import RunRecord, StepRecord

# Every automatic step takes a look at least; a walk this long goes in circles.
MOST_STEPS: Final = 200
_MOST_LINES: Final = 200


def entered(run: RunRecord, step: Step, now_s: float) -> RunRecord:
    """Return the run at the begin of a step."""
    before = run.step(step.id)
    waits = isinstance(step, Ask | Escalate)
    record = StepRecord(
        id=step.id,
        state="waiting" if waits else "running",
        started_s=now_s,
        since_s=now_s,
        attempts=before.attempts + 1,
    )
    run = replace(run, current=step.id, path=(*run.path, step.id))
    return run.with_step(record)


def ended(
    run: RunRecord, goto: str, now_s: float, *, state: str, outcome: str, why: str = "", by: str = ""
) -> RunRecord:
    """Return the run with its current step over and the next one still to be entered."""
    record = replace(
        run.step(run.current),
        state=state,
        phase="",
        outcome=outcome,
        why=why,
        ended_s=now_s,
        by=by or run.step(run.current).by,
        typed_target="",
    )
    run = run.with_step(record)
    if run.acts and run.acts[-1].step == run.current and not run.acts[-1].outcome:
        run = run.came(run.current, outcome, bad=state == "failed")
    if len(run.path) >= MOST_STEPS:
        return finished(run, "failed", f"gave up after {MOST_STEPS} steps: it goes in circles", now_s)
    return replace(run, current=goto, state="running").with_step(
        replace(run.step(goto), state="pending", phase="", since_s=now_s)
    )


def finished(run: RunRecord, state: str, result: str, now_s: float) -> RunRecord:
    """Return the run at its end."""
    return replace(run, state=state, result=result, ended_s=now_s)


def waiting(run: RunRecord, phase: str, now_s: float, why: str = "") -> RunRecord:
    """Return the run with its step waiting for a person: no clock runs."""
    record = replace(run.step(run.current), state="waiting", phase=phase, why=why, since_s=now_s)
    return run.with_step(record)


def said(run: RunRecord, lines: Iterable[str]) -> RunRecord:
    """Return the run with more output of its current step, the oldest lines dropped and counted."""
    record = run.step(run.current)
    output = [*record.output, *(line[:500] for line in lines)]
    if len(output) > _MOST_LINES:
        output = [f"({len(output) - _MOST_LINES} lines before this)", *output[-_MOST_LINES:]]
    return run.with_step(replace(record, output=tuple(output)))


def printable(text: str) -> list[str]:
    """Return the lines of a text from elsewhere, with nothing in them that moves a cursor."""
    return ["".join(c if c.isprintable() else "?" for c in line) for line in text.splitlines()]
