"""Action steps under way: what is sent, what came of it, whether it can be seen. Gives no consent."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks import consent, undoing
from ringwatch_runbooks.base import Person, RepairCall, VerbCall, VerbOutcome
from ringwatch_runbooks.handover import hand_over_text
from ringwatch_runbooks.model import Act, Action
from ringwatch_runbooks.moves import ended, printable, said, waiting
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.rendering import CALL, MANUAL, rendered
from ringwatch_runbooks.world import World

# The broker and the agent each add a little to a verb's own time-out.
_GRACE_S: Final = 5.0
UNKNOWN: Final = (
    "The collector ended while this was under way: whether it happened is not known. Look at the target, "
    "then say done or failed, or retry with a new approval."
)


async def act(world: World, run: RunRecord, step: Act) -> RunRecord:
    """Take the action one look further."""
    record = run.step(step.id)
    action = world.library.actions[step.uses]
    if record.phase == "acting":
        return await _result(world, run, step, action)
    if record.phase == "settling":
        return _settled(world, run, step, action)
    if record.state == "waiting":
        return consent.shown(world, run, action)
    return consent.opened(world, run, step, action)


async def answered(
    world: World, run: RunRecord, step: Act, *, action: str, text: str, person: Person
) -> RunRecord:
    """Take what a person says to an action; raise ValueError with a sentence when it does not fit."""
    match action:
        case "approve":
            return consent.approve(world, run, step, text, person)
        case "answer":
            return await confirm(world, run, step, text, person.name)
        case "dry_run":
            return await undoing.rehearse(world, run, step, person.name)
        case "retry":
            return consent.retry(world, run, step)
        case "skip":
            return consent.skip(run, step, text, person.name, world.clock.now_s())
    raise ValueError(f"{action[:40]!r} is nothing that an action can be told")


async def _result(world: World, run: RunRecord, step: Act, action: Action) -> RunRecord:
    record, now_s = run.step(step.id), world.clock.now_s()
    if run.id not in world.calls:
        return await _sent(world, run, step, action)
    outcome = world.came_of(run)
    if outcome is None:
        if now_s - (record.since_s or now_s) <= action.timeout_s + _GRACE_S:
            return run
        world.give_up(run)
        outcome = VerbOutcome(status="timed_out", text="no answer came; it may still happen")
    run = said(run, printable(outcome.text))
    await _written(world, run, step, action, result=f"{outcome.status}: {outcome.text}"[:1000])
    if outcome.status == "done":
        return _done(run, step, action, now_s)
    if outcome.status == "refused":
        run = run.came(step.id, "refused", bad=False)
        if action.manual:
            return _by_hand(world, run, step, action, outcome.text)
    why = f"{outcome.status.replace('_', ' ')}: {outcome.text[:300]}"
    return ended(run, step.on_fail, now_s, state="failed", outcome=outcome.status, why=why)


def _by_hand(world: World, run: RunRecord, step: Act, action: Action, why: str) -> RunRecord:
    """Return the run waiting for a person to do what node or site refuse to do; it is approved anew."""
    record = replace(rendered(world, run, action, MANUAL), approved_by=(), by="", automatic=False)
    told = f"it was refused ({why[:200]}): here is the command to run by hand"
    if action.approval == "none":
        asked = run.with_step(replace(record, why=told))
        return consent.begun(asked, step, world.clock.now_s())
    return consent.shown(world, waiting(run.with_step(record), "approval", world.clock.now_s(), told), action)


async def _written(
    world: World, run: RunRecord, step: Act, action: Action, *, result: str, by: str = ""
) -> None:
    record, incident = run.step(step.id), world.incident(run)
    why = step.why or (incident.summary if incident is not None else "")
    await world.audit.record(
        actor=by or record.by or "ringwatch",
        action=f"action.{action.id}",
        target=record.target,
        incident=run.incident,
        reason=f"{run.id} {step.id}: {record.command}; because {why}"[:1000],
        result=result,
    )


async def _sent(world: World, run: RunRecord, step: Act, action: Action) -> RunRecord:
    """Send it. The journal already says that it is under way, and the audit that it was asked for."""
    record = run.step(step.id)
    approver = record.by or ("policy" if action.approval == "none" else "")
    await _written(world, run, step, action, result="asked for", by=approver)
    try:
        world.launch(run, _call(world, run, step, action, approver))
    except RunbookError as error:
        now_s = world.clock.now_s()
        return ended(run, step.on_fail, now_s, state="failed", outcome="cannot be done", why=str(error))
    return run


def _call(world: World, run: RunRecord, step: Act, action: Action, approver: str) -> VerbCall | RepairCall:
    record = run.step(step.id)
    if record.way != CALL:
        return world.verb_call(run, action.verb, record.arguments, action.timeout_s, approved_by=approver)
    text = hand_over_text(world, run)
    return world.repair_call(
        run, action.call, record.arguments, action.timeout_s, approved_by=approver, text=text
    )


def _done(run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    if action.verify:
        record = replace(run.step(step.id), state="running", phase="settling", since_s=now_s)
        return run.with_step(record)
    return ended(run, step.then, now_s, state="done", outcome="done")


def _settled(world: World, run: RunRecord, step: Act, action: Action) -> RunRecord:
    record, now_s = run.step(step.id), world.clock.now_s()
    evidence = world.evidence(run)
    facts = tuple(evidence.show(predicate) for predicate in action.verify)
    run = run.with_step(replace(record, facts=facts))
    if all(fact.holds for fact in facts):
        return ended(run, step.then, now_s, state="done", outcome="done and seen")
    if now_s - (record.since_s or now_s) < action.settle_s:
        return run
    why = "; ".join(f"{fact.name} is {fact.value} ({fact.note})" for fact in facts if not fact.holds)
    return ended(run, step.on_fail, now_s, state="failed", outcome="done, but not seen", why=why)


async def confirm(world: World, run: RunRecord, step: Act, text: str, author: str) -> RunRecord:
    """Take what a person says about an action that they ran, or that nobody saw end."""
    record, now_s = run.step(step.id), world.clock.now_s()
    action = world.library.actions[step.uses]
    if record.phase not in ("confirm", "unknown"):
        raise ValueError("nothing here waits for this answer")
    if text not in ("done", "failed"):
        raise ValueError("say done or failed")
    await _written(world, run, step, action, result=f"{text}, says {author}", by=author)
    if text == "failed":
        return ended(
            run, step.on_fail, now_s, state="failed", outcome="failed", why=f"says {author}", by=author
        )
    run = run.with_step(replace(record, by=", ".join(dict.fromkeys((*record.approved_by, author)))))
    return _done(run, step, action, now_s)
