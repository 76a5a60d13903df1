"""Dry runs of an action, and taking back what was done. A dry run changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from ringwatch_runbooks import render
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.consent import OBSERVES
from ringwatch_runbooks.model import Act, Action
from ringwatch_runbooks.moves import printable, said
from ringwatch_runbooks.record import RunRecord, StepRecord
from ringwatch_runbooks.rendering import CALL, MANUAL
from ringwatch_runbooks.safety import OBSERVE
from ringwatch_runbooks.world import World, overlap

# A dry run only looks: what takes longer than this is told, and holds up nobody who plans.
DRY_RUN_S: Final = 15.0


async def rehearse(world: World, run: RunRecord, step: Act, author: str) -> RunRecord:
    """Ask what the action would do; changes nothing."""
    record = run.step(step.id)
    if record.phase not in ("approval", "second"):
        raise ValueError("only an action that waits for approval can be tried dry")
    return said(run, await dry_run(world, run, world.library.actions[step.uses], record, author))


async def dry_run(world: World, run: RunRecord, action: Action, record: StepRecord, author: str) -> list[str]:
    """Return what a dry run says, as lines; it has its own command and its own way through each adapter."""
    timeout_s = min(action.timeout_s, DRY_RUN_S)
    if record.way == MANUAL:
        return [
            "dry run, for you to run elsewhere:",
            render.command(action.dry_run, world.parameters(run)),
        ]
    if record.way == CALL:
        call = world.repair_call(run, action.call, record.arguments, timeout_s, requested_by=author)
        outcome = await world.repairs.call(replace(call, dry_run=True))
    else:
        verb = world.verb_call(run, action.verb, record.arguments, timeout_s, requested_by=author)
        outcome = await world.verbs.call(replace(verb, dry_run=True))
    return ["dry run: nothing was changed", *printable(f"{outcome.status}: {outcome.text}")]


def check_undo(world: World, run: RunRecord, step: Act, text: str) -> Action:
    """Return the action whose work can be taken back; raise ValueError with a sentence when it cannot."""
    record, action = run.step(step.id), world.library.actions[step.uses]
    if record.state != "done":
        raise ValueError(f"{step.id} was not done: there is nothing to take back")
    if record.undone.startswith("done"):
        raise ValueError(f"{step.id} was already taken back: {record.undone}")
    if not action.undo_call or record.way != CALL or not world.repairs.offers(action.undo_call):
        raise ValueError(f"{action.id} cannot be taken back from here; by hand: {action.undo}")
    if world.policy.mode == OBSERVE:
        raise ValueError(OBSERVES)
    if text != record.target:
        raise ValueError(f"the target is {record.target!r}, not {text[:60]!r}")
    _refuse_after_repair(world, run, step)
    return action


def _refuse_after_repair(world: World, run: RunRecord, step: Act) -> None:
    """A cordon is not taken back once something was repaired behind it: that needs proof, and a return."""
    begun = [at for at, act in enumerate(run.acts) if act.step == step.id]
    for act in run.acts[begun[-1] + 1 :] if begun else ():
        later = world.library.actions.get(act.action)
        if later is not None and later.role == "repair" and act.outcome != "refused":
            raise ValueError(f"{act.action} came after it: prove the node and return it instead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What a person asks to be taken back; ``text`` is the target as they typed it."""

    step: str
    text: str
    person: Person


async def taken_back(
    world: World, run: RunRecord, undo: Undo, save: Callable[[RunRecord], Awaitable[None]]
) -> RunRecord:
    """Return the run after a done action was taken back; raise ValueError when it cannot be."""
    if run.live and run.step(run.current).phase == "acting":
        raise ValueError("an action is under way: wait for its result, it has a time-out")
    for other in world.runs():
        # What an ended run did is not taken back under one that works on the target now.
        if other.live and other.id != run.id and overlap(other.target, run.target):
            raise ValueError(f"{other.id} works on {other.target}: take it back from there")
    step = _step_of(world, run, undo.step)
    action = check_undo(world, run, step, undo.text)
    # Whatever happens from here, the journal says that it was asked for.
    run = run.with_step(replace(run.step(step.id), undone=f"asked for by {undo.person.name}"))
    await save(run)
    return await _undone(world, run, step, action, undo.person)


def _step_of(world: World, run: RunRecord, step_id: str) -> Act:
    book = world.library.runbooks.get(run.runbook)
    step = next((each for each in book.steps if each.id == step_id), None) if book is not None else None
    if not isinstance(step, Act):
        raise ValueError(f"{step_id[:40]!r} is no action of {run.runbook}: there is nothing to take back")
    return step


async def _undone(world: World, run: RunRecord, step: Act, action: Action, person: Person) -> RunRecord:
    record = run.step(step.id)
    call = world.repair_call(
        run,
        action.undo_call,
        record.arguments,
        action.timeout_s,
        requested_by=person.name,
        approved_by=person.name,
    )
    outcome = await world.repairs.call(call)
    await world.audit.record(
        actor=person.name,
        action=f"undo.{action.id}",
        target=record.target,
        incident=run.incident,
        reason=f"{run.id} {step.id}: {action.undo_call}; takes back: {record.command}",
        result=f"{outcome.status}: {outcome.text}"[:1000],
    )
    word = f"done by {person.name}" if outcome.status == "done" else f"{outcome.status}: {outcome.text[:200]}"
    told = replace(record, undone=word, output=(*record.output, *printable(f"undo: {outcome.text}")))
    return run.with_step(told)
