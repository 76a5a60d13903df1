"""Cadence, deadlines and health of sources, with real threads."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import AsyncIterator, Callable

import pytest

from ringwatch_agent.sampler import Instant, Sampler
from ringwatch_agent.sources.base import Device, EventRecord, Reading, TableReading
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError, SourceUnsupported
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import BY_NAME, Table


class Scripted:
    """A source that does what its script says, then stays with the last line of it."""

    def __init__(self, name: str, *script: Callable[[], None]) -> None:
        self.name = name
        self.reads = 0
        self.opened = 0
        self.closed = 0
        self._script = script

    def open(self) -> None:
        """Count."""
        self.opened += 1

    def read(self) -> Reading:
        """Follow the script."""
        at, self.reads = self.reads, self.reads + 1
        if self._script:
            self._script[min(at, len(self._script) - 1)]()
        table = TableReading(
            table=Table.HOST,
            devices=(Device(id="h", name="h"),),
            signals=(201,),
            values=array("f", [self.reads]),
        )
        return Reading(tables=(table,))

    def close(self) -> None:
        """Count."""
        self.closed += 1


def _fine() -> None:
    return


def _raises(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def _waits(gate: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        gate.wait(30)

    return wait


class Bench:
    """A sampler with what it delivered."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.delivered: list[list[Reading]] = []
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to beat."""
        self.task = asyncio.create_task(self.sampler.run())

    @property
    def events(self) -> list[EventRecord]:
        """Return every event that was delivered."""
        return [event for beat in self.delivered for reading in beat for event in reading.events]

    def values(self) -> list[float]:
        """Return the host values that were delivered."""
        tables = [table for beat in self.delivered for reading in beat for table in reading.tables]
        return [table.values[0] for table in tables if table.table is Table.HOST]

    def row(self, name: str) -> dict[str, float]:
        """Return the newest row of a source."""
        table = next(table for table in self.delivered[-1][-1].tables if table.table is Table.SOURCE)
        at = [device.id for device in table.devices].index(name) * len(table.signals)
        columns = {signal.id: signal.name for signal in BY_NAME.values()}
        names = [columns[signal] for signal in table.signals]
        return dict(zip(names, table.values[at : at + len(names)], strict=True))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        while not holds():
            await asyncio.sleep(0.005)


Make = Callable[..., Bench]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Make benches; stop them at the end."""
    benches: list[Bench] = []

    def begin(*sources: Scripted, **options: object) -> Bench:
        settings: dict[str, object] = {"interval_s": 0.03, "deadline_s": 0.1, **options}
        bench = Bench(Sampler(lambda readings, _: bench.delivered.append(readings), **settings))  # type: ignore[arg-type]
        for source in sources:
            bench.sampler.add(source)
        benches.append(bench)
        return bench

    yield begin
    for bench in benches:
        await bench.sampler.stop(within_s=0.2)
        if bench.task:
            await bench.task


async def test_every_beat_delivers_each_source_and_the_source_table(make: Make) -> None:
    """A healthy source is up, young and never failed."""
    bench = make(Scripted("one"))
    bench.start()
    await bench.until(lambda: len(bench.values()) >= 3)
    assert bench.values()[:3] == [1, 2, 3]
    row = bench.row("one")
    assert (row["source.up"], row["source.failures"]) == (1, 0)
    assert row["source.age_s"] < 5
    assert not bench.events


async def test_a_source_that_fails_is_down_once_and_stops_no_other(make: Make) -> None:
    """The failure is a row and one event; its return is another."""
    bad = Scripted("bad", _raises(SourceError("no answer")), _raises(SourceError("no answer")), _fine)
    good = Scripted("good")
    bench = make(bad, good)
    bench.start()
    await bench.until(lambda: any(event.kind == events.SOURCE_UP for event in bench.events))
    assert [(event.kind, event.source) for event in bench.events] == [
        (events.SOURCE_DOWN, "bad"),
        (events.SOURCE_UP, "bad"),
    ]
    assert "no answer" in bench.events[0].text
    assert bench.row("bad")["source.failures"] == 2
    assert good.reads >= 3


async def test_a_bug_in_a_source_is_a_failure_of_that_source(make: Make) -> None:
    """Whatever it raises, the others go on; the source is closed, to be opened anew."""
    bad, good = Scripted("bad", _raises(KeyError("x"))), Scripted("good")
    bench = make(bad, good)
    bench.start()
    await bench.until(lambda: good.reads >= 3 and bool(bench.events))
    assert "KeyError" in bench.events[0].text
    assert bad.closed >= 1
    assert bench.row("good")["source.up"] == 1


