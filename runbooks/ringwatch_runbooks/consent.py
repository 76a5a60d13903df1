"""Who may let an action happen, and what has to be true just before it does. Acts on nothing."""

from __future__ import annotations

from dataclasses import replace

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.records import Incident, IncidentState
from ringwatch_runbooks import blast, history
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.model import Act, Action
from ringwatch_runbooks.moves import ended, waiting
from ringwatch_runbooks.record import RunRecord, StepRecord
from ringwatch_runbooks.rendering import MANUAL, rendered, risk_of
from ringwatch_runbooks.safety import AUTOMATIC, OBSERVE
from ringwatch_runbooks.world import World

OBSERVES = "this collector only observes: nothing is done through it"
BY_ITSELF = "ringwatch (automatic)"


def opened(world: World, run: RunRecord, step: Act, action: Action) -> RunRecord:
    """Return the run at an action that has just been reached: shown, waiting, or begun by itself."""
    now_s = world.clock.now_s()
    try:
        run = run.with_step(rendered(world, run, action))
    except RunbookError as error:
        return ended(run, step.on_fail, now_s, state="failed", outcome="cannot be done", why=str(error))
    way = run.step(step.id).way
    if world.policy.mode == OBSERVE and way != MANUAL:
        return shown(world, waiting(run, "approval", now_s, OBSERVES), action)
    if action.approval != "none":
        return _opened_with_approval(world, run, step, action, now_s)
    why = refusal(world, run, action)
    if why:
        return ended(run, step.on_fail, now_s, state="failed", outcome="refused", why=why)
    return begun(run, step, now_s)


