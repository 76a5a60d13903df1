"""Plans: every action of a runbook tried dry against an incident, without a run. Changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.records import Incident
from ringwatch_runbooks import consent, undoing
from ringwatch_runbooks.model import Act, Check, Runbook, Step, Verify
from ringwatch_runbooks.record import RunRecord, StepRecord
from ringwatch_runbooks.rendering import rendered
from ringwatch_runbooks.world import World

PLAN: Final = "plan"


async def plan(world: World, runbook: Runbook, incident: Incident, author: str) -> RunRecord:
    """Return a run that never was: what each step would read and do now, and what forbids it."""
    run = RunRecord(
        id=PLAN,
        runbook=runbook.id,
        revision=runbook.revision,
        digest=runbook.digest,
        incident=incident.id,
        target=incident.culprit,
        state="planned",
        started_by=author,
        started_s=world.clock.now_s(),
        current=runbook.steps[0].id,
        steps=(),
    )
    for step in runbook.steps:
        run = replace(run, current=step.id)
        run = run.with_step(await _planned(world, run, step, author))
    return replace(run, current="")


async def _planned(world: World, run: RunRecord, step: Step, author: str) -> StepRecord:
    evidence = world.evidence(run)
    match step:
        case Act():
            return await _planned_act(world, run, step, author)
        case Check():
            names = [*step.shows, *(p.fact for branch in step.branches for p in branch.predicates)]
            facts = tuple(evidence.tell(name) for name in dict.fromkeys(names))
        case Verify():
            facts = tuple(evidence.show(predicate) for predicate in step.predicates)
        case _:
            facts = ()
    return replace(run.step(step.id), facts=facts)


async def _planned_act(world: World, run: RunRecord, step: Act, author: str) -> StepRecord:
    action = world.library.actions[step.uses]
    try:
        record = rendered(world, run, action)
        run = consent.shown(world, run.with_step(record), action)
        why = consent.refusal(world, run, action, planned=True)
        lines = await undoing.dry_run(world, run, action, record, author)
    except RunbookError as error:
        return replace(run.step(step.id), outcome="cannot be done", why=str(error), uses=action.id)
    outcome = "would be refused now" if why else "may be done, after its approval"
    return replace(run.step(step.id), outcome=outcome, why=why, output=tuple(lines), typed_target="")
