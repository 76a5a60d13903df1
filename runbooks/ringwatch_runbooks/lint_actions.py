"""Actions that are not safe, whoever uses them. Knows no runbook."""

from __future__ import annotations

from collections.abc import Iterator

from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks import calls
from ringwatch_runbooks.fact_names import PARAMETERS
from ringwatch_runbooks.lint_names import predicate_problems
from ringwatch_runbooks.model import Action, Library
from ringwatch_runbooks.render import holes


def action_problems(action: Action, _library: Library) -> Iterator[str]:
    """Yield what is wrong with an action, as sentences."""
    for template in (action.target, action.manual, action.dry_run, *action.arguments.values()):
        for name in holes(template):
            if name not in PARAMETERS:
                yield f"action {action.id}: there is no parameter {name}; there are {', '.join(PARAMETERS)}"
    for predicate in (*action.preconditions, *action.verify):
        yield from (f"action {action.id}: {text}" for text in predicate_problems(predicate, None))
    yield from _consent_problems(action)
    yield from _role_problems(action)
    if action.verify and not action.settle_s:
        yield f"action {action.id}: how long may what it verifies take? Give settle_s"
    if action.verb:
        yield from _verb_problems(action)
    if action.call or action.undo_call:
        yield from _call_problems(action)


def _consent_problems(action: Action) -> Iterator[str]:
    if action.approval == "none" and action.risk != "R1":
        yield f"action {action.id}: {action.risk} needs an approval"
    if action.risk == "R3" and action.approval != "second_person":
        yield f"action {action.id}: R3 needs a second person"
    limits = action.limits
    if action.risk != "R1" and not (limits.incident or limits.job or limits.fleet):
        yield f"action {action.id}: {action.risk} needs a blast-radius limit: give limits"


def _role_problems(action: Action) -> Iterator[str]:
    if action.role in ("cordon", "proof") and action.recheck != "open":
        yield f"action {action.id}: a {action.role} must not be left out when the signal went: recheck: open"
    if action.role == "repair" and not action.needs_cordon:
        yield f"action {action.id}: a repair needs the node out of service: needs_cordon: true"
    if action.role == "return" and not action.needs_proof:
        yield f"action {action.id}: a return to service needs proof: needs_proof: true"


def _verb_problems(action: Action) -> Iterator[str]:
    verb = BY_NAME.get(action.verb)
    if verb is None:
        yield f"action {action.id}: there is no verb {action.verb}; there are {', '.join(BY_NAME)}"
        return
    if {argument.name for argument in verb.arguments} != set(action.arguments):
        yield f"action {action.id}: {action.verb} takes {[a.name for a in verb.arguments]}"
    if verb.risk > action.risk:
        yield f"action {action.id}: {action.verb} is {verb.risk}, so the action is not {action.risk}"


def _call_problems(action: Action) -> Iterator[str]:
    for name in filter(None, (action.call, action.undo_call)):
        if not calls.is_known(name):
            yield f"action {action.id}: there is no call {name}; there are {', '.join(calls.BY_NAME)}"
    call = calls.BY_NAME.get(action.call)
    if call is None:
        return
    if set(call.arguments) != set(action.arguments):
        yield f"action {action.id}: {action.call} takes {list(call.arguments)}"
    if call.risk > action.risk:
        yield f"action {action.id}: {action.call} is {call.risk}, so the action is not {action.risk}"
    if call.evicts and not action.needs_cordon:
        yield f"action {action.id}: {action.call} moves work, which may come back: needs_cordon: true"
    if call.returns and action.role != "return":
        yield f"action {action.id}: {action.call} returns the node: give role: return, needs_proof: true"
