"""Walks every path of every runbook and says what is not safe. Changes and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.records import IncidentKind
from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks.fact_names import FACTS, PARAMETERS
from ringwatch_runbooks.model import (
    Act,
    Action,
    Ask,
    Check,
    End,
    Escalate,
    Library,
    Predicate,
    Runbook,
    Step,
    Verify,
    successors,
)
from ringwatch_runbooks.render import holes


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: where it is, and what to do about it."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return the problem as compilers print theirs."""
        return f"{self.path}:{self.line}: {self.text}"


# (line or step id, sentence)
_Found = Iterator[tuple[str, str]]


def lint(library: Library) -> list[Problem]:
    """Return every problem of a library, file troubles first."""
    problems = [_trouble(text) for text in library.troubles]
    for action in library.actions.values():
        problems.extend(Problem(path="actions.yaml", line=1, text=text) for text in _action_problems(action))
    for runbook in library.runbooks.values():
        problems.extend(lint_runbook(runbook, library))
    problems.extend(_uncovered(library))
    return problems


def lint_runbook(runbook: Runbook, library: Library) -> list[Problem]:
    """Return the problems of one runbook."""
    found = [item for rule in (_broken_paths, _unknown_names) for item in rule(runbook, library)]
    if not found:  # the walks below need steps that exist
        found = [item for rule in _WALKS for item in rule(runbook, library)]
    return [
        Problem(path=runbook.path, line=runbook.lines.get(step_id, 1), text=text) for step_id, text in found
    ]


def _trouble(text: str) -> Problem:
    path, line, rest = text.split(":", 2)
    return Problem(path=path, line=int(line), text=rest.strip())


def _uncovered(library: Library) -> Iterator[Problem]:
    covered = {
        trigger.kind
        for runbook in library.runbooks.values()
        for trigger in runbook.triggers
        if not trigger.causes
    }
    for kind in IncidentKind:
        if kind not in covered:
            text = f"no runbook takes {kind} with any cause: add a trigger without causes"
            yield Problem(path="library", line=1, text=text)


def _broken_paths(runbook: Runbook, _library: Library) -> _Found:
    known = {step.id for step in runbook.steps}
    for step in runbook.steps:
        for goto in successors(step):
            if goto not in known:
                yield step.id, f"step {step.id} goes to {goto}, which is not there"
        if isinstance(step, Check):
            yield from _branch_problems(step)


def _branch_problems(step: Check) -> _Found:
    if sum(branch.otherwise for branch in step.branches) != 1:
        yield step.id, f"check {step.id} needs one branch with `else: true`"
    elif not [b for b in step.branches if not b.timeout][-1].otherwise:
        yield step.id, f"check {step.id}: nothing after `else` can be reached, put it last"
    if sum(branch.timeout for branch in step.branches) != 1:
        yield step.id, f"check {step.id} needs one branch with `timeout: true` for readings that do not come"


def _unknown_names(runbook: Runbook, library: Library) -> _Found:
    kinds = set(IncidentKind)
    for trigger in runbook.triggers:
        if trigger.kind not in kinds:
            yield "", f"no incident is of the kind {trigger.kind}"
    for step in runbook.steps:
        for predicate in _predicates(step):
            yield from ((step.id, f"step {step.id}: {text}") for text in _predicate_problems(predicate, step))
        match step:
            case Check():
                yield from ((step.id, text) for text in _check_problems(step))
            case Act() if step.uses not in library.actions:
                yield step.id, f"step {step.id} uses {step.uses}, which is no action of the library"
            case End():
                yield from ((step.id, text) for text in _redirect_problems(step, library))


def _predicates(step: Step) -> tuple[Predicate, ...]:
    match step:
        case Check():
            return tuple(predicate for branch in step.branches for predicate in branch.predicates)
        case Verify():
            return step.predicates
    return ()


def _predicate_problems(predicate: Predicate, step: Step | None) -> Iterator[str]:
    fact = FACTS.get(predicate.fact)
    if fact is None:
        yield f"{predicate.fact} is no fact; `ringwatch runbook facts` lists them"
    elif fact.source == "verb":
        noun = predicate.fact.partition(".")[0]
        if not isinstance(step, Check) or step.verb.partition(".")[0] != noun:
            yield f"{predicate.fact} is only known in a check with the verb {noun}.inspect"
    ordered = predicate.op in ("<", "<=", ">", ">=", "has_any")
    if ordered and (isinstance(predicate.value, str | tuple | bool)):
        yield f"{predicate}: {predicate.op} compares numbers"


