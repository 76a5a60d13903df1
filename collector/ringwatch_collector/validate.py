"""Checks of what agents send, before anything of it is used. It changes no state of the fleet.

A message that means nothing ends its stream (``BadMessage``). A part of a batch that means nothing is
left out and counted, and the rest, above all its events, is kept: refusing the whole batch would make
the agent send it again for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ringwatch_collector.fleet.flows import FLOW_DTYPE
from ringwatch_collector.fleet.jobs import COLLECTIVE_DTYPE, RANK_STATE_DTYPE, STEP_DTYPE
from ringwatch_proto import WIRE_VERSION
from ringwatch_proto.errors import WireError
from ringwatch_proto.signals import BY_ID, Table
from ringwatch_proto.v1 import telemetry_pb2 as wire

_MOST_NAME: Final = 128
_MOST_TEXT: Final = 4096
_MOST_DEVICES: Final = 4096
_MOST_RANKS: Final = 1024
_MOST_WORLD: Final = 1 << 20
_MOST_EVENTS: Final = 4096
_MOST_FIELDS: Final = 32
_MOST_RECORDS: Final = 200_000
_ROWS: Final = 65536
# What a signed 64-bit column of a database holds.
_MOST_SEQUENCE: Final = 1 << 63
# Unix times between 1970-01-02 and 2200: a node whose battery is empty still counts from 1970.
_WALL_NS: Final = (86_400 * 10**9, 7_258_118_400 * 10**9)


class BadMessage(WireError):
    """A message that means nothing; ``reason`` is the word that it is counted under."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a Hello announced: the shape of each table's blocks and the rank rows there are."""

    schema_id: int
    # Rows, columns and bytes of a block, by table.
    shapes: dict[int, tuple[int, int, int]]


def check_hello(hello: wire.Hello) -> Schema:
    """Return what the Hello announces; raise BadMessage when it cannot be followed."""
    if hello.wire_version != WIRE_VERSION:
        raise BadMessage(
            "wire_version",
            f"wire version {hello.wire_version} is not {WIRE_VERSION}, which this collector speaks",
        )
    _name("node", hello.node)
    _name("spool_id", hello.spool_id)
    _names("boot_id, agent_version", (hello.boot_id, hello.agent_version))
    _most("labels", len(hello.labels), 64)
    _names("labels", (text for pair in hello.labels.items() for text in pair))
    _most("verbs", len(hello.verbs), 64)
    _names("verbs", hello.verbs)
    _most("addresses", len(hello.addresses), 1024)
    _names("addresses", hello.addresses)
    _most("owners", len(hello.owners), 1024)
    _names("owners", (text for owner in hello.owners for text in _texts(owner)))
    shapes = _check_tables(hello)
    _check_ranks(hello)
    _check_communicators(hello)
    return Schema(schema_id=hello.schema_id, shapes=shapes)


def _check_tables(hello: wire.Hello) -> dict[int, tuple[int, int, int]]:
    shapes: dict[int, tuple[int, int, int]] = {}
    for schema in hello.tables:
        if schema.table not in Table._value2member_map_ or schema.table in shapes:
            raise BadMessage("hello_table", f"table {schema.table} is unknown or named twice")
        _most("devices", len(schema.devices), _MOST_DEVICES)
        ids = {device.id for device in schema.devices}
        if len(ids) != len(schema.devices) or "" in ids:
            raise BadMessage("hello_device", f"table {schema.table}: a device has no id or one of another")
        for device in schema.devices:
            _names("device", (device.id, device.name, device.pci_address, device.model))
        known = {
            signal
            for signal in schema.signals
            if signal in BY_ID and int(BY_ID[signal].table) == schema.table
        }
        if len(known) != len(schema.signals):
            raise BadMessage("hello_signal", f"table {schema.table}: a signal is unknown or named twice")
        rows, columns = len(schema.devices), len(schema.signals)
        shapes[schema.table] = (rows, columns, 4 * rows * columns)
    return shapes


def _check_ranks(hello: wire.Hello) -> None:
    _most("ranks", len(hello.ranks), _MOST_RANKS)
    if len({info.row for info in hello.ranks}) != len(hello.ranks):
        raise BadMessage("hello_rank", "two ranks have one row")
    if len({(info.job, info.rank) for info in hello.ranks}) != len(hello.ranks):
        raise BadMessage("hello_rank", "a rank of a job is named twice")
    for info in hello.ranks:
        _name("job", info.job)
        _names("rank", (info.gpu, info.user, info.backend))
        if info.row >= _ROWS or not info.rank < info.world_size <= _MOST_WORLD:
            raise BadMessage("hello_rank", f"rank {info.rank} of {info.world_size} in row {info.row}")


def _check_communicators(hello: wire.Hello) -> None:
    _most("communicators", len(hello.communicators), 4096)
    if len({item.index for item in hello.communicators}) != len(hello.communicators):
        raise BadMessage("hello_communicator", "two communicators have one index")
    for item in hello.communicators:
        _names("communicator", (item.job, item.name))
        if item.index >= _ROWS or (item.ranks and max(item.ranks) >= _MOST_WORLD):
            raise BadMessage("hello_communicator", f"communicator {item.index} is out of range")


