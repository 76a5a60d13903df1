"""Ingest over real streams: what is taken, acknowledged, refused and counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.collector.rig import (
    GPU_SIGNALS,
    Client,
    Rig,
    batch,
    event,
    eventually,
    gpu_block,
    hello,
    rank_state,
    running,
    step,
)

from ringwatch_proto.v1 import query_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Run a collector."""
    async with running(tmp_path) as made:
        yield made


async def test_a_batch_without_events_is_acknowledged_and_seen(rig: Rig) -> None:
    """Readings go from the wire into the answer."""
    agent = await rig.agent()
    await agent.send(batch(1))
    await agent.until_acknowledged(1)
    fleet = await rig.query.GetFleet(query_pb2.GetFleetRequest())
    assert [node.node for node in fleet.nodes] == ["n1"]
    assert fleet.nodes[0].gpus[0].power_watts == 50.0
    assert fleet.health.input_completeness == 1.0


async def test_an_event_is_on_disk_before_it_is_acknowledged(rig: Rig) -> None:
    """The acknowledgement of a batch with events means that a query finds them."""
    agent = await rig.agent()
    await agent.send(batch(1, events=[event(1), event(2)]))
    await agent.until_acknowledged(1)
    stored = rig.collector.store.events()
    assert [number for _, number, _ in stored] == [1, 2]


async def test_batches_behind_one_with_events_wait_for_it(rig: Rig) -> None:
    """Acknowledgements never overtake."""
    agent = await rig.agent()
    for sequence in range(1, 30):
        await agent.send(batch(sequence, events=[event(sequence)] if sequence % 3 == 0 else []))
    await agent.until_acknowledged(29)
    assert len(rig.collector.store.events()) == 9


async def test_a_resent_sequence_is_applied_once_and_acknowledged_again(rig: Rig) -> None:
    """An agent that lost the acknowledgement sends again after it dialled again."""
    for _ in range(3):
        agent = await rig.agent()
        await agent.send(batch(1, events=[event(1)]))
        await agent.send(batch(2))
        await agent.until_acknowledged(2)
        await agent.close()
    assert rig.collector.counters.batches_taken == 2
    assert rig.collector.counters.batches_duplicate == 4
    assert len(rig.collector.store.events()) == 1
    assert len(rig.collector.fleet.events.view()) == 1


async def test_two_spools_of_one_node_have_sequences_of_their_own(rig: Rig) -> None:
    """A lost spool starts again with 1, and its events are other events."""
    for spool in ("first", "second"):
        agent = await rig.agent(hello(spool=spool))
        await agent.send(batch(1, events=[event(1)]))
        await agent.until_acknowledged(1)
        await agent.close()
    assert rig.collector.counters.batches_taken == 2
    assert [spool for spool, _, _ in rig.collector.store.events()] == ["first", "second"]


async def test_a_sequence_that_goes_back_ends_the_stream(rig: Rig) -> None:
    """Out of order is a fault of the sender, told and counted."""
    agent = await rig.agent()
    for sequence in (5, 6, 4):
        await agent.send(batch(sequence))
    refusal = await agent.until_end()
    assert refusal is not None
    assert "sequence 4 came after 6" in refusal.reason
    assert rig.collector.counters.refused["out_of_order"] == 1


async def test_the_newest_stream_of_a_node_wins_and_says_so(rig: Rig) -> None:
    """A name that is used twice is told to the one that loses."""
    first = await rig.agent()
    second = await rig.agent()
    refusal = await first.until_end()
    assert refusal is not None
    assert "another stream speaks for node" in refusal.reason
    await second.send(batch(1))
    await second.until_acknowledged(1)
    assert rig.collector.counters.streams_replaced == 1
    assert rig.collector.fleet.nodes.connected[0]


async def test_a_node_whose_stream_ended_is_not_connected(rig: Rig) -> None:
    """The end of the stream is seen at once."""
    agent = await rig.agent()
    assert rig.collector.fleet.nodes.connected[0]
    await agent.close()
    await eventually(lambda: not rig.collector.fleet.nodes.connected[0])


async def test_a_new_hello_on_the_stream_changes_the_schema(rig: Rig) -> None:
    """Batches then name the new one."""
    agent = await rig.agent(hello(gpus=2))
    await agent.send(batch(1))
    await agent.send(hello(gpus=4, schema_id=2))
    await agent.send(batch(2, schema_id=2, blocks=[gpu_block(4)]))
    await agent.until_acknowledged(2)
    view = rig.collector.answers.view()
    assert list(view.gpu.devices) == [f"GPU-n1-{at}" for at in range(4)]


def _changed(change: Callable[[wire.Hello], None]) -> wire.Hello:
    message = hello(ranks=2)
    change(message)
    return message


