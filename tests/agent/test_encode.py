"""Readings to wire messages."""

from __future__ import annotations

import math
import struct
from array import array

from ringwatch_agent.encode import Encoder, NodeIdentity, merge_tables
from ringwatch_agent.sources.base import (
    Device,
    EventRecord,
    GpuOwner,
    Outsiders,
    RankRecord,
    Reading,
    TableReading,
)
from ringwatch_proto.signals import Table

IDENTITY = NodeIdentity(node="n1", boot_id="boot", agent_version="0", labels={"rack": "r1"}, verbs=("x.y",))
RANK = RankRecord(row=0, job="j", rank=3, world_size=8, local_rank=1, pid=42)


def _gpus(
    values: list[float], ids: tuple[str, ...] = ("a", "b"), signals: tuple[int, ...] = (3, 7)
) -> Reading:
    devices = tuple(Device(id=each, name=each) for each in ids)
    table = TableReading(table=Table.GPU, devices=devices, signals=signals, values=array("f", values))
    return Reading(tables=(table,))


def test_first_encoding_says_hello_with_every_column() -> None:
    """Names node, labels, devices and signals before the first block."""
    encoded = Encoder(IDENTITY).encode([_gpus([1, 2, 3, 4])], wall_ns=5, monotonic_ns=6)
    assert encoded.hello is not None
    assert (encoded.hello.node, dict(encoded.hello.labels), encoded.hello.schema_id) == (
        "n1",
        {"rack": "r1"},
        1,
    )
    assert list(encoded.hello.tables[0].signals) == [3, 7]
    assert [device.id for device in encoded.hello.tables[0].devices] == ["a", "b"]
    assert encoded.batch.schema_id == 1
    assert (encoded.batch.wall_ns, encoded.batch.monotonic_ns) == (5, 6)
    assert struct.unpack("<4f", encoded.batch.blocks[0].values) == (1, 2, 3, 4)


def test_unchanged_columns_say_no_second_hello() -> None:
    """A steady node costs one Hello."""
    encoder = Encoder(IDENTITY)
    encoder.encode([_gpus([1, 2, 3, 4])], wall_ns=0, monotonic_ns=0)
    assert encoder.encode([_gpus([5, 6, 7, 8])], wall_ns=1, monotonic_ns=1).hello is None


def test_a_source_that_sends_nothing_keeps_its_columns() -> None:
    """A failed read leaves the block out and the schema alone."""
    encoder = Encoder(IDENTITY)
    encoder.encode([_gpus([1, 2, 3, 4])], wall_ns=0, monotonic_ns=0)
    encoded = encoder.encode([], wall_ns=1, monotonic_ns=1)
    assert encoded.hello is None
    assert not encoded.batch.blocks


def test_a_rank_that_joins_says_a_new_hello() -> None:
    """Ranks, communicators and addresses are part of the schema; None means unchanged."""
    encoder = Encoder(IDENTITY, last_schema_id=7)
    encoder.encode([_gpus([1, 2, 3, 4])], wall_ns=0, monotonic_ns=0)
    hello = encoder.encode([Reading(ranks=(RANK,), addresses=("10.0.0.1",))], wall_ns=1, monotonic_ns=1).hello
    assert hello is not None
    assert (hello.schema_id, hello.ranks[0].rank, list(hello.addresses)) == (9, 3, ["10.0.0.1"])
    assert encoder.encode([Reading(ranks=None)], wall_ns=2, monotonic_ns=2).hello is None
    gone = encoder.encode([Reading(ranks=())], wall_ns=3, monotonic_ns=3).hello
    assert gone is not None
    assert not gone.ranks


def test_parts_of_one_table_are_joined_with_nan_between() -> None:
    """Two sources may fill one table; what neither read is NaN."""
    first = _gpus([1.0], ids=("a",), signals=(3,)).tables[0]
    second = _gpus([2.0, 9.0], ids=("b",), signals=(7, 3)).tables[0]
    merged = merge_tables([first, second])
    assert merged.signals == (3, 7)
    assert merged.values[0] == 1.0
    assert math.isnan(merged.values[1])
    assert list(merged.values[2:]) == [9.0, 2.0]


