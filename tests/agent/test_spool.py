"""What waits for the collector: order, bounds, and what goes first."""

from __future__ import annotations

import asyncio
from collections import Counter

from ringwatch_agent.spool import MAX_BATCH_BYTES, Spool
from ringwatch_proto import layout
from ringwatch_proto.v1 import telemetry_pb2 as pb


def _hello(schema_id: int) -> pb.Hello:
    return pb.Hello(node="n", schema_id=schema_id)


def _batch(schema_id: int = 1, *, blocks: int = 0, events: int = 0, steps: int = 0) -> pb.Batch:
    return pb.Batch(
        schema_id=schema_id,
        blocks=[pb.Block(table=pb.TABLE_GPU, values=b"x" * 1000) for _ in range(blocks)],
        events=[pb.Event(kind="gpu.xid", text="e") for _ in range(events)],
        steps=b"\0" * (layout.STEP.size * steps),
    )


def _batches(spool: Spool) -> list[pb.Batch]:
    return [pb.AgentMessage.FromString(each.payload).batch for each in spool.between(0, spool.last_sequence)]


def test_sequences_rise_and_event_ids_are_unique() -> None:
    """The spool numbers batches and events."""
    spool = Spool()
    spool.append(_hello(1), _batch(events=2))
    spool.append(None, _batch(events=1))
    batches = _batches(spool)
    assert [batch.sequence for batch in batches] == [1, 2]
    assert len({event.id for batch in batches for event in batch.events}) == 3


def test_an_ack_trims_and_keeps_the_hello_that_is_still_needed() -> None:
    """The Hello of the first unacknowledged batch survives; older ones go."""
    spool = Spool()
    spool.append(_hello(1), _batch(1))
    spool.append(_hello(2), _batch(2))
    spool.append(_hello(3), _batch(3))
    assert spool.ack(2) == 2
    assert spool.hello(2) is None
    assert spool.hello(3) is not None
    spool.ack(99)
    assert (len(spool), spool.bytes) == (0, 0)
    assert spool.hello(3) is not None


def test_over_the_bound_oldest_samples_go_before_any_event() -> None:
    """Old batches are thinned to their events, new samples stay, and the loss is counted."""
    spool = Spool(limit_bytes=6000)
    spool.append(_hello(1), _batch(blocks=2, events=1, steps=3))
    for _ in range(4):
        spool.append(None, _batch(blocks=2))
    batches = _batches(spool)
    assert spool.bytes <= 6000
    assert (len(batches[0].events), len(batches[0].blocks)) == (1, 0)
    assert len(batches[-1].blocks) == 2
    kept = sum(len(batch.blocks) for batch in batches)
    assert spool.dropped_total == {"spool.blocks": 10 - kept, "spool.steps": 3}


def test_events_go_last_and_are_counted() -> None:
    """When only events are left the oldest go."""
    spool = Spool(limit_bytes=1000)
    for _ in range(20):
        spool.append(_hello(1), _batch(events=1))
    kept = sum(len(batch.events) for batch in _batches(spool))
    assert 0 < kept < 20
    assert spool.dropped_total["spool.events"] == 20 - kept


def test_counts_of_what_was_lost_travel_in_later_batches_and_add_up() -> None:
    """What one batch had to tell is told by another when that batch is itself dropped."""
    spool = Spool(limit_bytes=1500)
    for _ in range(50):
        spool.append(_hello(1), _batch(blocks=1, events=1))
    told: Counter[str] = Counter()
    for batch in _batches(spool):
        told.update({each.kind: each.count for each in batch.dropped})
    spool.ack(spool.last_sequence)
    spool.append(None, _batch())
    told.update({each.kind: each.count for each in _batches(spool)[0].dropped})
    assert told == spool.dropped_total


def test_a_batch_that_no_server_would_take_is_thinned() -> None:
    """An oversized batch keeps its events and cannot block the stream for ever."""
    spool = Spool()
    spool.append(_hello(1), _batch(blocks=MAX_BATCH_BYTES // 1000 + 1, events=1))
    (batch,) = _batches(spool)
    assert (len(batch.blocks), len(batch.events)) == (0, 1)
    assert spool.dropped_total["spool.blocks"] == MAX_BATCH_BYTES // 1000 + 1


async def test_waiting_for_a_batch_ends_when_it_comes() -> None:
    """A sender sleeps until there is something to send."""
    spool = Spool()
    waiting = asyncio.create_task(spool.wait_after(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    spool.append(_hello(1), _batch())
    assert (await waiting).sequence == 1
