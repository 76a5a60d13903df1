"""The stream to the collector, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.agent.fake_collector import FakeCollector

from ringwatch_agent.backoff import Backoff
from ringwatch_agent.channel import open_channel
from ringwatch_agent.spool import Spool
from ringwatch_agent.uplink import Uplink
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import telemetry_pb2 as pb

QUICK = Backoff(base_s=0.01, cap_s=0.05)


async def _no_verb(request: pb.VerbRequest) -> pb.VerbResult:
    return pb.VerbResult(status=pb.VERB_STATUS_DONE, text=request.verb)


def _fill(spool: Spool, count: int, schema_id: int = 1) -> None:
    for index in range(count):
        hello = pb.Hello(node="n", schema_id=schema_id) if index == 0 else None
        spool.append(hello, pb.Batch(schema_id=schema_id, events=[pb.Event(kind="gpu.xid")]))


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


Start = Callable[..., Awaitable[Uplink]]


@pytest.fixture
async def start(collector: FakeCollector) -> AsyncIterator[Start]:
    """Start an uplink to the fake collector; stop all of them at the end."""
    uplinks: list[Uplink] = []

    async def begin(spool: Spool, **options: object) -> Uplink:
        address = f"127.0.0.1:{collector.port}" if collector.port else await collector.start()
        uplink = Uplink(address, spool, _no_verb, backoff=QUICK, **options)  # type: ignore[arg-type]
        uplinks.append(uplink)
        begin.tasks.append(asyncio.create_task(uplink.run()))  # type: ignore[attr-defined]
        return uplink

    begin.tasks = []  # type: ignore[attr-defined]
    yield begin
    for uplink in uplinks:
        await uplink.stop()


async def test_hello_comes_first_and_acks_empty_the_spool(collector: FakeCollector, start: Start) -> None:
    """Everything arrives once, in order, and nothing is kept."""
    spool = Spool()
    _fill(spool, 5)
    await start(spool)
    await _until(lambda: len(spool) == 0)
    assert collector.streams[0][0].HasField("hello")
    assert [batch.sequence for batch in collector.batches] == [1, 2, 3, 4, 5]


async def test_a_new_schema_is_said_before_its_first_batch(collector: FakeCollector, start: Start) -> None:
    """Hello and batches keep the order in which they were made."""
    spool = Spool()
    _fill(spool, 2, schema_id=1)
    _fill(spool, 1, schema_id=2)
    await start(spool)
    await _until(lambda: len(spool) == 0)
    bodies = [
        (each.WhichOneof("body"), each.hello.schema_id or each.batch.schema_id)
        for each in collector.streams[0]
    ]
    assert bodies == [("hello", 1), ("batch", 1), ("batch", 1), ("hello", 2), ("batch", 2)]


async def test_a_collector_that_restarts_gets_what_it_did_not_acknowledge(
    collector: FakeCollector, start: Start
) -> None:
    """No batch is lost over a restart, and the new stream begins with the Hello in force."""
    collector.acknowledges = False
    spool = Spool()
    _fill(spool, 3)
    uplink = await start(spool)
    await collector.wait_until(lambda: len(collector.batches) == 3)
    await collector.stop()
    await _until(lambda: not uplink.state.connected)
    collector.acknowledges = True
    await collector.start()
    await _until(lambda: len(spool) == 0)
    assert collector.streams[-1][0].hello.schema_id == 1
    assert [each.batch.sequence for each in collector.streams[-1][1:]] == [1, 2, 3]


async def test_no_more_than_the_window_is_in_flight(collector: FakeCollector, start: Start) -> None:
    """A collector that does not acknowledge is not flooded."""
    collector.acknowledges = False
    spool = Spool()
    _fill(spool, 20)
    uplink = await start(spool, window=4)
    await collector.wait_until(lambda: len(collector.batches) == 4)
    await asyncio.sleep(0.05)
    assert (uplink.sent, len(collector.batches), len(spool)) == (4, 4, 20)


async def test_a_collector_that_stops_acknowledging_is_dialled_again(
    collector: FakeCollector, start: Start
) -> None:
    """Silence on an open connection ends the stream."""
    collector.acknowledges = False
    spool = Spool()
    _fill(spool, 1)
    uplink = await start(spool, answer_s=0.1)
    await collector.wait_until(lambda: len(collector.streams) >= 2)
    assert len(spool) == 1
    await _until(lambda: "does not acknowledge" in uplink.state.reason)


async def test_a_collector_that_never_welcomes_gets_no_batch(collector: FakeCollector, start: Start) -> None:
    """Batches wait for the Welcome."""
    collector.welcomes = False
    spool = Spool()
    _fill(spool, 1)
    uplink = await start(spool, answer_s=0.1)
    await _until(lambda: "does not answer Hello" in uplink.state.reason)
    assert not collector.batches


async def test_a_refusal_is_counted_and_its_wait_is_kept(collector: FakeCollector, start: Start) -> None:
    """The reason reaches the operator, and the spool is untouched."""
    collector.refusals = [pb.Refusal(reason="unknown node", retry_after_s=0.01)]
    spool = Spool()
    _fill(spool, 2)
    uplink = await start(spool)
    await _until(lambda: len(spool) == 0)
    assert uplink.state.refusals == 1
    assert len(collector.streams) == 2


async def test_a_batch_that_is_always_refused_is_given_up_and_counted(
    collector: FakeCollector, start: Start
) -> None:
    """One bad batch loses its samples; its events and the batches behind it arrive."""
    collector.poison = 2
    spool = Spool()
    _fill(spool, 1)
    spool.append(None, pb.Batch(schema_id=1, events=[pb.Event(kind="e")], blocks=[pb.Block()]))
    _fill(spool, 1)
    await start(spool)
    await _until(lambda: len(spool) == 0)
    assert spool.dropped_total == {"spool.blocks": 1}
    assert [each.batch.sequence for each in collector.streams[-1][1:]] == [2, 3]


def test_back_off_never_comes_before_what_the_collector_asked() -> None:
    """Jitter is added to retry_after, bounded, and grows with failures."""
    import random

    dice = random.Random(1)
    waits = [Backoff(base_s=1, cap_s=4).wait_s(9, 30.0, dice) for _ in range(50)]
    assert min(waits) >= 30.0
    assert max(waits) <= 34.0
    assert Backoff().wait_s(0, 1e9, dice) < 310
    assert Backoff().wait_s(0, -5.0, dice) <= 0.25


async def test_a_verb_result_comes_back_with_its_id(collector: FakeCollector, start: Start) -> None:
    """A request on the stream is answered on the stream."""
    collector.requests = [pb.VerbRequest(id="v1", verb="node.inspect")]
    spool = Spool()
    _fill(spool, 1)
    await start(spool)
    await collector.wait_until(lambda: len(collector.results) == 1)
    (result,) = collector.results
    assert (result.id, result.text, result.status) == ("v1", "node.inspect", pb.VERB_STATUS_DONE)


async def test_many_uplinks_share_one_channel(collector: FakeCollector, start: Start) -> None:
    """A simulator's nodes each have their own stream on one connection."""
    address = await collector.start()
    channel = open_channel(address)
    spools = [Spool() for _ in range(8)]
    for spool in spools:
        _fill(spool, 2)
        await start(spool, channel=channel)
    await _until(lambda: all(len(spool) == 0 for spool in spools))
    assert len(collector.streams) == 8
    await channel.close()


