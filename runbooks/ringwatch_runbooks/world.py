"""What step handlers work with: the protocols, the library, and what is under way right now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringwatch_proto.records import Incident, Subject
from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks import render
from ringwatch_runbooks.base import (
    Audit,
    Clock,
    Facts,
    Incidents,
    Journal,
    NodeVerbs,
    NoRepairs,
    Reading,
    RepairCall,
    Repairs,
    VerbCall,
    VerbOutcome,
)
from ringwatch_runbooks.judge import Evidence
from ringwatch_runbooks.model import Library
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.safety import Breaker, Policy


@dataclass(slots=True, kw_only=True)
class World:
    """Shared by all runs of one engine. ``calls`` and ``answers`` die with the process, runs do not."""

    library: Library
    facts: Facts
    verbs: NodeVerbs
    journal: Journal
    audit: Audit
    incidents: Incidents
    clock: Clock
    repairs: Repairs = field(default_factory=NoRepairs)
    policy: Policy = field(default_factory=Policy)
    breaker: Breaker = field(default_factory=Breaker)
    # every run, for what is counted over all of them; the engine sets it
    runs: Callable[[], Iterable[RunRecord]] = tuple
    # run id -> the verb that is under way for its current step
    calls: dict[str, asyncio.Task[VerbOutcome]] = field(default_factory=dict)
    # run id -> when the verb of its current check answered, and what
    answers: dict[str, tuple[float, VerbOutcome]] = field(default_factory=dict)

    def incident(self, run: RunRecord) -> Incident | None:
        """Return the run's incident as it is now."""
        return self.incidents.get(run.incident)

    def evidence(self, run: RunRecord, asked: str = "") -> Evidence:
        """Return everything that the run's current step can read now; ``asked`` is its verb or call."""
        return Evidence(self.facts, run.target, self.incident(run), self._answered(run, asked))

    def _answered(self, run: RunRecord, asked: str) -> Mapping[str, Reading]:
        at_s, outcome = self.answers.get(run.id, (0.0, None))
        if not asked or outcome is None:
            return {}
        age_s = max(0.0, self.clock.now_s() - at_s)
        noun = asked.partition(".")[0]
        named = {key if "." in key else f"{noun}.{key}": value for key, value in outcome.facts.items()}
        return {
            name: Reading(name=name, value=_value(value), age_s=age_s, text=value)
            for name, value in named.items()
        }

    def parameters(self, run: RunRecord) -> dict[str, str]:
        """Return what can be filled in for the run's target, as it is now."""
        return {**self.facts.parameters(run.target), "incident": run.incident, "run": run.id}

    def verb_call(
        self, run: RunRecord, verb: str, arguments: Mapping[str, str], timeout_s: float, **who: str
    ) -> VerbCall:
        """Return the call of a verb on the run's node; raise RunbookError when a parameter is missing."""
        return VerbCall(
            node=render.fill("{node}", self.parameters(run)),
            verb=verb,
            arguments=arguments,
            timeout_s=timeout_s,
            requested_by=who.get("requested_by", run.started_by),
            approved_by=who.get("approved_by", ""),
            incident=run.incident,
        )

    def arguments_of(self, run: RunRecord, verb: str) -> dict[str, str]:
        """Return the arguments of a verb by their own names; raise RunbookError when one is missing."""
        parameters = self.parameters(run)
        names = [argument.name for argument in BY_NAME[verb].arguments]
        return {name: render.fill("{" + name + "}", parameters) for name in names}

    def repair_call(
        self, run: RunRecord, name: str, arguments: Mapping[str, str], timeout_s: float, **who: str
    ) -> RepairCall:
        """Return the call of an adapter for the run."""
        return RepairCall(
            name=name,
            arguments=arguments,
            timeout_s=timeout_s,
            requested_by=who.get("requested_by", run.started_by),
            approved_by=who.get("approved_by", ""),
            incident=run.incident,
            run=run.id,
            text=who.get("text", ""),
        )

    def launch(self, run: RunRecord, call: VerbCall | RepairCall) -> None:
        """Begin a verb or a call; its result is taken by a later look."""
        work: Coroutine[Any, Any, VerbOutcome]
        work = self.verbs.call(call) if isinstance(call, VerbCall) else self.repairs.call(call)
        self.calls[run.id] = asyncio.create_task(work, name=f"{run.id} {call}"[:80])

    def came_of(self, run: RunRecord) -> VerbOutcome | None:
        """Return what came of the step's verb; None while it is under way.

        The call is remembered until the run has left the step and that is journalled: a verb whose
        result could not be written down must not be sent a second time.
        """
        task = self.calls.get(run.id)
        if task is None or not task.done():
            return None
        if task.cancelled():
            return VerbOutcome(status="failed", text="the call was ended")
        error = task.exception()
        if error is not None:
            return VerbOutcome(status="failed", text=f"{type(error).__name__}: {error}"[:300])
        return task.result()

    def give_up(self, run: RunRecord) -> None:
        """End waiting for the verb under way."""
        self.calls[run.id].cancel()

    def forget(self, run: RunRecord) -> None:
        """Forget the verb of a step that the run has left."""
        self.calls.pop(run.id, None)
        self.answers.pop(run.id, None)


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def overlap(one: Subject, other: Subject) -> bool:
    """Say whether work on one target can disturb work on the other."""
    if one.node and one.node == other.node and _same_or_any(one.device, other.device):
        return one.rank < 0 or other.rank < 0 or one.rank == other.rank or bool(one.device)
    if not one.job or one.job != other.job:
        return False
    kinds = {one.kind, other.kind}
    return "job" in kinds or kinds == {"none"} or one.rank == other.rank >= 0


def _same_or_any(one: str, other: str) -> bool:
    return not one or not other or one == other
