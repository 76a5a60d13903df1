"""Delivery end to end: what an absent collector, a full spool and a wild clock may cost, and what not."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.agent.fake_collector import FakeCollector

from ringwatch_agent.backoff import Backoff
from ringwatch_agent.encode import Encoder, NodeIdentity
from ringwatch_agent.journal import RESERVED, Journal
from ringwatch_agent.persister import Persister
from ringwatch_agent.sampler import Instant, Sampler
from ringwatch_agent.sources.base import Device, EventRecord, Reading, TableReading
from ringwatch_agent.spool import Spool
from ringwatch_agent.uplink import Uplink
from ringwatch_proto import events
from ringwatch_proto.signals import Table
from ringwatch_proto.v1 import telemetry_pb2 as pb

QUICK = Backoff(base_s=0.01, cap_s=0.05)
HOUR_NS = 3_600_000_000_000
_DEVICES = tuple(Device(id=f"h{row}", name=f"h{row}") for row in range(100))


async def _no_verb(_: pb.VerbRequest) -> pb.VerbResult:
    return pb.VerbResult()


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def _second(number: int, wall_ns: int, encoder: Encoder, spool: Spool) -> None:
    """Read one second of a node: a sample that holds its number, and an event that does."""
    table = TableReading(
        table=Table.HOST, devices=_DEVICES, signals=(201,), values=array("f", [number] * len(_DEVICES))
    )
    told = EventRecord(wall_ns=wall_ns, kind=events.GPU_XID, severity=2, source="kmsg", text=str(number))
    encoded = encoder.encode(
        [Reading(tables=(table,), events=(told,))], wall_ns=wall_ns, monotonic_ns=number * 1_000_000_000
    )
    spool.append(encoded.hello, encoded.batch)


def _samples(collector: FakeCollector) -> list[float]:
    return [
        array("f", block.values)[0]
        for batch in collector.batches
        for block in batch.blocks
        if block.table == pb.TABLE_HOST
    ]


def _told(collector: FakeCollector) -> list[int]:
    told = [event for batch in collector.batches for event in batch.events]
    return [int(event.text) for event in told if event.kind == events.GPU_XID]


@contextlib.asynccontextmanager
async def _reporting(collector: FakeCollector, spool: Spool, **options: float) -> AsyncIterator[Uplink]:
    uplink = Uplink(await collector.start(), spool, _no_verb, backoff=QUICK, **options)  # type: ignore[arg-type]
    running = asyncio.create_task(uplink.run())
    yield uplink
    await uplink.stop()
    await running


async def test_ten_minutes_without_a_collector_lose_nothing(collector: FakeCollector) -> None:
    """Every second of them arrives, once and in order: samples and events."""
    spool, encoder = Spool(), Encoder(NodeIdentity(node="n", boot_id="b", agent_version="0"))
    for number in range(600):
        _second(number, number, encoder, spool)
    async with _reporting(collector, spool, catch_up_per_s=1e9):
        await _until(lambda: len(spool) == 0)
    assert _samples(collector) == list(range(600))
    assert _told(collector) == list(range(600))
    assert not spool.dropped_total


async def test_beyond_its_bound_a_spool_gives_up_samples_and_tells_how_many(collector: FakeCollector) -> None:
    """Every event arrives; samples that came and samples that are counted as lost are all there were."""
    spool, encoder = (
        Spool(limit_bytes=200_000),
        Encoder(NodeIdentity(node="n", boot_id="b", agent_version="0")),
    )
    for number in range(600):
        _second(number, number, encoder, spool)
        assert spool.bytes <= 200_000
    async with _reporting(collector, spool, catch_up_per_s=1e9):
        await _until(lambda: len(spool) == 0)
        _second(600, 600, encoder, spool)  # the next batch tells what was lost
        await _until(lambda: len(spool) == 0)
    lost = Counter[str]()
    for batch in collector.batches:
        lost.update({each.kind: each.count for each in batch.dropped})
    assert _told(collector) == list(range(601))
    assert lost.keys() == {"spool.blocks"}
    assert len(_samples(collector)) + lost["spool.blocks"] == 601
    assert _samples(collector)[-1] == 600


async def test_a_backlog_goes_out_at_its_pace(collector: FakeCollector) -> None:
    """What is behind waits for its turn, whatever room the window has; what is live does not."""
    spool, encoder = Spool(), Encoder(NodeIdentity(node="n", boot_id="b", agent_version="0"))
    for number in range(50):
        _second(number, number, encoder, spool)
    async with _reporting(collector, spool, catch_up_per_s=1e-3):
        await collector.wait_until(lambda: len(collector.batches) == 1)
        await asyncio.sleep(0.1)
        assert len(collector.batches) == 1
        assert len(spool) == 49


async def test_a_clock_that_jumps_an_hour_either_way_corrupts_nothing(collector: FakeCollector) -> None:
    """Sequences and monotonic time go on, each beat arrives once, and each jump is told once."""
    offset_ns = 0

    def clock() -> Instant:
        now = Instant.now()
        return Instant(wall_ns=now.wall_ns + offset_ns, monotonic_ns=now.monotonic_ns)

    spool, encoder = Spool(), Encoder(NodeIdentity(node="n", boot_id="b", agent_version="0"))

    def deliver(readings: list[Reading], now: Instant) -> None:
        encoded = encoder.encode(readings, wall_ns=now.wall_ns, monotonic_ns=now.monotonic_ns)
        spool.append(encoded.hello, encoded.batch)

    sampler = Sampler(deliver, interval_s=0.02, clock=clock)
    async with _reporting(collector, spool):
        beating = asyncio.create_task(sampler.run())
        for jump_ns in (HOUR_NS, -HOUR_NS, -HOUR_NS):
            seen = len(collector.batches)
            await _until(lambda seen=seen: len(collector.batches) > seen + 2)  # type: ignore[misc]
            offset_ns += jump_ns
        seen = len(collector.batches)
        await _until(lambda: len(collector.batches) > seen + 2)
        await sampler.stop()
        await beating
    batches = collector.batches
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    monotonic = [batch.monotonic_ns for batch in batches]
    assert monotonic == sorted(monotonic)
    jumps = [event for batch in batches for event in batch.events if event.kind == events.CLOCK_JUMP]
    assert [round(float(event.fields["seconds"])) for event in jumps] == [3600, -3600, -3600]


async def test_with_a_collector_there_nothing_is_written(tmp_path: Path) -> None:
    """What is acknowledged before its time is up never reaches the disk; what is not does."""
    journal = Journal(tmp_path, limit_bytes=1 << 20)
    spool = Spool(kept=journal.load())
    persister = Persister(spool, journal, lag_s=0.05)
    running = asyncio.create_task(persister.run())
    for _ in range(20):
        spool.ack(spool.append(None, pb.Batch(schema_id=1)))
        await asyncio.sleep(0.01)
    assert not list(tmp_path.glob("*.spool"))
    spool.append(pb.Hello(schema_id=1), pb.Batch(schema_id=1))
    await _until(lambda: journal.written_sequence == spool.last_sequence)
    assert list(tmp_path.glob("*.spool"))
    running.cancel()
    await persister.finish(5)


async def test_an_event_is_written_at_once(tmp_path: Path) -> None:
    """It does not wait for samples to be worth a write."""
    journal = Journal(tmp_path, limit_bytes=1 << 20)
    spool = Spool(kept=journal.load())
    persister = Persister(spool, journal, lag_s=3600)
    running = asyncio.create_task(persister.run())
    await asyncio.sleep(0)
    spool.append(pb.Hello(schema_id=1), pb.Batch(schema_id=1, events=[pb.Event(kind="gpu.xid")]))
    await _until(lambda: journal.written_sequence == 1)
    running.cancel()
    await persister.finish(5)


async def test_an_event_that_is_acknowledged_first_does_not_hold_the_loop(tmp_path: Path) -> None:
    """The collector may be faster than the disk: then there is nothing to write, and time goes on."""
    journal = Journal(tmp_path, limit_bytes=1 << 20)
    spool = Spool(kept=journal.load())
    persister = Persister(spool, journal, lag_s=0.01)
    for _ in range(3):
        running = asyncio.create_task(persister.run())
        spool.append(pb.Hello(schema_id=1), pb.Batch(schema_id=1))
        spool.ack(spool.append(None, pb.Batch(schema_id=1, events=[pb.Event(kind="gpu.xid")])))
        await asyncio.sleep(0.03)
        running.cancel()
    spool.append(None, pb.Batch(schema_id=1, events=[pb.Event(kind="gpu.xid")]))
    spool.give_up_first()
    spool.give_up_first()
    running = asyncio.create_task(persister.run())
    await asyncio.sleep(0.03)
    running.cancel()
    assert not list(tmp_path.glob("*.spool"))


@pytest.mark.parametrize("kills", [1, 3])
async def test_no_kill_lends_a_sequence_twice_whatever_the_clock_says(tmp_path: Path, kills: int) -> None:
    """Sequences are reserved ahead on disk, and no clock is asked."""
    last = 0
    for _ in range(kills + 1):
        journal = Journal(tmp_path, limit_bytes=1 << 20)
        spool = Spool(kept=journal.load())
        assert spool.last_sequence >= last
        for _ in range(10):
            last = spool.append(None, pb.Batch(schema_id=1))
        journal.close()  # and no mark: as a kill leaves it


async def test_a_reservation_is_renewed_before_it_is_used_up(tmp_path: Path) -> None:
    """An agent that runs for weeks and is killed then goes on behind what it gave out."""
    journal = Journal(tmp_path, limit_bytes=1 << 20)
    spool = Spool(kept=journal.load())
    persister = Persister(spool, journal, lag_s=0.01)
    running = asyncio.create_task(persister.run())
    spool._next_sequence += RESERVED - 10
    last = spool.append(None, pb.Batch(schema_id=1))
    spool.ack(last)
    await _until(lambda: persister._reserved > RESERVED * 1.5)
    running.cancel()
    journal.close()
    assert Spool(kept=Journal(tmp_path, limit_bytes=1 << 20).load()).last_sequence > last
