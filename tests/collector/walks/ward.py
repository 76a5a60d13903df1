"""A ward for incidents: real book, store, audit log, desk, engine and library; the clock is held in the hand.

What detectors say, what can be read, and what nodes and site do are set by the test: the patient is
emulated, everything between the page and the close is real.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.runbooks.rig import NOW, TARGET, HandClock, Node, SetFacts, packaged_library

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.counters import Counters
from ringwatch_collector.desk import Desk
from ringwatch_collector.follow import Bell
from ringwatch_collector.fusion import Fused
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.repair.proof import Proof
from ringwatch_collector.repair.switchboard import Switchboard
from ringwatch_collector.run_world import ChainedAudit, DeskIncidents, StoreJournal
from ringwatch_collector.runs import runbooks_for
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store
from ringwatch_proto.probe import Measure, ProbeResult, to_json
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
from ringwatch_runbooks.base import Person, RepairCall, VerbCall, VerbOutcome
from ringwatch_runbooks.engine import RunEngine
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World

ANA = Person(name="ana", proven=True, approves=False, rules=False)
BO = Person(name="bo", proven=True, approves=True, rules=False)
NODE = Subject(kind="node", node="n011", job="llm-70b")
GPU = Subject(kind="gpu", node="n011", device=TARGET.device, job="llm-70b")


class Scheduler:
    """An emulated scheduler, and scripts of the site: they hold a state, and ``gate`` holds them back."""

    calls = (
        "scheduler.state", "scheduler.drain", "scheduler.resume", "scheduler.move", "script.reset_gpu",
        "script.reboot_node", "script.power_cycle_node", "script.restart_agent", "ticket.open", "chat.send",
    )  # fmt: skip

    def __init__(self) -> None:
        self.out = False
        self.done: list[str] = []
        self.texts: list[str] = []
        self.gate: asyncio.Event | None = None

    async def plan(self, call: RepairCall) -> VerbOutcome:
        return VerbOutcome(status="done", text=f"would {call.name}")

    async def do(self, call: RepairCall) -> VerbOutcome:
        if self.gate is not None and call.name.startswith("script."):
            await self.gate.wait()
        before = "drained" if self.out else "idle"
        self.out = {"scheduler.drain": True, "scheduler.resume": False}.get(call.name, self.out)
        self.done.append(call.name)
        self.texts.append(call.text)
        return VerbOutcome(
            status="done", text=f"{call.name}: before {before}, after {'drained' if self.out else 'idle'}"
        )


class Patient(Node):
    """A node whose probe finds what the test has set."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong = ""

    async def call(self, call: VerbCall) -> VerbOutcome:
        if call.verb != "node.probe":
            return await super().call(call)
        self.calls.append(call)
        measure = Measure(name="gemm.correct", device="cuda:0", kind="H100", wrong=self.wrong)
        found = ProbeResult(node=call.node, at_s=NOW, level="full", seconds=60.0, measures=(measure,))
        status = "failed" if self.wrong else "done"
        return VerbOutcome(status=status, text="probed", facts={"result": to_json(found)})


