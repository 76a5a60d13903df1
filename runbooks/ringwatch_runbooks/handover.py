"""The text that is passed on when others take over: evidence, and what was done. Sends nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from ringwatch_proto.records import Incident
from ringwatch_runbooks.model import Escalate, Runbook
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World


def with_hand_over(world: World, run: RunRecord, runbook: Runbook, step: Escalate) -> RunRecord:
    """Return the run with the text to pass on, written once."""
    record = run.step(step.id)
    if record.output:
        return run
    lines = tuple(_lines(world.incident(run), run, runbook, step))
    return run.with_step(replace(record, output=lines, why=f"pass this on to {step.to}"))


def hand_over_text(world: World, run: RunRecord) -> str:
    """Return the text as it stands now, for a ticket or a message."""
    runbook = world.library.runbooks[run.runbook]
    return "\n".join(_lines(world.incident(run), run, runbook, None))


def _lines(
    incident: Incident | None, run: RunRecord, runbook: Runbook, step: Escalate | None
) -> Iterator[str]:
    if step is not None:
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
            yield from (f"    {line}" for line in record.output[-6:])
    if step is not None:
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
