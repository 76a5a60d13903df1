"""What exactly an action would do here, in words and arguments. Does nothing."""

from __future__ import annotations

from dataclasses import replace

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks import render
from ringwatch_runbooks.model import Action
from ringwatch_runbooks.record import RunRecord, StepRecord
from ringwatch_runbooks.world import World

VERB, CALL, MANUAL = "verb", "call", "manual"


def way_of(world: World, action: Action) -> str:
    """Return how the action is done here; raise RunbookError when this site has no way to do it."""
    if action.verb:
        return VERB
    if action.call and world.repairs.offers(action.call):
        return CALL
    if action.manual:
        return MANUAL
    raise RunbookError(f"{action.call} is not set up at this collector, and the action has no manual way")


def rendered(world: World, run: RunRecord, action: Action, way: str = "") -> StepRecord:
    """Return the current step with what would be done; raise RunbookError when that cannot be said."""
    parameters = world.parameters(run)
    way = way or way_of(world, action)
    arguments = {name: render.fill(hole, parameters) for name, hole in action.arguments.items()}
    words = " ".join(f"{name}={value}" for name, value in arguments.items())
    if way == VERB:
        command = f"{action.verb} {words}".strip() + f" on {render.fill('{node}', parameters)}"
    elif way == CALL:
        command = f"{action.call} {words}".strip()
    else:
        command = render.command(action.manual, parameters)
    target = render.fill(action.target, parameters)
    return replace(
        run.step(run.current),
        command=command,
        arguments=arguments,
        typed_target=target,
        target=target,
        uses=action.id,
        way=way,
    )


def risk_of(action: Action) -> str:
    """Return the risk of an action: its own, and never less than its verb's."""
    return max(action.risk, BY_NAME[action.verb].risk) if action.verb else action.risk