def _opened_with_approval(world: World, run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    why = _not_by_itself(world, run, action)
    if why is None:
        return shown(world, waiting(run, "approval", now_s), action)
    if why:
        return shown(world, waiting(run, "approval", now_s, f"not done by itself: {why}"), action)
    record = replace(run.step(step.id), by=BY_ITSELF, automatic=True)
    return proceed(world, run.with_step(record), step, action)


def _not_by_itself(world: World, run: RunRecord, action: Action) -> str | None:
    """Return why an action is left to a person; None when it always is, empty when it is not."""
    policy = world.policy
    if policy.mode != AUTOMATIC or run.step(run.current).way == MANUAL:
        return None
    if risk_of(action) not in policy.automatic_risks or action.approval == "second_person":
        return None
    if world.breaker.open:
        return f"the circuit breaker is open: {world.breaker.why}"
    return refusal(world, run, action)


def shown(world: World, run: RunRecord, action: Action) -> RunRecord:
    """Return the run with the preconditions as they are now."""
    evidence = world.evidence(run)
    facts = tuple(evidence.show(predicate) for predicate in action.preconditions)
    return run.with_step(replace(run.step(run.current), facts=facts))


def approve(world: World, run: RunRecord, step: Act, text: str, person: Person) -> RunRecord:
    """Take an approval; raise ValueError with a sentence when it is none."""
    record, now_s = run.step(step.id), world.clock.now_s()
    action = world.library.actions[step.uses]
    if record.phase not in ("approval", "second"):
        raise ValueError("nothing here waits for an approval")
    if world.policy.mode == OBSERVE and record.way != MANUAL:
        raise ValueError(f"{OBSERVES}; leave it out with the reason, or do it elsewhere")
    if text != record.typed_target:
        raise ValueError(f"the target is {record.typed_target!r}, not {text[:60]!r}")
    if record.phase == "second":
        _check_second(record, person)
    approved = (*record.approved_by, person.name)
    record = replace(
        record, approved_by=approved, by=", ".join(approved), proven=person.proven, automatic=False
    )
    run = run.with_step(record)
    if action.approval == "second_person" and len(approved) < 2:
        return waiting(run, "second", now_s, f"{person.name} asks for it: one more person has to approve")
    return proceed(world, run, step, action)


def _check_second(record: StepRecord, person: Person) -> None:
    before = {each.strip().casefold() for each in record.approved_by}
    if person.name.strip().casefold() in before:
        raise ValueError(f"a second person has to approve: {person.name} already did")
    if person.proven is not record.proven:
        raise ValueError("both who approve have to be proven by their certificate or token, or neither")
    if person.proven and not person.approves:
        raise ValueError(f"{person.name} may not give the second approval: that takes the role approver")


def proceed(world: World, run: RunRecord, step: Act, action: Action) -> RunRecord:
    """Look again just before acting: consent was given to what was shown, not to what is there now."""
    before, now_s = run.step(step.id), world.clock.now_s()
    incident = world.incident(run)
    try:
        fresh = rendered(world, run, action, before.way)
    except RunbookError as error:
        return _again(run, now_s, str(error))
    if fresh.command != before.command:
        return _again(run.with_step(fresh), now_s, "the target changed since it was shown: approve it again")
    if action.recheck == "active" and incident is not None and _quiet(incident):
        told = "the signal is not seen any more: nothing was done"
        return ended(run, step.then, now_s, state="skipped", outcome="not needed", why=told)
    why = refusal(world, run, action)
    if why:
        return _again(shown(world, run, action), now_s, why)
    return begun(run, step, now_s)


def _again(run: RunRecord, now_s: float, why: str) -> RunRecord:
    """Return the run waiting for a new approval: the one that was given was for something else."""
    record = replace(run.step(run.current), approved_by=(), by="", automatic=False)
    return waiting(run.with_step(record), "approval", now_s, f"refused: {why}")


def _quiet(incident: Incident) -> bool:
    return not incident.active and incident.state is not IncidentState.RESOLVED


def refusal(world: World, run: RunRecord, action: Action, *, planned: bool = False) -> str:
    """Return why the action must not be done now, empty when it may; a plan has no steps behind it."""
    incident = world.incident(run)
    if incident is None:
        return f"{run.incident} is not known any more"
    if incident.state is IncidentState.RESOLVED:
        return f"{run.incident} was closed in the meantime"
    if incident.culprit != run.target:
        return f"{run.incident} now points at {incident.culprit}: start again from there"
    missing = "" if planned else history.missing_for(action, run, world.library)
    if missing:
        return missing
    evidence = world.evidence(run)
    bad = [fact for fact in map(evidence.show, action.preconditions) if not fact.holds]
    if bad:
        return "; ".join(f"{fact.name} is {fact.value} ({fact.note})" for fact in bad)
    return _too_much(world, run, action)


def _too_much(world: World, run: RunRecord, action: Action) -> str:
    target = run.step(run.current).target
    why = blast.refusal(world.runs(), run, action, target, world.clock.now_s())
    if not why and action.role == "cordon":
        held = history.held(world.runs(), world.library)
        why = blast.too_many_out(world.facts, world.policy, run.target, held)
    return why


def begun(run: RunRecord, step: Act, now_s: float) -> RunRecord:
    """Return the run at the begin of acting: shown to a person, or about to be sent."""
    record = run.step(step.id)
    run = run.begun(record, now_s)
    if record.way == MANUAL:
        return waiting(run, "confirm", now_s, record.why or "run the command, then say how it went")
    return run.with_step(replace(record, state="running", phase="acting", since_s=now_s, why=""))


def skip(run: RunRecord, step: Act, text: str, author: str, now_s: float) -> RunRecord:
    """Leave an action out, with the reason."""
    if run.step(step.id).state != "waiting":
        raise ValueError("it is under way: wait for its result, it has a time-out")
    if not text.strip():
        raise ValueError("leaving an action out needs a reason")
    why = text[:300]
    if run.step(step.id).phase == "confirm":
        run = run.came(step.id, "refused", bad=False)
    return ended(run, step.on_skip, now_s, state="skipped", outcome="left out", why=why, by=author)


def retry(world: World, run: RunRecord, step: Act) -> RunRecord:
    """Ask for a new approval of an action whose end nobody saw."""
    record, now_s = run.step(step.id), world.clock.now_s()
    if record.phase != "unknown":
        raise ValueError("this step cannot be tried again: it was not cut off")
    action = world.library.actions[step.uses]
    run = run.came(step.id, "not seen to end", bad=True)
    fresh = replace(rendered(world, run, action), approved_by=(), by="")
    return shown(world, waiting(run.with_step(fresh), "approval", now_s), action)