_BAD_HELLOS = {
    "wire_version": _changed(lambda m: setattr(m, "wire_version", 99)),
    "hello_name": _changed(lambda m: setattr(m, "node", "n\x1b[31m1")),
    "hello_rank": _changed(lambda m: setattr(m.ranks[0], "rank", 7)),
    "hello_table": _changed(lambda m: m.tables.append(m.tables[0])),
    "hello_device": _changed(lambda m: setattr(m.tables[0].devices[0], "id", "")),
    "hello_signal": _changed(lambda m: m.tables[0].signals.append(9999)),
    "hello_communicator": _changed(lambda m: m.communicators.append(m.communicators[0])),
    "hello_too_much": _changed(lambda m: m.verbs.extend(["x"] * 1000)),
}


@pytest.mark.parametrize("reason", _BAD_HELLOS)
async def test_a_hello_that_cannot_be_followed_is_refused(rig: Rig, reason: str) -> None:
    """The reason is told and counted, and no node appears."""
    client = rig.client()
    await client.send(_BAD_HELLOS[reason])
    refusal = await client.until_end()
    assert refusal is not None
    assert refusal.reason.isprintable()
    assert rig.collector.counters.refused[reason] == 1
    assert len(rig.collector.fleet.nodes) == 0


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (batch(1, schema_id=7), "unknown_schema"),
        (batch(0), "sequence"),
        (batch(2**64 - 1), "sequence"),
        (batch(1, wall_ns=-5), "absurd_time"),
        (batch(1, wall_ns=2**63 - 1), "absurd_time"),
    ],
)
async def test_a_batch_that_means_nothing_ends_its_stream(rig: Rig, message: wire.Batch, reason: str) -> None:
    """It is told and counted."""
    agent = await rig.agent()
    await agent.send(message)
    assert await agent.until_end() is not None
    assert rig.collector.counters.refused[reason] == 1


_SHAPE = wire.Block(
    table=wire.TABLE_GPU, rows=3, columns=len(GPU_SIGNALS), values=b"\0" * 12 * len(GPU_SIGNALS)
)
_LENGTH = wire.Block(table=wire.TABLE_GPU, rows=2, columns=len(GPU_SIGNALS), values=b"\0" * 7)
_HUGE = wire.Block(table=wire.TABLE_GPU, rows=2**32 - 1, columns=2**32 - 1, values=b"")


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"blocks": [_SHAPE]}, "block_shape"),
        ({"blocks": [_HUGE]}, "block_shape"),
        ({"blocks": [_LENGTH]}, "block_length"),
        ({"blocks": [gpu_block(), gpu_block()]}, "block_shape"),
        ({"steps": b"\0" * 13}, "steps_length"),
        ({"steps": step(9, 1)}, "record_of_no_rank"),
        ({"steps": step(0, 2**60)}, "absurd_step"),
        ({"rank_states": rank_state(9, 1)}, "record_of_no_rank"),
        ({"collectives": b"\1" * 5}, "collectives_length"),
        ({"flows": b"\1" * 5}, "flows_length"),
    ],
)
async def test_a_part_that_means_nothing_is_left_out_and_the_events_are_kept(
    rig: Rig, part: dict[str, Any], reason: str
) -> None:
    """A batch is not refused for a part, else the agent would send it again for ever."""
    agent = await rig.agent(hello(ranks=2))
    await agent.send(batch(1, events=[event(1)], **part))
    await agent.until_acknowledged(1)
    rig.collector.fleet.settle()
    counters = rig.collector.counters
    assert counters.refused[reason] + counters.dropped[reason] == 1
    assert len(rig.collector.store.events()) == 1


async def test_names_with_sql_and_terminal_escapes_do_no_harm(rig: Rig) -> None:
    """SQL is data, and control characters are gone before anyone prints them."""
    evil = "n'; DROP TABLE events; --"
    agent = await rig.agent(hello(evil))
    await agent.send(batch(1, events=[event(1, text="\x1b]0;owned\x07 x\0y", key="\x1b[2J")]))
    await agent.until_acknowledged(1)
    answer = await rig.query.ListEvents(query_pb2.ListEventsRequest(node=evil))
    assert answer.events[0].node == evil
    assert answer.events[0].event.text.isprintable()
    assert answer.events[0].event.fields["key"].isprintable()


async def test_a_storm_of_nan_and_impossible_values_leaves_absent_readings(rig: Rig) -> None:
    """NaN, infinities and readings that cannot be are absent, and the latter are counted."""
    agent = await rig.agent()
    storm = np.full((2, len(GPU_SIGNALS)), np.nan, "<f4")
    storm[0, 5], storm[0, 6], storm[1, 6] = np.inf, -np.inf, 3e38
    block = wire.Block(table=wire.TABLE_GPU, rows=2, columns=len(GPU_SIGNALS), values=storm.tobytes())
    await agent.send(batch(1, blocks=[block]))
    await agent.until_acknowledged(1)
    view = rig.collector.answers.view()
    assert np.isnan(view.gpu.latest(GPU_SIGNALS[6])).all()
    assert rig.collector.counters.dropped["impossible_reading"] == 3