def test_events_and_drop_counts_cross_whole() -> None:
    """Events keep their fields; drop counts of several sources add up."""
    event = EventRecord(
        wall_ns=9,
        kind="gpu.xid",
        severity=3,
        source="kmsg",
        text="t",
        code=79,
        fields={"pci": "0"},
        backfill=True,
    )
    batch = (
        Encoder(IDENTITY)
        .encode(
            [Reading(events=(event,), dropped={"kmsg.lines": 2}), Reading(dropped={"kmsg.lines": 1, "x": 0})],
            wall_ns=0,
            monotonic_ns=0,
        )
        .batch
    )
    assert (batch.events[0].code, dict(batch.events[0].fields), batch.events[0].backfill) == (
        79,
        {"pci": "0"},
        True,
    )
    assert [(each.kind, each.count) for each in batch.dropped] == [("kmsg.lines", 3)]


def test_a_table_that_does_not_fit_its_columns_is_left_out_and_counted() -> None:
    """One source with a bug costs its own table."""
    batch = Encoder(IDENTITY).encode([_gpus([1, 2, 3])], wall_ns=0, monotonic_ns=0).batch
    assert not batch.blocks
    assert [(each.kind, each.count) for each in batch.dropped] == [("encode.tables", 1)]


def test_a_kernel_line_gets_the_gpu_that_has_its_address() -> None:
    """The log knows PCI addresses, the fleet knows UUIDs."""
    device = Device(id="GPU-1", name="gpu0", pci_address="0000:41:00.0")
    table = TableReading(table=Table.GPU, devices=(device,), signals=(2,), values=array("f", [0]))
    told = [
        EventRecord(wall_ns=0, kind="gpu.xid", severity=3, source="kmsg", text="", device=each)
        for each in ("0000:41:00.0", "0000:99:00.0")
    ]
    batch = (
        Encoder(IDENTITY)
        .encode([Reading(tables=(table,), events=tuple(told))], wall_ns=0, monotonic_ns=0)
        .batch
    )
    assert [event.device for event in batch.events] == ["GPU-1", "0000:99:00.0"]


def test_packed_records_are_joined_in_order() -> None:
    """Packed records of several sources lie back to back."""
    readings = [Reading(steps=b"ab", flows=b"1"), Reading(steps=b"cd", flows=b"2")]
    batch = Encoder(IDENTITY).encode(readings, wall_ns=0, monotonic_ns=0).batch
    assert (batch.steps, batch.flows) == (b"abcd", b"12")


def test_who_uses_a_gpu_stands_in_the_hello() -> None:
    """Said when it changes, and kept while a source is slow to say it again."""
    encoder = Encoder(NodeIdentity(node="n1", boot_id="b", agent_version="0"))
    owner = GpuOwner(gpu="GPU-1", pid=5, job="llm", user="ada", rank=3, world_size=8, how="nvml")
    said = encoder.encode([Reading(owners=(owner,))], wall_ns=1, monotonic_ns=1).hello
    assert said is not None
    assert [(each.gpu, each.pid, each.job, each.rank) for each in said.owners] == [("GPU-1", 5, "llm", 3)]
    assert encoder.encode([Reading()], wall_ns=2, monotonic_ns=2).hello is None
    gone = encoder.encode([Reading(owners=())], wall_ns=3, monotonic_ns=3).hello
    assert gone is not None
    assert not gone.owners


def test_a_rank_that_has_the_hook_is_the_hooks() -> None:
    """Ranks known from outside stand behind those of the hook; the list with the highest serial counts."""
    encoder = Encoder(NodeIdentity(node="n1", boot_id="b", agent_version="0"))

    def rank(row: int, number: int) -> RankRecord:
        return RankRecord(row=row, job="llm", rank=number, world_size=4, local_rank=number, pid=0)

    newer = Outsiders(serial=2, ranks=(rank(512, 0), rank(513, 1)), communicators=())
    older = Outsiders(serial=1, ranks=(rank(512, 0),), communicators=())
    readings = [Reading(ranks=(rank(0, 0),)), Reading(outsiders=newer), Reading(outsiders=older)]
    hello = encoder.encode(readings, wall_ns=1, monotonic_ns=1).hello
    assert hello is not None
    assert [(each.row, each.rank) for each in hello.ranks] == [(0, 0), (513, 1)]
