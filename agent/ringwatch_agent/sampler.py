"""Reads every source once an interval and hands on what came; owns cadence, deadlines and health.

Knows nothing of encoding, spool or network.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.source_health import SourceHealth, source_table
from ringwatch_agent.sources.base import EventRecord, Reading, Source
from ringwatch_agent.worker import Outcome, SourceWorker
from ringwatch_proto import events
from ringwatch_proto.records import Severity

_log = logging.getLogger(__name__)

CLOCK_JUMP_S: Final = 0.5
# A source that cries wolf cannot make the agent send more often than this.
_WAKE_GAP_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A moment on both clocks, in nanoseconds."""

    wall_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> Instant:
        """Return this moment."""
        return cls(wall_ns=time.time_ns(), monotonic_ns=time.monotonic_ns())

    @property
    def offset_s(self) -> float:
        """Return wall minus monotonic time."""
        return (self.wall_ns - self.monotonic_ns) / 1e9


Deliver = Callable[[list[Reading], Instant], None]


class Sampler:
    """A thread a source, one beat a second, one delivery a beat.

    A beat ends when every source has answered or its ``patience`` is over; what comes later goes
    with the next beat. A source that is ``deadline_s`` late is down until it comes back, and is
    never read twice at once.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        interval_s: float = 1.0,
        deadline_s: float = 5.0,
        clock: Callable[[], Instant] = Instant.now,
    ) -> None:
        self.health: dict[str, SourceHealth] = {}
        self.beats_missed = 0
        self.deliveries_failed = 0
        self._deliver = deliver
        self._interval_s = interval_s
        self._patience_s = interval_s * 0.7
        self._deadline_s = deadline_s
        self._clock = clock
        self._workers: dict[str, SourceWorker] = {}
        # Outcomes come in on the workers' threads; only the last one of a beat wakes the loop.
        self._lock = threading.Lock()
        self._waiting: set[SourceWorker] = set()
        self._outcomes: deque[tuple[SourceWorker, Outcome]] = deque()
        self._events: list[EventRecord] = []
        self._offset_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._all_came = asyncio.Event()
        self._urgent = asyncio.Event()
        self._urgent_names: set[str] = set()
        self._stopping = False

    def add(self, source: Source) -> None:
        """Read ``source`` from now on. Call before ``run``."""
        self.health[source.name] = SourceHealth(name=source.name)
        self._workers[source.name] = SourceWorker(source, self._done)

    def announce(self, event: EventRecord) -> None:
        """Send an event of the agent itself with the next beat."""
        self._events.append(event)

    def report(self, name: str, trouble: str) -> None:
        """Show a part of the agent itself among the sources: up while ``trouble`` is empty."""
        health = self.health.setdefault(name, SourceHealth(name=name))
        outcome = Outcome(
            reading=None if trouble else Reading(),
            reason=trouble,
            unsupported=False,
            duration_s=math.nan,
            ended_s=time.monotonic(),
        )
        if event := health.take(outcome, self._clock().wall_ns):
            self._events.append(event)

    def wake(self, name: str) -> None:
        """Have source ``name`` read and delivered at once. Safe to call from any thread."""
        self._call(self._take_wake, name)

    async def run(self) -> None:
        """Beat until ``stop``."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers.values():
            worker.start()
        next_s = time.monotonic()
        while not self._stopping:
            # The next beat is set before the work, so that slow work does not move the cadence.
            next_s += self._interval_s
            await self._beat(list(self._workers.values()))
            behind = int((time.monotonic() - next_s) // self._interval_s) + 1
            if behind > 0:
                self.beats_missed += behind
                next_s += behind * self._interval_s
            await self._rest_until(next_s)

    async def stop(self, within_s: float = 1.0) -> None:
        """End the beats and the threads; a thread that blocks is left behind."""
        self._stopping = True
        self._urgent.set()
        for worker in self._workers.values():
            worker.stop()
        deadline_s = time.monotonic() + within_s
        for worker in self._workers.values():
            await asyncio.to_thread(worker.join, deadline_s - time.monotonic())

    async def _rest_until(self, next_s: float) -> None:
        while not self._stopping and (left_s := next_s - time.monotonic()) > 0:
            in_time = await _set_within(self._urgent, left_s)
            self._urgent.clear()
            if not in_time:
                continue  # the beat that is due reads every source
            names, self._urgent_names = self._urgent_names, set()
            await self._beat([self._workers[name] for name in names if name in self._workers])
            await asyncio.sleep(_WAKE_GAP_S)

    async def _beat(self, workers: Sequence[SourceWorker]) -> None:
        self._all_came.clear()
        with self._lock:
            self._waiting = set(workers)  # before they are asked: one may answer at once
        unasked = {worker for worker in workers if not worker.ask()}
        with self._lock:
            self._waiting -= unasked
            waiting = bool(self._waiting)
        if waiting:
            await _set_within(self._all_came, self._patience_s)
        if not self._stopping:
            self._hand_over()

    def _hand_over(self) -> None:
        now = self._clock()
        readings = self._take_outcomes(now)
        self._look_at_the_clock(now)
        self._look_for_overdue(now)
        own = Reading(
            tables=(source_table(list(self.health.values()), time.monotonic()),),
            events=tuple(self._events),
        )
        self._events = []
        try:
            self._deliver([*readings, own], now)
        except Exception:  # noqa: BLE001 - the one broad handler of this loop
            self.deliveries_failed += 1
            if self.deliveries_failed == 1:
                _log.exception("a beat could not be delivered; counted from now on")

    def _look_at_the_clock(self, now: Instant) -> None:
        before_s, self._offset_s = self._offset_s, now.offset_s
        if before_s is None or abs(now.offset_s - before_s) < CLOCK_JUMP_S:
            return
        jump_s = now.offset_s - before_s
        self._events.append(
            EventRecord(
                wall_ns=now.wall_ns,
                kind=events.CLOCK_JUMP,
                severity=Severity.WARNING,
                source="sampler",
                text=f"the wall clock moved by {jump_s:+.3f} s",
                fields={"seconds": f"{jump_s:.3f}"},
            )
        )

    def _look_for_overdue(self, now: Instant) -> None:
        for name, worker in self._workers.items():
            since_s = worker.busy_since_s
            busy_s = 0.0 if since_s is None else time.monotonic() - since_s
            if busy_s > self._deadline_s and (event := self.health[name].overdue(busy_s, now.wall_ns)):
                self._events.append(event)

    def _done(self, worker: SourceWorker, outcome: Outcome) -> None:
        """Take an outcome in, on the worker's thread. What comes late waits for the next beat."""
        self._outcomes.append((worker, outcome))
        with self._lock:
            was_awaited = worker in self._waiting
            self._waiting.discard(worker)
            is_last = was_awaited and not self._waiting
        if is_last:
            self._call(self._all_came.set)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(function, *arguments)

    def _take_outcomes(self, now: Instant) -> list[Reading]:
        readings: list[Reading] = []
        for _ in range(len(self._outcomes)):
            worker, outcome = self._outcomes.popleft()
            if event := self.health[worker.source.name].take(outcome, now.wall_ns):
                self._events.append(event)
            if outcome.reading is not None:
                readings.append(outcome.reading)
        return readings

    def _take_wake(self, name: str) -> None:
        self._urgent_names.add(name)
        self._urgent.set()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, or set it when the time is over; return whether it came by itself.

    Less work than ``asyncio.timeout``, which ends a wait by cancelling its task: this runs each beat.
    """
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = True
        event.set()

    timer = asyncio.get_running_loop().call_later(seconds, give_up)
    try:
        await event.wait()
    finally:
        timer.cancel()
    return not is_late
