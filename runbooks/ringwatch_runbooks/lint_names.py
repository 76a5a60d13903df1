"""Names and forms in a runbook: steps, facts, verbs, calls, actions that are not there. Walks no path."""

from __future__ import annotations

from collections.abc import Iterator

from ringwatch_proto.records import IncidentKind
from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks import calls
from ringwatch_runbooks.fact_names import FACTS, PARAMETERS
from ringwatch_runbooks.model import (
    Act,
    Ask,
    Check,
    End,
    Library,
    Predicate,
    Runbook,
    Step,
    Verify,
    successors,
)
from ringwatch_runbooks.problem import Found
from ringwatch_runbooks.render import holes


def broken_paths(runbook: Runbook, _library: Library) -> Found:
    """Yield steps that lead nowhere, and checks without an else or a time-out."""
    known = {step.id for step in runbook.steps}
    for step in runbook.steps:
        for goto in successors(step):
            if goto not in known:
                yield (
                    step.id,
                    f"step {step.id} goes to {goto}, which is not there: add it or name one that is",
                )
        if isinstance(step, Check):
            yield from _branch_problems(step)


def _branch_problems(step: Check) -> Found:
    if sum(branch.otherwise for branch in step.branches) != 1:
        yield step.id, f"check {step.id} needs one branch with `else: true`"
    elif not [b for b in step.branches if not b.timeout][-1].otherwise:
        yield step.id, f"check {step.id}: nothing after `else` can be reached, put it last"
    if sum(branch.timeout for branch in step.branches) != 1:
        yield step.id, f"check {step.id} needs one branch with `timeout: true` for readings that do not come"


def unknown_names(runbook: Runbook, library: Library) -> Found:
    """Yield names that nothing stands behind."""
    kinds = set(IncidentKind)
    for trigger in runbook.triggers:
        if trigger.kind not in kinds:
            yield "", f"no incident is of the kind {trigger.kind}; there are {', '.join(sorted(kinds))}"
    for step in runbook.steps:
        for predicate in _predicates(step):
            yield from ((step.id, f"step {step.id}: {text}") for text in predicate_problems(predicate, step))
        match step:
            case Check():
                yield from ((step.id, text) for text in _check_problems(step))
            case Ask():
                yield from ((step.id, text) for text in _ask_problems(step))
            case Act() if step.uses not in library.actions:
                yield (
                    step.id,
                    f"step {step.id} uses {step.uses}, which is no action of the library: see actions.yaml",
                )
            case End():
                yield from ((step.id, text) for text in _redirect_problems(step, library))


def _predicates(step: Step) -> tuple[Predicate, ...]:
    match step:
        case Check():
            return tuple(predicate for branch in step.branches for predicate in branch.predicates)
        case Verify():
            return step.predicates
    return ()


def predicate_problems(predicate: Predicate, step: Step | None) -> Iterator[str]:
    """Yield what is wrong with a comparison, in a step or (None) in an action."""
    fact = FACTS.get(predicate.fact)
    if fact is None:
        yield f"{predicate.fact} is no fact; `ringwatch runbook facts` lists them"
    elif fact.source == "verb":
        noun = predicate.fact.partition(".")[0]
        asked = (step.verb or step.call).partition(".")[0] if isinstance(step, Check) else ""
        if asked != noun:
            how = "the call scheduler.state" if noun == "scheduler" else f"the verb {noun}.inspect"
            yield f"{predicate.fact} is only known in a check with {how}"
    ordered = predicate.op in ("<", "<=", ">", ">=", "has_any")
    if ordered and (isinstance(predicate.value, str | tuple | bool)):
        yield f"{predicate}: {predicate.op} compares numbers"


def _check_problems(step: Check) -> Iterator[str]:
    if step.verb and step.call:
        yield f"check {step.id} has a verb and a call: make two checks of it"
    if step.call:
        call = calls.BY_NAME.get(step.call)
        if not calls.is_known(step.call):
            yield f"check {step.id}: there is no call {step.call}"
        elif call is None or call.risk != "R0":
            yield f"check {step.id}: {step.call} may change something: make it an action"
    if step.verb:
        verb = BY_NAME.get(step.verb)
        if verb is None:
            yield f"check {step.id}: there is no verb {step.verb}; there are {', '.join(BY_NAME)}"
        elif verb.risk != "R0":
            yield f"check {step.id}: {step.verb} changes the node ({verb.risk}): make it an action"
    for name in step.shows:
        if name not in FACTS:
            yield f"check {step.id} shows {name}, which is no fact; `ringwatch runbook facts` lists them"


def _ask_problems(step: Ask) -> Iterator[str]:
    for name in holes(step.look):
        if name not in PARAMETERS:
            yield f"ask {step.id}: there is no parameter {name}; there are {', '.join(PARAMETERS)}"


def _redirect_problems(step: End, library: Library) -> Iterator[str]:
    if step.outcome == "redirect" and step.runbook not in library.runbooks:
        where = step.runbook or "nothing"
        yield f"end {step.id} redirects to {where}, which is no runbook: `ringwatch runbook list` names them"