def _check_problems(step: Check) -> Iterator[str]:
    if step.verb:
        verb = BY_NAME.get(step.verb)
        if verb is None:
            yield f"check {step.id}: there is no verb {step.verb}"
        elif verb.risk != "R0":
            yield f"check {step.id}: {step.verb} changes the node ({verb.risk}): make it an action"
    for name in step.shows:
        if name not in FACTS:
            yield f"check {step.id} shows {name}, which is no fact"


def _redirect_problems(step: End, library: Library) -> Iterator[str]:
    if step.outcome == "redirect" and step.runbook not in library.runbooks:
        yield f"end {step.id} redirects to {step.runbook or 'nothing'}, which is no runbook"


def _action_problems(action: Action) -> Iterator[str]:
    for template in (action.target, action.manual, action.dry_run, *action.arguments.values()):
        for name in holes(template):
            if name not in PARAMETERS:
                yield f"action {action.id}: there is no parameter {name}"
    for predicate in (*action.preconditions, *action.verify):
        yield from (f"action {action.id}: {text}" for text in _predicate_problems(predicate, None))
    if action.approval == "none" and action.risk != "R1":
        yield f"action {action.id}: {action.risk} needs an approval"
    if action.risk == "R3" and action.approval != "second_person":
        yield f"action {action.id}: R3 needs a second person"
    if action.role in ("cordon", "proof") and action.recheck != "open":
        yield f"action {action.id}: a {action.role} must not be left out when the signal went: recheck: open"
    if action.verify and not action.settle_s:
        yield f"action {action.id}: how long may what it verifies take? Give settle_s"
    if action.verb:
        yield from _verb_problems(action)


def _verb_problems(action: Action) -> Iterator[str]:
    verb = BY_NAME.get(action.verb)
    if verb is None:
        yield f"action {action.id}: there is no verb {action.verb}"
        return
    if {argument.name for argument in verb.arguments} != set(action.arguments):
        yield f"action {action.id}: {action.verb} takes {[a.name for a in verb.arguments]}"
    if verb.risk > action.risk:
        yield f"action {action.id}: {action.verb} is {verb.risk}, so the action is not {action.risk}"


def _unreachable(runbook: Runbook, _library: Library) -> _Found:
    reached = _reached(runbook, runbook.steps[0].id)
    for step in runbook.steps:
        if step.id not in reached:
            yield step.id, f"no path leads to step {step.id}"


def _endless(runbook: Runbook, _library: Library) -> _Found:
    for step in runbook.steps:
        if not any(isinstance(runbook.step(each), End) for each in _reached(runbook, step.id)):
            yield step.id, f"no path leads from step {step.id} to an end"
    for step in runbook.steps:
        if step.id in _automatic_after(runbook, step.id):
            yield step.id, f"step {step.id} comes back to itself without asking a person on the way"


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
    """What has certainly happened on the way to a step."""

    cordoned: bool = False
    proved: bool = False


def _unsafe(runbook: Runbook, library: Library) -> _Found:
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
            yield f"{step.uses} can be reached without proof: a verify or proof step has to come first"
    if isinstance(step, End) and step.outcome == "resolved" and not walk.proved:
        yield f"end {step.id} closes the incident on a path without a verify step"


def _followed(step: Step, walk: _Walk, library: Library) -> list[tuple[str, _Walk]]:
    match step:
        case Act():
            role = library.actions[step.uses].role
            after = _Walk(
                walk.cordoned or role == "cordon", role == "proof" or (walk.proved and role != "repair")
            )
            return [(step.then, after), (step.on_fail, walk), (step.on_skip, walk)]
        case Verify():
            return [(step.then, _Walk(walk.cordoned, True)), (step.on_fail, _Walk(walk.cordoned, False))]
    return [(goto, walk) for goto in successors(step)]


_WALKS: Final[tuple[Callable[[Runbook, Library], _Found], ...]] = (_unreachable, _endless, _unsafe)