async def test_what_a_machine_does_not_have_is_no_alarm(make: Make) -> None:
    """Unsupported is information, and says why."""
    bench = make(Scripted("gpu", _raises(SourceUnsupported("no driver"))))
    bench.start()
    await bench.until(lambda: bool(bench.events))
    (event,) = bench.events
    assert (event.severity, event.fields) == (Severity.INFO, {"unsupported": "1"})
    assert "no driver" in event.text


async def test_a_source_that_does_not_come_back_is_never_read_twice_at_once(make: Make) -> None:
    """It is down after its deadline, others are live, and it is up when it returns."""
    gate = threading.Event()
    stuck, good = Scripted("stuck", _waits(gate)), Scripted("good")
    bench = make(stuck, good)
    bench.start()
    await bench.until(lambda: bool(bench.events))
    assert bench.events[0].kind == events.SOURCE_DOWN
    assert "has not come back" in bench.events[0].text
    assert bench.row("stuck")["source.up"] == 0
    assert bench.row("good")["source.up"] == 1
    assert stuck.reads == 1
    gate.set()
    await bench.until(lambda: any(event.kind == events.SOURCE_UP for event in bench.events))


async def test_a_blocked_thread_does_not_hold_up_the_end(make: Make) -> None:
    """stop() comes back and leaves it behind."""
    gate = threading.Event()
    bench = make(Scripted("stuck", _waits(gate)))
    bench.start()
    await bench.until(lambda: bool(bench.events))
    await bench.sampler.stop(within_s=0.05)
    assert bench.task is not None
    await bench.task
    gate.set()


async def test_an_urgent_source_is_delivered_before_the_next_beat(make: Make) -> None:
    """wake() works from any thread and reads that source only."""
    urgent, other = Scripted("urgent"), Scripted("other")
    bench = make(urgent, other, interval_s=3600.0)
    bench.start()
    await bench.until(lambda: len(bench.delivered) == 1)
    await asyncio.to_thread(bench.sampler.wake, "urgent")
    await bench.until(lambda: len(bench.delivered) == 2)
    assert (urgent.reads, other.reads) == (2, 1)


async def test_a_wall_clock_that_jumps_is_an_event(make: Make) -> None:
    """Wall against monotonic time, with the size of the jump."""
    offset_ns = [0]

    def clock() -> Instant:
        now = Instant.now()
        return Instant(wall_ns=now.wall_ns + offset_ns[0], monotonic_ns=now.monotonic_ns)

    bench = make(Scripted("one"), clock=clock)
    bench.start()
    await bench.until(lambda: len(bench.delivered) >= 1)
    offset_ns[0] = -7_000_000_000
    await bench.until(lambda: bool(bench.events))
    (event,) = bench.events
    assert event.kind == events.CLOCK_JUMP
    assert float(event.fields["seconds"]) == pytest.approx(-7.0, abs=0.4)


async def test_a_part_of_the_agent_shows_its_trouble_as_a_source_does(make: Make) -> None:
    """The spool on a full disk is down in the same table."""
    bench = make(Scripted("one"))
    bench.start()
    bench.sampler.report("spool", "in memory only: no space left")
    await bench.until(lambda: bool(bench.events))
    assert bench.row("spool")["source.up"] == 0
    bench.sampler.report("spool", "")
    await bench.until(lambda: len(bench.events) == 2)
    assert bench.row("spool")["source.up"] == 1


async def test_a_beat_that_cannot_be_delivered_does_not_end_the_agent() -> None:
    """It is counted, and the next beat comes."""
    beats = 0

    def deliver(_readings: list[Reading], _now: Instant) -> None:
        nonlocal beats
        beats += 1
        raise TypeError("not a number")

    sampler = Sampler(deliver, interval_s=0.02)
    running = asyncio.create_task(sampler.run())
    while beats < 3:
        await asyncio.sleep(0.005)
    await sampler.stop()
    await running
    assert sampler.deliveries_failed == beats


async def test_stop_before_run_and_twice_is_safe(make: Make) -> None:
    """stop() is idempotent."""
    bench = make(Scripted("one"))
    await bench.sampler.stop()
    await bench.sampler.stop()
