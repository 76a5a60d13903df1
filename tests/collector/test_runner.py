"""The detection loop: rules that work, rules that fail, what is stored before anyone is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from ringwatch_collector.clock import Clock
from ringwatch_collector.counters import Counters
from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.follow import Bell
from ringwatch_collector.fusion import fuse
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.runner import Runner
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, IncidentKind, Severity, Subject, Verdict, Why


def finding(node: str = "n1") -> Finding:
    """Return a finding about a node."""
    return Finding(
        kind=IncidentKind.AGENT_SILENT,
        detector="seeing",
        culprit=Subject(kind="node", node=node),
        cause="agent_silent",
        verdict=Verdict.CANNOT_TELL,
        severity=Severity.WARNING,
        confidence=0.5,
        onset_s=time.time(),
        summary=f"{node} is silent",
        why=Why(rule="test", source="test"),
    )


class Seeing:
    """A rule that sees what it was told to see."""

    name = "seeing"

    def __init__(self, *findings: Finding) -> None:
        self.findings = list(findings)

    def look(self, view: FleetView) -> list[Finding]:
        """Return the findings."""
        assert view.now_s > 0
        return self.findings


class Failing:
    """A rule that fails until it is mended."""

    name = "failing"

    def __init__(self) -> None:
        self.mended = False

    def look(self, view: FleetView) -> list[Finding]:
        """Raise, until mended."""
        if not self.mended:
            raise ZeroDivisionError(f"at {view.now_s:.0f}")
        return []


class Loop:
    """A runner with everything that it needs."""

    def __init__(self, folder: Path, detectors: Sequence[Seeing | Failing]) -> None:
        self.counters = Counters()
        self.clock = Clock()
        self.store = Store(sqlite_url(folder), self.counters)
        self.bell = Bell()
        self.book = IncidentBook(IncidentPolicy(), lambda _: ())
        self.fleet = FleetState(FleetPolicy(), self.counters.dropped, self.clock.now_s())
        self.runner = Runner(
            detectors=detectors,
            fuse=fuse,
            book=self.book,
            fleet=self.fleet,
            store=self.store,
            bell=self.bell,
            clock=self.clock,
            counters=self.counters,
            tick_s=0.01,
        )


async def test_an_incident_is_on_disk_before_followers_wake(tmp_path: Path) -> None:
    """Whoever is told of an incident finds it again after a crash."""
    loop = Loop(tmp_path, [Seeing(finding())])
    waiting = asyncio.create_task(loop.bell.after(0))
    await loop.runner.look()
    assert await waiting == 1
    (stored,) = loop.store.incidents(0.0)
    assert stored.culprit.node == "n1"
    assert stored.id == loop.book.all()[0].id
    loop.store.close()


async def test_a_rule_that_raises_is_counted_shown_and_stops_no_other(tmp_path: Path) -> None:
    """Its trouble goes when it works again."""
    failing = Failing()
    loop = Loop(tmp_path, [failing, Seeing(finding())])
    await loop.runner.look()
    assert len(loop.book.all()) == 1
    assert loop.runner.rules_active == 1
    assert loop.counters.detector_failures["failing"] == 1
    assert "rule failing fails: ZeroDivisionError" in loop.runner.troubles[0]
    failing.mended = True
    await loop.runner.look()
    assert loop.runner.rules_active == 2
    assert not loop.runner.troubles
    loop.store.close()


async def test_the_loop_goes_on_until_it_is_cancelled(tmp_path: Path) -> None:
    """Followers are woken at every look."""
    loop = Loop(tmp_path, [])
    running = asyncio.create_task(loop.runner.run())
    assert await asyncio.wait_for(loop.bell.after(5), 20) > 5
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    loop.store.close()