async def test_stop_before_run_and_twice_is_safe() -> None:
    """stop() is idempotent."""
    uplink = Uplink("127.0.0.1:1", Spool(), _no_verb)
    await uplink.stop()
    await uplink.stop()


@pytest.mark.parametrize("address", ["10.0.0.1:7701", "collector.example:7701", "[2001:db8::1]:7701", "x:1"])
def test_plaintext_off_loopback_needs_an_explicit_yes(address: str) -> None:
    """Nothing leaves the machine unencrypted by accident."""
    with pytest.raises(ConfigError, match="off loopback"):
        open_channel(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/tmp/x"])
async def test_loopback_needs_no_tls(address: str) -> None:
    """A collector on the same machine is dialled in plaintext."""
    await open_channel(address).close()


async def test_of_several_collectors_the_next_one_is_dialled_when_one_is_gone(
    collector: FakeCollector,
) -> None:
    """Nothing waits for an address that does not answer longer than for the next one."""
    address = await collector.start()
    spool = Spool()
    _fill(spool, 3)
    uplink = Uplink(f"127.0.0.1:1, {address}", spool, _no_verb, backoff=QUICK)
    running = asyncio.create_task(uplink.run())
    await _until(lambda: len(spool) == 0)
    await uplink.stop()
    await asyncio.gather(running, return_exceptions=True)
