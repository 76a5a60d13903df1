"""Action steps: consent first, then the world is looked at again, then one thing is done and judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.records import Incident, IncidentState
from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks import render
from ringwatch_runbooks.base import VerbOutcome
from ringwatch_runbooks.model import Act, Action
from ringwatch_runbooks.moves import ended, printable, said, waiting
from ringwatch_runbooks.record import RunRecord, StepRecord
from ringwatch_runbooks.world import World

# The broker and the agent each add a little to a verb's own time-out.
_GRACE_S: Final = 5.0
UNKNOWN: Final = (
    "The collector ended while this was under way: whether it happened is not known. Look at the target, "
    "then say done or failed, or retry with a new approval."
)


async def act(world: World, run: RunRecord, step: Act) -> RunRecord:
    """Take the action one look further."""
    record, now_s = run.step(step.id), world.clock.now_s()
    action = world.library.actions[step.uses]
    if record.phase == "acting":
        return await _result(world, run, step, action, now_s)
    if record.phase == "settling":
        return _settled(world, run, step, action, now_s)
    if record.state == "waiting":
        return _shown(world, run, action)
    return _opened(world, run, step, action, now_s)


def _opened(world: World, run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    try:
        run = run.with_step(_rendered(world, run, action))
    except RunbookError as error:
        return ended(run, step.on_fail, now_s, state="failed", outcome="cannot be done", why=str(error))
    if action.approval != "none":
        return _shown(world, waiting(run, "approval", now_s), action)
    refusal = _refusal(world, run, action)
    if refusal:
        return ended(run, step.on_fail, now_s, state="failed", outcome="refused", why=refusal)
    return _begun(run, step, action, now_s)


def _rendered(world: World, run: RunRecord, action: Action) -> StepRecord:
    """Return the step with what exactly would be done; raise RunbookError when that cannot be said."""
    parameters = world.parameters(run)
    arguments = {name: render.fill(hole, parameters) for name, hole in action.arguments.items()}
    if action.verb:
        words = " ".join(f"{name}={value}" for name, value in arguments.items())
        command = f"{action.verb} {words}".strip() + f" on {render.fill('{node}', parameters)}"
    else:
        command = render.command(action.manual, parameters)
    return replace(
        run.step(run.current),
        command=command,
        arguments=arguments,
        typed_target=render.fill(action.target, parameters),
    )


def _shown(world: World, run: RunRecord, action: Action) -> RunRecord:
    """Return the run with the preconditions as they are now."""
    evidence = world.evidence(run)
    facts = tuple(evidence.show(predicate) for predicate in action.preconditions)
    return run.with_step(replace(run.step(run.current), facts=facts))


async def answered(
    world: World, run: RunRecord, step: Act, *, action: str, text: str, author: str
) -> RunRecord:
    """Take what a person says to an action; raise ValueError with a sentence when it does not fit."""
    match action:
        case "approve":
            return approve(world, run, step, text, author)
        case "answer":
            return await confirm(world, run, step, text, author)
        case "dry_run":
            return await rehearse(world, run, step, author)
        case "retry":
            return retry(world, run, step)
        case "skip":
            return skip(run, step, text, author, world.clock.now_s())
    raise ValueError(f"{action[:40]!r} is nothing that an action can be told")


def skip(run: RunRecord, step: Act, text: str, author: str, now_s: float) -> RunRecord:
    """Leave an action out, with the reason."""
    if run.step(step.id).state != "waiting":
        raise ValueError("it is under way: wait for its result, it has a time-out")
    if not text.strip():
        raise ValueError("leaving an action out needs a reason")
    why = text[:300]
    return ended(run, step.on_skip, now_s, state="skipped", outcome="left out", why=why, by=author)


def approve(world: World, run: RunRecord, step: Act, text: str, author: str) -> RunRecord:
    """Take an approval; raise ValueError with a sentence when it is none."""
    record, now_s = run.step(step.id), world.clock.now_s()
    action = world.library.actions[step.uses]
    if record.phase not in ("approval", "second"):
        raise ValueError("nothing here waits for an approval")
    if text != record.typed_target:
        raise ValueError(f"the target is {record.typed_target!r}, not {text[:60]!r}")
    if record.phase == "second" and _same_person(author, record.approved_by):
        raise ValueError(f"a second person has to approve: {author} already did")
    approved = (*record.approved_by, author)
    run = run.with_step(replace(record, approved_by=approved, by=", ".join(approved)))
    if action.approval == "second_person" and len(approved) < 2:
        return waiting(run, "second", now_s, "one more person has to approve")
    return _consented(world, run, step, action, now_s)


def _same_person(author: str, before: tuple[str, ...]) -> bool:
    return author.strip().casefold() in {each.strip().casefold() for each in before}


def _consented(world: World, run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    """Look again just before acting: consent was given to what was shown, not to what is there now."""
    shown = run.step(step.id)
    incident = world.incident(run)
    try:
        fresh = _rendered(world, run, action)
    except RunbookError as error:
        return _again(run, now_s, str(error))
    if fresh.command != shown.command:
        return _again(run.with_step(fresh), now_s, "the target changed since it was shown: approve it again")
    if action.recheck == "active" and incident is not None and _quiet(incident):
        told = "the signal is not seen any more: nothing was done"
        return ended(run, step.then, now_s, state="skipped", outcome="not needed", why=told)
    refusal = _refusal(world, run, action)
    if refusal:
        return _again(_shown(world, run, action), now_s, refusal)
    return _begun(run, step, action, now_s)


def _again(run: RunRecord, now_s: float, why: str) -> RunRecord:
    """Return the run waiting for a new approval: the one that was given was for something else."""
    record = replace(run.step(run.current), approved_by=(), by="")
    return waiting(run.with_step(record), "approval", now_s, f"refused: {why}")


def _quiet(incident: Incident) -> bool:
    return not incident.active and incident.state is not IncidentState.RESOLVED


def _refusal(world: World, run: RunRecord, action: Action) -> str:
    """Return why the action must not be done now, empty when it may."""
    incident = world.incident(run)
    if incident is None:
        return f"{run.incident} is not known any more"
    if incident.state is IncidentState.RESOLVED:
        return f"{run.incident} was closed in the meantime"
    if incident.culprit != run.target:
        return f"{run.incident} now points at {incident.culprit}: start again from there"
    evidence = world.evidence(run)
    bad = [fact for fact in map(evidence.show, action.preconditions) if not fact.holds]
    return "; ".join(f"{fact.name} is {fact.value} ({fact.note})" for fact in bad)


def _begun(run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    if action.manual:
        return waiting(run, "confirm", now_s, "run the command, then say how it went")
    record = replace(run.step(step.id), state="running", phase="acting", since_s=now_s, why="")
    return run.with_step(record)


async def _result(world: World, run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    record = run.step(step.id)
    if run.id not in world.calls:
        return await _sent(world, run, step, action, now_s)
    outcome = world.came_of(run)
    if outcome is None:
        if now_s - (record.since_s or now_s) <= action.timeout_s + _GRACE_S:
            return run
        world.give_up(run)
        outcome = VerbOutcome(status="timed_out", text="no answer came; it may still happen")
    run = said(run, printable(outcome.text))
    await world.audit.record(
        actor=record.by or "ringwatch",
        action=f"action.{action.id}",
        target=record.typed_target,
        incident=run.incident,
        reason=f"{run.id} {step.id}: {record.command}",
        result=f"{outcome.status}: {outcome.text}"[:1000],
    )
    if outcome.status != "done":
        why = f"{outcome.status.replace('_', ' ')}: {outcome.text[:300]}"
        return ended(run, step.on_fail, now_s, state="failed", outcome=outcome.status, why=why)
    return _done(run, step, action, now_s)


async def _sent(world: World, run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    """Send the verb. The journal already says that it is under way, and the audit that it was asked for."""
    record = run.step(step.id)
    approver = record.by or ("policy" if action.approval == "none" else "")
    await world.audit.record(
        actor=approver,
        action=f"action.{action.id}",
        target=record.typed_target,
        incident=run.incident,
        reason=f"{run.id} {step.id}: {record.command}",
        result="asked for",
    )
    try:
        call = world.verb_call(run, action.verb, record.arguments, action.timeout_s, approved_by=approver)
    except RunbookError as error:
        return ended(run, step.on_fail, now_s, state="failed", outcome="cannot be done", why=str(error))
    world.launch(run, call)
    return run


def _done(run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    if action.verify:
        record = replace(run.step(step.id), state="running", phase="settling", since_s=now_s)
        return run.with_step(record)
    return ended(run, step.then, now_s, state="done", outcome="done")


def _settled(world: World, run: RunRecord, step: Act, action: Action, now_s: float) -> RunRecord:
    record = run.step(step.id)
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
    await world.audit.record(
        actor=author,
        action=f"action.{action.id}",
        target=record.typed_target,
        incident=run.incident,
        reason=f"{run.id} {step.id}: {record.command}",
        result=f"{text}, says {author}",
    )
    if text == "failed":
        return ended(
            run, step.on_fail, now_s, state="failed", outcome="failed", why=f"says {author}", by=author
        )
    run = run.with_step(replace(record, by=", ".join(dict.fromkeys((*record.approved_by, author)))))
    return _done(run, step, action, now_s)


def retry(world: World, run: RunRecord, step: Act) -> RunRecord:
    """Ask for a new approval of an action whose end nobody saw."""
    record, now_s = run.step(step.id), world.clock.now_s()
    if record.phase != "unknown":
        raise ValueError("this step cannot be tried again: it was not cut off")
    action = world.library.actions[step.uses]
    fresh = replace(_rendered(world, run, action), approved_by=(), by="")
    return _shown(world, waiting(run.with_step(fresh), "approval", now_s), action)


async def rehearse(world: World, run: RunRecord, step: Act, author: str) -> RunRecord:
    """Ask what the action would do; changes nothing."""
    record = run.step(step.id)
    action = world.library.actions[step.uses]
    if record.phase not in ("approval", "second"):
        raise ValueError("only an action that waits for approval can be tried dry")
    if action.manual:
        text = render.command(action.dry_run, world.parameters(run))
        return said(run, ["dry run, for you to run elsewhere:", text])
    call = replace(
        world.verb_call(run, action.verb, record.arguments, action.timeout_s, requested_by=author),
        dry_run=True,
    )
    outcome = await world.verbs.call(call)
    return said(run, ["dry run: nothing was changed", f"{outcome.status}: {outcome.text}"])


def risk_of(action: Action) -> str:
    """Return the risk of an action: its own, and never less than its verb's."""
    return max(action.risk, BY_NAME[action.verb].risk) if action.verb else action.risk