def _texts(owner: wire.GpuOwner) -> tuple[str, ...]:
    named = (owner.gpu, owner.job, owner.user, owner.program)
    return (*named, owner.pod, owner.container, owner.how)


def _most(what: str, count: int, most: int) -> None:
    if count > most:
        raise BadMessage("hello_too_much", f"{count} {what}: at most {most}")


def _name(what: str, text: str) -> None:
    if not text:
        raise BadMessage("hello_name", f"{what} is empty")
    _names(what, (text,))


def _names(what: str, texts: Iterable[str]) -> None:
    for text in texts:
        if len(text) > _MOST_NAME:
            raise BadMessage("hello_name", f"{what} has {len(text)} characters: at most {_MOST_NAME}")
        if not text.isprintable():
            raise BadMessage("hello_name", f"{what} {text[:40]!r} has control characters")


def check_batch(batch: wire.Batch, schema: Schema) -> list[str]:
    """Leave out the parts of a batch that mean nothing and return the reason of each.

    Raises BadMessage when nothing of it can be used.
    """
    if batch.schema_id != schema.schema_id:
        raise BadMessage(
            "unknown_schema", f"batch {batch.sequence} names schema {batch.schema_id}, not {schema.schema_id}"
        )
    if not 0 < batch.sequence < _MOST_SEQUENCE:
        raise BadMessage("sequence", f"sequence {batch.sequence}: they begin with 1 and fit a signed integer")
    if not _WALL_NS[0] < batch.wall_ns < _WALL_NS[1] or batch.monotonic_ns < 0:
        raise BadMessage("absurd_time", f"batch {batch.sequence} is of {batch.wall_ns} ns")
    faults: list[str] = []
    if not _blocks_fit(batch, schema):
        faults += _leave_out_blocks(batch, schema)
    for name, length in _RECORDS:
        packed = getattr(batch, name)
        if packed and (len(packed) % length or len(packed) > _MOST_RECORDS * length):
            faults.append(f"{name}_length")
            batch.ClearField(name)
    if batch.events:
        faults += _check_events(batch)
    if batch.dropped and not _counts_fit(batch):
        batch.ClearField("dropped")
        faults.append("dropped_counts")
    return faults


# What records say of themselves, rank rows and steps, is checked where they are written: many at once.
_RECORDS: Final = (
    ("rank_states", RANK_STATE_DTYPE.itemsize),
    ("steps", STEP_DTYPE.itemsize),
    ("collectives", COLLECTIVE_DTYPE.itemsize),
    ("flows", FLOW_DTYPE.itemsize),
)


def _counts_fit(batch: wire.Batch) -> bool:
    return len(batch.dropped) <= 64 and all(
        item.kind.isprintable() and len(item.kind) <= 64 for item in batch.dropped
    )


def _blocks_fit(batch: wire.Batch, schema: Schema) -> bool:
    """Tell whether every block is of another table and of the shape that the Hello announced."""
    seen = 0
    for block in batch.blocks:
        table = block.table
        shape = schema.shapes.get(table)
        if shape != (block.rows, block.columns, len(block.values)) or seen >> table & 1:
            return False
        seen |= 1 << table
    return True


def _leave_out_blocks(batch: wire.Batch, schema: Schema) -> list[str]:
    faults: list[str] = []
    seen: set[int] = set()
    for at in range(len(batch.blocks) - 1, -1, -1):
        block = batch.blocks[at]
        shape = schema.shapes.get(block.table)
        if block.table in seen or shape is None or shape[:2] != (block.rows, block.columns):
            faults.append("block_shape")
            del batch.blocks[at]
        elif len(block.values) != shape[2]:
            faults.append("block_length")
            del batch.blocks[at]
        else:
            seen.add(block.table)
    return faults


def _check_events(batch: wire.Batch) -> list[str]:
    """Make the texts of events harmless: an event is never refused for its text."""
    faults: list[str] = []
    if len(batch.events) > _MOST_EVENTS:
        faults.append("events_count")
        del batch.events[_MOST_EVENTS:]
    for event in batch.events:
        for name in ("kind", "source", "device"):
            setattr(event, name, clean(getattr(event, name), _MOST_NAME))
        event.text = clean(event.text, _MOST_TEXT)
        if event.severity not in (0, 1, 2, 3):
            event.severity = wire.SEVERITY_UNSPECIFIED
        if not _WALL_NS[0] < event.wall_ns < _WALL_NS[1]:
            faults.append("event_time")
            event.wall_ns = batch.wall_ns
        if event.id >= 1 << 63:
            faults.append("event_id")
            event.id &= (1 << 63) - 1
        _clean_fields(event)
    return faults


def _clean_fields(event: wire.Event) -> None:
    items = list(event.fields.items())[:_MOST_FIELDS]
    harmless = all(
        key.isprintable() and value.isprintable() and len(key) <= 64 and len(value) <= 512
        for key, value in items
    )
    if len(items) < len(event.fields) or not harmless:
        event.fields.clear()
        event.fields.update({clean(key, 64): clean(value, 512) for key, value in items})


def clean(text: str, most: int) -> str:
    """Return text without control characters, cut to ``most`` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
