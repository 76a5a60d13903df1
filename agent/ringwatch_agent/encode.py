"""Turns readings into wire messages: a Hello when the columns change, then a Batch. Keeps no data."""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from ringwatch_agent.sources.base import (
    CommunicatorRecord,
    Device,
    EventRecord,
    GpuOwner,
    Outsiders,
    RankRecord,
    Reading,
    TableReading,
)
from ringwatch_proto import WIRE_VERSION
from ringwatch_proto.signals import Table
from ringwatch_proto.v1 import telemetry_pb2 as pb

_Columns = tuple[tuple[Device, ...], tuple[int, ...]]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """Who reports: what every Hello of this agent says about its node."""

    node: str
    boot_id: str
    agent_version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    verbs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One encoding: ``hello`` comes before ``batch`` and is None when nothing changed."""

    hello: pb.Hello | None
    batch: pb.Batch


class Encoder:
    """Merges the readings of one instant into a Batch and keeps the schema that it names.

    A table that was seen once stays in the schema; a source that failed merely sends no block. The
    spool fills in what only it knows: spool id, sequence and event ids.
    """

    def __init__(self, identity: NodeIdentity, *, last_schema_id: int = 0) -> None:
        self._identity = identity
        self._schema_id = last_schema_id
        self._columns: dict[Table, _Columns] = {}
        self._ranks: tuple[RankRecord, ...] = ()
        self._communicators: tuple[CommunicatorRecord, ...] = ()
        self._addresses: tuple[str, ...] = ()
        self._owners: tuple[GpuOwner, ...] = ()
        self._outsiders = Outsiders(serial=-1, ranks=(), communicators=())
        self._at_pci: dict[str, str] = {}
        self._said: object = None

    def encode(self, readings: Iterable[Reading], *, wall_ns: int, monotonic_ns: int) -> Encoded:
        """Return the messages of what was read at one instant."""
        taken = tuple(readings)
        tables = [merge_tables(parts) for parts in by_table(taken).values()]
        misfits = sum(not _fits(table) for reading in taken for table in reading.tables)
        hello = self._learn(taken, tables)
        batch = pb.Batch(
            schema_id=self._schema_id,
            wall_ns=wall_ns,
            monotonic_ns=monotonic_ns,
            blocks=[_block(table) for table in tables],
            steps=b"".join(reading.steps for reading in taken),
            collectives=b"".join(reading.collectives for reading in taken),
            rank_states=b"".join(reading.rank_states for reading in taken),
            flows=b"".join(reading.flows for reading in taken),
            events=[_event(event, self._at_pci) for reading in taken for event in reading.events],
            dropped=_dropped(taken, misfits),
        )
        return Encoded(hello=hello, batch=batch)

    def _learn(self, readings: Sequence[Reading], tables: Sequence[TableReading]) -> pb.Hello | None:
        for table in tables:
            self._columns[table.table] = (table.devices, table.signals)
            if table.table is Table.GPU:
                self._at_pci = {device.pci_address: device.id for device in table.devices}
        self._ranks = _last(self._ranks, (reading.ranks for reading in readings))
        self._communicators = _last(self._communicators, (reading.communicators for reading in readings))
        self._addresses = _last(self._addresses, (reading.addresses for reading in readings))
        self._owners = _last(self._owners, (reading.owners for reading in readings))
        found = (reading.outsiders for reading in readings if reading.outsiders is not None)
        self._outsiders = max((self._outsiders, *found), key=lambda each: each.serial)
        now = (
            dict(self._columns),
            self._ranks,
            self._communicators,
            self._addresses,
            self._owners,
            self._outsiders.ranks,
            self._outsiders.communicators,
        )
        if now == self._said:
            return None
        self._said = now
        self._schema_id += 1
        return self._hello()

    def _hello(self) -> pb.Hello:
        me = self._identity
        return pb.Hello(
            wire_version=WIRE_VERSION,
            node=me.node,
            boot_id=me.boot_id,
            schema_id=self._schema_id,
            agent_version=me.agent_version,
            tables=[_schema(table, columns) for table, columns in self._columns.items()],
            ranks=[_rank(record) for record in (*self._ranks, *self._outside_ranks())],
            communicators=[
                _communicator(record) for record in (*self._communicators, *self._outsiders.communicators)
            ],
            labels=me.labels,
            simulated=me.simulated,
            verbs=me.verbs,
            addresses=self._addresses,
            owners=[_owner(owner) for owner in self._owners],
        )

    def _outside_ranks(self) -> list[RankRecord]:
        """Return the ranks that no hook names: of a rank that has one, the hook knows more."""
        hooked = {(record.job, record.rank) for record in self._ranks}
        return [record for record in self._outsiders.ranks if (record.job, record.rank) not in hooked]


def merge_tables(parts: Sequence[TableReading]) -> TableReading:
    """Join readings of one table: rows and columns of all of them, NaN where a part has none."""
    if len(parts) == 1:
        return parts[0]
    signals = tuple(sorted({signal for part in parts for signal in part.signals}))
    devices = tuple({device.id: device for part in parts for device in part.devices}.values())
    row_of = {device.id: row for row, device in enumerate(devices)}
    column_of = {signal: column for column, signal in enumerate(signals)}
    values = array("f", [math.nan]) * (len(devices) * len(signals))
    for part in parts:
        cells = iter(part.values)
        for device in part.devices:
            base = row_of[device.id] * len(signals)
            for signal in part.signals:
                values[base + column_of[signal]] = next(cells)
    return TableReading(table=parts[0].table, devices=devices, signals=signals, values=values)


def by_table(readings: Iterable[Reading]) -> dict[Table, list[TableReading]]:
    """Return the parts of each table; one that does not fit its own columns is left out."""
    tables: dict[Table, list[TableReading]] = {}
    for reading in readings:
        for table in filter(_fits, reading.tables):
            tables.setdefault(table.table, []).append(table)
    return tables


def _last(known: _T, said: Iterable[_T | None]) -> _T:
    for each in said:
        if each is not None:
            known = each
    return known


def _block(reading: TableReading) -> pb.Block:
    values = reading.values
    if sys.byteorder == "big":
        values = array("f", values)
        values.byteswap()
    return pb.Block(
        table=cast("pb.Table", int(reading.table)),
        rows=len(reading.devices),
        columns=len(reading.signals),
        values=values.tobytes(),
    )


def _schema(table: Table, columns: _Columns) -> pb.TableSchema:
    devices, signals = columns
    return pb.TableSchema(
        table=cast("pb.Table", int(table)),
        signals=signals,
        devices=[
            pb.Device(id=each.id, name=each.name, pci_address=each.pci_address, model=each.model)
            for each in devices
        ],
    )


def _rank(record: RankRecord) -> pb.RankInfo:
    return pb.RankInfo(
        row=record.row,
        job=record.job,
        rank=record.rank,
        world_size=record.world_size,
        local_rank=record.local_rank,
        pid=record.pid,
        gpu=record.gpu,
        user=record.user,
        backend=record.backend,
    )


def _owner(owner: GpuOwner) -> pb.GpuOwner:
    return pb.GpuOwner(
        gpu=owner.gpu,
        pid=owner.pid,
        job=owner.job,
        user=owner.user,
        rank=owner.rank,
        world_size=owner.world_size,
        program=owner.program,
        pod=owner.pod,
        container=owner.container,
        how=owner.how,
    )


def _communicator(record: CommunicatorRecord) -> pb.Communicator:
    return pb.Communicator(index=record.index, job=record.job, name=record.name, ranks=record.ranks)


def _event(record: EventRecord, at_pci: Mapping[str, str]) -> pb.Event:
    # The kernel log knows PCI addresses; everything else knows the GPU by its UUID.
    return pb.Event(
        wall_ns=record.wall_ns,
        kind=record.kind,
        severity=cast("pb.Severity", int(record.severity)),
        source=record.source,
        device=at_pci.get(record.device, record.device),
        code=record.code,
        text=record.text,
        fields=record.fields,
        backfill=record.backfill,
    )


def _fits(table: TableReading) -> bool:
    return len(table.values) == len(table.devices) * len(table.signals)


def _dropped(readings: Iterable[Reading], misfits: int) -> list[pb.Dropped]:
    counts: Counter[str] = Counter({"encode.tables": misfits})
    for reading in readings:
        counts.update(reading.dropped)
    return [pb.Dropped(kind=kind, count=count) for kind, count in counts.items() if count]
