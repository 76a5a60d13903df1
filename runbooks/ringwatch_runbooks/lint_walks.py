"""Walks every path of a runbook with what has certainly happened on it. Changes and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from ringwatch_runbooks.model import Act, Ask, End, Escalate, Library, Runbook, Step, Verify, successors
from ringwatch_runbooks.problem import Found


def _unreachable(runbook: Runbook, _library: Library) -> Found:
    reached = _reached(runbook, runbook.steps[0].id)
    for step in runbook.steps:
        if step.id not in reached:
            yield step.id, f"no path leads to step {step.id}: lead one there, or take it out"


def _endless(runbook: Runbook, _library: Library) -> Found:
    for step in runbook.steps:
        if not any(isinstance(runbook.step(each), End) for each in _reached(runbook, step.id)):
            yield step.id, f"no path leads from step {step.id} to an end: give it a way out"
    for step in runbook.steps:
        if step.id in _automatic_after(runbook, step.id):
            yield (
                step.id,
                f"step {step.id} comes back to itself without asking a person on the way: add an ask",
            )


def _reached(runbook: Runbook, start: str) -> set[str]:
    found: set[str] = set()
    stack = [start]
    while stack:
        step_id = stack.pop()
        if step_id not in found:
            found.add(step_id)
            stack.extend(successors(runbook.step(step_id)))
    return found


def _automatic_after(runbook: Runbook, start: str) -> set[str]:
    """Return what can be reached from a step without a step that a person answers."""
    found: set[str] = set()
    stack = [start]
    while stack:
        step = runbook.step(stack.pop())
        if isinstance(step, Ask | Escalate | Act):
            continue
        new = [goto for goto in successors(step) if goto not in found]
        found.update(new)
        stack.extend(new)
    return found


@dataclass(frozen=True, slots=True)
class _Walk:
    """What has certainly happened on the way to a step, and whether a repair asks for proof."""

    cordoned: bool = False
    verified: bool = False
    proved: bool = False
    repaired: bool = False


def _unsafe(runbook: Runbook, library: Library) -> Found:
    """Follow every path with what has been done on it."""
    told: set[tuple[str, str]] = set()
    seen: set[tuple[str, _Walk]] = set()
    stack = [(runbook.steps[0].id, _Walk())]
    while stack:
        step_id, walk = stack.pop()
        if (step_id, walk) in seen:
            continue
        seen.add((step_id, walk))
        step = runbook.step(step_id)
        for text in _step_problems(step, walk, library):
            if (step_id, text) not in told:
                told.add((step_id, text))
                yield step_id, text
        stack.extend(_followed(step, walk, library))


def _step_problems(step: Step, walk: _Walk, library: Library) -> Iterator[str]:
    if isinstance(step, Act):
        action = library.actions[step.uses]
        if action.needs_cordon and not walk.cordoned:
            yield f"{step.uses} can be reached without a cordon: stop new work on the node first"
        if action.needs_proof and not walk.proved:
            yield f"{step.uses} can be reached without proof: an action with role proof has to come first"
    if isinstance(step, End) and step.outcome == "resolved":
        if not walk.verified:
            yield f"end {step.id} closes the incident on a path without a verify step: add one before it"
        if walk.repaired and not walk.proved:
            yield f"end {step.id} closes the incident after a repair without proof: prove it under load first"


def _followed(step: Step, walk: _Walk, library: Library) -> list[tuple[str, _Walk]]:
    match step:
        case Act():
            done = _after(library.actions[step.uses].role, walk)
            # An action that failed may still have happened, and may have broken what was proved.
            failed = replace(done, cordoned=walk.cordoned, proved=walk.proved and done.proved)
            return [(step.then, done), (step.on_fail, failed), (step.on_skip, walk)]
        case Verify():
            good = replace(walk, verified=True)
            return [(step.then, good), (step.on_fail, replace(walk, verified=False))]
    return [(goto, walk) for goto in successors(step)]


def _after(role: str, walk: _Walk) -> _Walk:
    match role:
        case "cordon":
            return replace(walk, cordoned=True)
        case "repair":
            return replace(walk, repaired=True, proved=False, verified=False)
        case "proof":
            return replace(walk, proved=True)
        case "return":
            return replace(walk, cordoned=False)
    return walk


WALKS: Final[tuple[Callable[[Runbook, Library], Found], ...]] = (_unreachable, _endless, _unsafe)