@dataclass(kw_only=True)
class Ward:
    """One collector's worth of parts around one incident."""

    folder: Path
    clock: HandClock = field(default_factory=HandClock)
    facts: SetFacts = field(default_factory=SetFacts)
    node: Patient = field(default_factory=Patient)
    site: Scheduler = field(default_factory=Scheduler)
    finding: Finding | None = None
    events: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Build everything on what is on disk."""
        clock: Any = self.clock
        self.store = Store(sqlite_url(self.folder), Counters())
        self.audit = AuditLog(self.store, clock)
        bell = Bell()
        stored = sorted(self.store.incidents(0.0), key=lambda each: each.opened_s)
        self.book = IncidentBook(IncidentPolicy(), lambda each: runbooks_for(self.engine, each), stored)
        desk = Desk(book=self.book, store=self.store, audit=self.audit, bell=bell, clock=clock)
        world = World(
            library=packaged_library(),
            facts=self.facts,
            verbs=self.node,
            journal=StoreJournal(self.store, clock),
            audit=ChainedAudit(self.audit),
            incidents=DeskIncidents(desk),
            clock=clock,
            repairs=Switchboard([self.site, Proof(self.node, self.folder / "proofs.jsonl")]),
        )
        self.desk = desk
        self.engine = RunEngine(world, [stored.document for stored in self.store.runs()])

    async def close(self) -> None:
        """End everything as a stop does."""
        await self.engine.close()
        await asyncio.to_thread(self.store.close, 5.0)

    async def crash(self) -> None:
        """Lose everything that is not on disk."""
        await self.close()
        self.open()

    def ill(self, kind: IncidentKind, cause: str, culprit: Subject, *, latched: bool = False) -> None:
        """Have a detector say this at every look from now on."""
        self.finding = Finding(
            kind=kind, detector="ward", culprit=culprit, cause=cause, verdict=Verdict.HARDWARE,
            severity=Severity.CRITICAL, confidence=0.9, onset_s=self.clock.seconds,
            summary=f"{culprit}: {cause}",
            why=Why(rule="set by the test", source="ward"), gpus_held=1.0, latched=latched,
        )  # fmt: skip

    def well(self, **facts: object) -> None:
        """Have the detector fall silent, and readings say so."""
        self.finding = None
        self.facts.values |= facts  # type: ignore[arg-type]

    async def pass_time(self, seconds: float) -> None:
        """Let detectors look and runs move, twice a second."""
        for _ in range(max(1, round(seconds * 2))):
            self.clock.seconds += 0.5
            found = [] if self.finding is None else [Fused(primary=self.finding)]
            changed = self.book.update(found, self.clock.seconds)
            if changed:
                await self.store.put_incidents(changed)
            self.events += [f"{each.id} {each.state.value}" for each in changed]
            await asyncio.sleep(0)
            await self.engine.tick()
            await asyncio.sleep(0)

    @property
    def incident(self) -> Incident:
        """The newest incident."""
        return self.book.all()[-1]

    @property
    def run(self) -> RunRecord:
        """The newest run."""
        return self.engine.all()[-1]

    async def paged(self, best: str) -> None:
        """Wait for the page; the best runbook is named on it."""
        await self.pass_time(1)
        assert self.incident.pages
        assert self.incident.state is IncidentState.NEW
        assert self.incident.runbooks[0] == best, self.incident.runbooks
        await self.desk.act(self.incident.id, "acknowledge", "ana", "I have it")

    async def start(self, runbook: str, who: str = "ana") -> None:
        await self.engine.start(self.incident.id, runbook, who)
        await self.pass_time(1)

    async def say(self, step: str, action: str, text: str = "", who: Person = ANA) -> None:
        """Answer the step that the run has to be at, and let what follows happen."""
        assert self.run.current == step, f"at {self.run.current}: {self.run.step(self.run.current)}"
        await self.engine.answer(self.run.id, step, action, text, who)
        await self.pass_time(1)
        await self._until_done()

    async def _until_done(self) -> None:
        """Let what works on a thread come back; the clock of the ward stands still meanwhile."""
        for _ in range(500):
            if self.site.gate is not None or self.run.step(self.run.current).phase != "acting":
                return
            await asyncio.sleep(0.01)
            await self.engine.tick()
        raise AssertionError(f"{self.run.current} never came back")

    async def approve(self, step: str, who: Person = ANA, *, target: str = "n011") -> None:
        await self.say(step, "approve", target, who)

    async def by_hand(self, step: str, *, target: str = "n011", word: str = "done") -> None:
        """Approve a command, run it elsewhere, and say how it went."""
        await self.approve(step, target=target)
        await self.say(step, "answer", word)

    def assert_closed(self, *, by_probe: bool) -> None:
        """Assert a verified close: the state, the record, and the chain of who did what."""
        assert self.run.state == "succeeded", (self.run.current, self.run.step(self.run.current))
        assert self.incident.state is IncidentState.RESOLVED
        assert not self.incident.active
        assert bool([call for call in self.node.calls if call.verb == "node.probe"]) is by_probe
        assert not self.site.out
        log = self.audit.records(1000)
        assert log.chain_intact
        actions = [record.action for record in log.records]
        assert "incident.resolve" in actions
        assert actions.count("run.start") == len(self.engine.all())

    def audited(self, action: str) -> list[tuple[str, str]]:
        """Return who and what of the records of an action."""
        return [
            (each.actor, each.result) for each in self.audit.records(1000).records if each.action == action
        ]


@asynccontextmanager
async def open_ward(folder: Path, **facts: object) -> AsyncIterator[Ward]:
    """Open a ward with these readings until the end of the block."""
    ward = Ward(folder=folder)
    ward.facts.values |= {"node.connected": True, "fleet.nodes": 20.0, "fleet.nodes_out": 0.0}
    ward.facts.values |= facts  # type: ignore[arg-type]
    ward.open()
    try:
        yield ward
    finally:
        await ward.close()


__all__ = ["ANA", "BO", "GPU", "NODE", "TARGET", "Ward", "open_ward", "replace"]
