"""A world for runs that a test holds in its hands: clock, readings, nodes, journal, audit and incidents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import (
    Finding,
    Incident,
    IncidentKind,
    IncidentState,
    Severity,
    Subject,
    Verdict,
    Why,
)
from ringwatch_runbooks.base import Reading, VerbCall, VerbOutcome
from ringwatch_runbooks.engine import RunEngine
from ringwatch_runbooks.load import actions_of, load_library, runbook_of
from ringwatch_runbooks.model import Library, Value
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World

NOW = 1_800_000_000.0
GPU = "GPU-0a1b2c3d"
TARGET = Subject(kind="rank", node="n011", device=GPU, job="llm-70b", rank=90)
PARAMETERS = {
    "node": "n011", "gpu": GPU, "job": "llm-70b", "rank": "90", "pid": "4711", "peer": "n012", "port": "eth0",
}  # fmt: skip


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = NOW

    def now_s(self) -> float:
        return self.seconds


class SetFacts:
    """Readings as a test sets them; nothing is there that was not set."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {"fleet.nodes": 100.0, "fleet.nodes_out": 0.0}
        self.ages: dict[str, float] = {}
        self.known: dict[str, str] = dict(PARAMETERS)
        # What is there while a run is at a step, where a test plans a whole way ahead.
        self.planned: Callable[[], dict[str, Value] | None] = lambda: None

    def read(self, name: str, target: Subject) -> Reading | None:
        del target
        planned = self.planned()
        if planned is not None:
            return Reading(name=name, value=planned[name]) if name in planned else None
        if name not in self.values:
            return None
        return Reading(name=name, value=self.values[name], age_s=self.ages.get(name, 0.0))

    def parameters(self, target: Subject) -> Mapping[str, str]:
        del target
        return self.known


class Node:
    """Answers verbs as a test sets it; ``gate`` holds answers back until it is opened."""

    def __init__(self) -> None:
        self.calls: list[VerbCall] = []
        self.outcome = VerbOutcome(status="done", text="done")
        self.gate: asyncio.Event | None = None
        self.planned: Callable[[], VerbOutcome] | None = None

    async def call(self, call: VerbCall) -> VerbOutcome:
        self.calls.append(call)
        if self.gate is not None:
            await self.gate.wait()
        if self.planned is not None and call.verb.endswith("inspect"):
            return self.planned()
        return self.outcome

    @property
    def acted(self) -> list[str]:
        """Names of the verbs that were to change something."""
        return [call.verb for call in self.calls if not call.verb.endswith("inspect") and not call.dry_run]


class Memory:
    """A journal that survives engines, and that can be broken."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.states: list[str] = []
        self.broken = False

    async def save(self, run: str, incident: str, state: str, document: str) -> None:
        del incident
        if self.broken:
            raise StoreError("the disk is full")
        self.documents[run] = document
        self.states.append(state)


class Ledger:
    """Keeps audit records."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []

    async def record(
        self, *, actor: str, action: str, target: str, incident: str, reason: str, result: str
    ) -> None:
        self.records.append(
            {"actor": actor, "action": action, "target": target, "incident": incident, "reason": reason,
             "result": result}
        )  # fmt: skip

    def of(self, action: str) -> list[dict[str, str]]:
        return [record for record in self.records if record["action"] == action]


class Cases:
    """Incidents as a test sets them; one that is still seen is not closed."""

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.notes: list[str] = []
        self.planned: Callable[[], dict[str, Value] | None] = lambda: None

    def get(self, incident: str) -> Incident | None:
        planned = self.planned()
        if planned is None:
            return self.incidents.get(incident)
        if "incident.absent" in planned:
            return None
        changes = {
            name.removeprefix("incident."): value
            for name, value in planned.items()
            if name.startswith("incident.")
        }
        return replace(self.incidents[incident], **changes)  # type: ignore[arg-type]

    async def attach(self, incident: str, run: str, author: str) -> None:
        del author
        self.change(incident, run=run)

    async def resolve(self, incident: str, author: str, text: str) -> None:
        del author
        if self.incidents[incident].active:
            raise ValueError(f"{incident} is still seen")
        self.notes.append(text)
        self.change(incident, state=IncidentState.RESOLVED)

    async def note(self, incident: str, author: str, text: str) -> None:
        del incident, author
        self.notes.append(text)

    def change(self, incident: str, **changes: object) -> None:
        self.incidents[incident] = replace(self.incidents[incident], **changes)  # type: ignore[arg-type]


