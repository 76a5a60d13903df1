"""The detection loop: view, detectors, fusion, incident book, disk, then those who follow. Finds nothing."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from time import thread_time
from typing import Final, Protocol

from ringwatch_collector.cadence import Cadence
from ringwatch_collector.clock import Clock
from ringwatch_collector.counters import Counters
from ringwatch_collector.detectors.base import Detector
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.follow import Bell
from ringwatch_collector.fusion import Fused
from ringwatch_collector.garbage import Garbage
from ringwatch_collector.store.store import Store
from ringwatch_collector.trouble import jobs_in_trouble
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, Incident

_LOG: Final = logging.getLogger("ringwatch.collector.runner")
_RECENT_LOOKS: Final = 600
# How long those who follow wait for the disk; after that they are told, beside the trouble.
_PERSIST_S: Final = 1.0


class Book(Protocol):
    """What the loop needs of the incident book."""

    def update(self, findings: Sequence[Fused], now_s: float) -> list[Incident]:
        """Take what is found now; return the incidents to store."""
        ...

    def all(self) -> tuple[Incident, ...]:
        """Return every incident."""
        ...


Fuse = Callable[[Sequence[Finding], FleetView], list[Fused]]


class Runner:
    """Looks at the fleet every ``tick_s``. A detector that raises is its own trouble; the others go on."""

    def __init__(
        self,
        *,
        detectors: Sequence[Detector],
        fuse: Fuse,
        book: Book,
        fleet: FleetState,
        store: Store,
        bell: Bell,
        clock: Clock,
        counters: Counters,
        tick_s: float,
    ) -> None:
        self._detectors = detectors
        self._fuse = fuse
        self._book = book
        self._fleet = fleet
        self._store = store
        self._bell = bell
        self._clock = clock
        self._counters = counters
        self._tick_s = tick_s
        self._troubles: dict[str, str] = {}
        self._cadence = Cadence()
        self._garbage = Garbage()
        self._said: defaultdict[str, list[Finding]] = defaultdict(list)
        self.evaluated_s = -math.inf
        self.tick_ms = 0.0
        # How long the newest looks took: what a page that is read now and then would miss.
        self.recent_ms: deque[float] = deque(maxlen=_RECENT_LOOKS)

    @property
    def rules_active(self) -> int:
        """Return how many detectors did their work at the last look."""
        return len(self._detectors) - len(self._troubles.keys() - {"ringwatch"})

    @property
    def troubles(self) -> list[str]:
        """Return what keeps detectors from their work, in words."""
        return list(self._troubles.values())

    async def run(self) -> None:
        """Look until cancelled. A late look is not made up for."""
        due_s = self._clock.monotonic_s()
        while True:
            due_s = max(due_s + self._tick_s, self._clock.monotonic_s())
            try:
                await self.look()
                self._troubles.pop("ringwatch", None)
            except Exception as error:  # noqa: BLE001  (a rule that fails must not stop the others)
                self._note("ringwatch", error)
            await asyncio.sleep(max(0.0, due_s - self._clock.monotonic_s()))

    async def look(self) -> None:
        """Look once."""
        began_s, now_s = self._clock.monotonic_s(), self._clock.now_s()
        view = self._fleet.view(now_s)
        with self._fleet.looking():
            findings = await self._findings(view)
            changed = self._book.update(self._fuse(findings, view), now_s)
            ill = jobs_in_trouble(self._book.all(), view)
        self._fleet.learn(now_s, ill)
        self._garbage.note(len(view.nodes.names))
        self._counters.ticks += 1
        self.tick_ms = (self._clock.monotonic_s() - began_s) * 1000
        self.recent_ms.append(self.tick_ms)
        if changed:
            stored = self._store.put_incidents(changed)
            if not self._store.trouble:
                await asyncio.wait([stored], timeout=_PERSIST_S)
        self.evaluated_s = now_s
        self._bell.ring()

    async def _findings(self, view: FleetView) -> list[Finding]:
        """Ask the rules that are due; what the others said last still stands."""
        due = self._cadence.due([detector.name for detector in self._detectors], self._clock.monotonic_s())
        for detector in self._detectors:
            if detector.name in due:
                self._said[detector.name] = self._ask(detector, view)
                # Batches are read between two rules: a look at a large fleet holds nobody up for long.
                await asyncio.sleep(0)
        return [finding for detector in self._detectors for finding in self._said[detector.name]]

    def _ask(self, detector: Detector, view: FleetView) -> list[Finding]:
        began_s = thread_time()
        try:
            findings = detector.look(view)
        except Exception as error:  # noqa: BLE001  (a rule that fails must not stop the others)
            self._note(detector.name, error)
            return []
        finally:
            cost_s = thread_time() - began_s
            self._counters.detector_cpu_s[detector.name] += cost_s
            self._cadence.note(detector.name, cost_s)
        self._troubles.pop(detector.name, None)
        return findings

    def _note(self, name: str, error: Exception) -> None:
        self._counters.detector_failures[name] += 1
        if name not in self._troubles:
            _LOG.exception("rule %s fails", name)
        self._troubles[name] = f"rule {name} fails: {type(error).__name__}: {str(error)[:200]}"
