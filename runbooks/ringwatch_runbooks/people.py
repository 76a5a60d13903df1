"""Steps that people answer, hand-over texts, and the ends of runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ringwatch_proto.records import Incident, IncidentState
from ringwatch_runbooks.model import Ask, End, Escalate, Runbook
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


def with_hand_over(world: World, run: RunRecord, runbook: Runbook, step: Escalate) -> RunRecord:
    """Return the run with the text to pass on, written once."""
    record = run.step(step.id)
    if record.output:
        return run
    lines = tuple(_hand_over(world.incident(run), run, runbook, step))
    return run.with_step(replace(record, output=lines, why=f"pass this on to {step.to}"))


def _hand_over(incident: Incident | None, run: RunRecord, runbook: Runbook, step: Escalate) -> Iterator[str]:
    yield f"To: {step.to}"
    yield f"{run.incident}: {incident.summary if incident else 'not known any more'}"
    yield f"Target: {run.target}"
    yield f"Runbook: {runbook.id} revision {runbook.revision}, run {run.id}, started by {run.started_by}"
    if incident is not None:
        yield f"Cause: {incident.cause}, verdict {incident.verdict}, confidence {incident.confidence:.0%}"
        yield f"Since {_clock(incident.onset_s)}; cost so far {incident.gpu_hours_lost:.1f} GPU-hours"
        yield from _evidence(incident)
    yield "What was done:"
    for step_id in run.path:
        record = run.step(step_id)
        if record.outcome:
            yield f"  {runbook.step(step_id).title}: {record.state}, {record.why or record.outcome}"
            yield from (f"    {fact.name} = {fact.value} {fact.unit}".rstrip() for fact in record.facts)
    yield "Please attach or find out:"
    yield from (f"  {wanted}" for wanted in step.asks_for)
    yield from (f"Never: {rule}" for rule in runbook.never)


def _evidence(incident: Incident) -> Iterator[str]:
    yield "Evidence:"
    for finding in incident.findings:
        for item in finding.evidence[:8]:
            yield f"  {_clock(item.at_s)} {item.bearing}: {item.text} ({item.source})"
        for rival in finding.ruled_out[:6]:
            yield f"  ruled out {rival.cause}: {rival.reason}"


def _clock(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_s))


async def end(world: World, run: RunRecord, step: End) -> RunRecord:
    """End the run; a repair closes the incident, which refuses while its signal is still seen."""
    if run.step(step.id).state == "waiting":
        return run
    incident = world.incident(run)
    text = f"{run.id}: {step.note}"
    if step.outcome == "resolved" and incident is not None and incident.state is not IncidentState.RESOLVED:
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