async def test_a_verb_result_that_nobody_waits_for_is_counted(rig: Rig) -> None:
    """It changes nothing."""
    agent = await rig.agent()
    await agent.send(wire.VerbResult(id="x"))
    await agent.send(batch(1))
    await agent.until_acknowledged(1)
    assert rig.collector.counters.dropped["verb_result_nobody_waits_for"] == 1


async def test_a_stream_that_never_says_who_it_is_is_closed(tmp_path: Path) -> None:
    """It may not hold a place for ever."""
    async with running(tmp_path, hello_timeout_s=0.1) as rig:
        refusal = await rig.client().until_end()
        assert refusal is not None
        assert "no Hello came in time" in refusal.reason
        assert rig.collector.counters.refused["no_hello"] == 1


async def test_nodes_beyond_the_limit_are_refused_and_asked_to_wait(tmp_path: Path) -> None:
    """A known node may come back."""
    async with running(tmp_path, most_nodes=1) as rig:
        first = await rig.agent()
        other = rig.client()
        await other.send(hello("n2"))
        refusal = await other.until_end()
        assert refusal is not None
        assert refusal.retry_after_s == 60.0
        await first.close()
        await rig.agent()


async def test_a_stream_that_sends_too_fast_is_read_more_slowly(tmp_path: Path) -> None:
    """Nothing of it is lost."""
    async with running(tmp_path, stream_burst=10, stream_messages_per_s=200.0) as rig:
        agent = await rig.agent()
        for sequence in range(1, 41):
            await agent.send(batch(sequence))
        await agent.until_acknowledged(40)
        assert rig.collector.counters.throttled > 0
        assert rig.collector.counters.batches_taken == 40


async def test_a_message_beyond_the_size_limit_ends_its_stream_only(tmp_path: Path) -> None:
    """The limit is the transport's; the others go on."""
    async with running(tmp_path, max_message_mib=1) as rig:
        good, bad = await rig.agent(), await rig.agent(hello("n2"))
        await bad.send_bytes(b"\0" * (2 << 20))
        await bad.until_end()
        await good.send(batch(1))
        await good.until_acknowledged(1)


async def _bombard(rig: Rig, messages: list[bytes]) -> int:
    """Send each message on a stream of its own that was welcomed first, many at a time."""
    places = asyncio.Semaphore(20)
    counters = rig.collector.counters

    async def one(number: int, data: bytes) -> None:
        async with places:
            client = Client(rig.channel)
            try:
                if number % 2:
                    await client.send(hello(f"bad{number % 20}", ranks=2))
                await client.send_bytes(data)
                await client._call.done_writing()
                await client.until_end()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass

    before = counters.refused.total()
    await asyncio.gather(*(one(number, data) for number, data in enumerate(messages)))
    return counters.refused.total() - before


def _malformed(number: int, random_: random.Random) -> bytes:
    """Return a message that means nothing: noise, a cut message, or a valid frame of nonsense."""
    valid = wire.AgentMessage(
        batch=batch(1, events=[event(1)], steps=step(0, 1), rank_states=rank_state(0, 1))
    ).SerializeToString()
    kind = number % 5
    if kind == 0:
        return b"\xff" + random_.randbytes(random_.randrange(1, 200))
    if kind == 1:
        return valid[: random_.randrange(1, len(valid) - 1)]
    if kind == 2:
        return b"\x12\xff\xff\xff\xff\x0f" + random_.randbytes(20)
    if kind == 3:
        block = wire.Block(table=random_.randrange(9), rows=2**31, columns=2**31, values=b"x" * 9)  # type: ignore[arg-type]
        return wire.AgentMessage(batch=batch(1, blocks=[block], flows=b"\1")).SerializeToString()
    return wire.AgentMessage(batch=batch(1, schema_id=random_.randrange(2, 2**32))).SerializeToString()


async def test_ten_thousand_malformed_messages_harm_nobody(rig: Rig) -> None:
    """None crashes the collector, each is counted, and a good stream loses nothing meanwhile."""
    random_ = random.Random(7)
    good = await rig.agent(hello("good"))
    sent = 0

    async def report() -> None:
        nonlocal sent
        while True:
            sent += 1
            await good.send(batch(sent, events=[event(sent)] if sent % 10 == 0 else []))
            await good.until_acknowledged(sent)
            await asyncio.sleep(0.01)

    reporting = asyncio.create_task(report())
    refused = await _bombard(rig, [_malformed(number, random_) for number in range(10_000)])
    assert not reporting.done()
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
    assert refused >= 10_000
    assert rig.collector.counters.refused["internal_error"] == 0
    assert good.refusal is None
    assert good.acknowledged >= sent - 1
    assert len(rig.collector.store.events(node="good", limit=10_000)) >= good.acknowledged // 10