def incident(
    kind: IncidentKind = IncidentKind.STRAGGLER_COMPUTE,
    cause: str = "thermal_slowdown",
    culprit: Subject = TARGET,
    id: str = "I-1",
) -> Incident:
    finding = Finding(
        kind=kind, detector="test", culprit=culprit, cause=cause, verdict=Verdict.HARDWARE,
        severity=Severity.CRITICAL, confidence=0.9, onset_s=NOW - 60, summary="it is slow",
        why=Why(rule="r", source="s"),
    )  # fmt: skip
    return Incident(
        id=id, state=IncidentState.NEW, severity=Severity.CRITICAL, kind=kind, culprit=culprit, cause=cause,
        verdict=Verdict.HARDWARE, summary="it is slow", confidence=0.9, onset_s=NOW - 60, opened_s=NOW - 50,
        updated_s=NOW, findings=(finding,),
    )  # fmt: skip


@cache
def packaged_library() -> Library:
    """Return the library that Ringwatch brings, read once for all tests."""
    return load_library()


@dataclass(kw_only=True)
class Rig:
    """One engine and everything around it."""

    library: Library = field(default_factory=packaged_library)
    clock: HandClock = field(default_factory=HandClock)
    facts: SetFacts = field(default_factory=SetFacts)
    node: Node = field(default_factory=Node)
    journal: Memory = field(default_factory=Memory)
    audit: Ledger = field(default_factory=Ledger)
    cases: Cases = field(default_factory=Cases)

    def __post_init__(self) -> None:
        if not self.cases.incidents:
            self.cases.incidents["I-1"] = incident()
        self.engine = self._engine()

    def _engine(self, documents: Sequence[str] = ()) -> RunEngine:
        world = World(
            library=self.library, facts=self.facts, verbs=self.node, journal=self.journal, audit=self.audit,
            incidents=self.cases, clock=self.clock,
        )  # fmt: skip
        return RunEngine(world, documents)

    async def restart(self) -> None:
        """End the engine as a kill does, and begin another on the same journal."""
        await self.engine.close()
        self.engine = self._engine(tuple(self.journal.documents.values()))

    async def pass_time(self, seconds: float, step_s: float = 0.5) -> None:
        """Let time pass with a look every ``step_s``."""
        for _ in range(max(1, round(seconds / step_s))):
            self.clock.seconds += step_s
            await asyncio.sleep(0)  # what nodes answer arrives
            await self.engine.tick()

    async def start(self, runbook: str, author: str = "ana") -> RunRecord:
        return await self.engine.start("I-1", runbook, author)

    async def say(self, action: str, text: str = "", author: str = "ana", run: str = "R-1") -> RunRecord:
        return await self.engine.answer(run, self.run.current, action, text, author)

    @property
    def run(self) -> RunRecord:
        return self.engine.all()[-1]


ACTIONS = Path(__file__).parents[1] / "fixtures" / "runbooks" / "actions.yaml"


def small_library(*steps: str, head: str = "", actions: str = "") -> Library:
    """Return a library of one runbook, ``small``, made of these steps."""
    text = f"""\
schema: runbook/v1
id: small
revision: 1
title: {{en: A small runbook, zh: 小手册}}
first_rule: {{en: Look first, zh: 先看}}
severity: warning
triggers: [{{kind: straggler.compute}}]
never: [act before you look]
sources: ["https://example.org"]
{head}steps:
""" + "\n".join(steps)
    return Library(
        runbooks={"small": runbook_of(text, "small.yaml")},
        actions=actions_of(actions or ACTIONS.read_text(encoding="utf-8"), "actions.yaml"),
    )


END = "  - {id: over, kind: end, outcome: handed_over, note: Others have it}"
FIXED = "  - {id: fixed, kind: end, outcome: resolved, note: It is repaired}"
ACT = """\
  - id: act
    kind: action
    title: Take back the clocks
    uses: reset_clocks
    then: proof
    on_fail: over
    on_skip: over"""
PROOF = """\
  - id: proof
    kind: verify
    title: Is it fast again?
    healthy_s: 10
    timeout_s: 60
    facts: [{fact: gpu.sm_clock_ratio_to_peers, op: ">=", value: 0.9}]
    then: fixed
    on_fail: still"""
STILL = """\
  - id: still
    kind: ask
    title: It is still slow
    question: What now?
    options: [{answer: try again, goto: act}, {answer: hand over, goto: over}]"""
REPAIR = (ACT, PROOF, STILL, FIXED, END)


def repair_rig() -> Rig:
    """Return a rig at the action of a small repair, with a node that is there."""
    rig = Rig(library=small_library(*REPAIR))
    rig.facts.values |= {"node.connected": True, "gpu.sm_clock_ratio_to_peers": 0.6}
    return rig
