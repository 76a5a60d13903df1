"""What the simulated nodes of the collector's bench say: their Hello, and batches by template.

A batch is encoded once by protobuf; from then on only the bytes of its times, numbers and readings
change, for many nodes at once. Everything here is plain healthy work: it finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.fleet import gpus as simulated
from ringwatch_proto import WIRE_VERSION, events, layout
from ringwatch_proto.signals import Signal, Table, columns_of
from ringwatch_proto.v1 import telemetry_pb2 as wire

Bytes = NDArray[np.uint8]
Index = NDArray[np.int64]

STEP_DTYPE: Final = np.dtype(list(layout.STEP_FIELDS))
COLLECTIVE_DTYPE: Final = np.dtype(list(layout.COLLECTIVE_FIELDS))
RANK_STATE_DTYPE: Final = np.dtype(list(layout.RANK_STATE_FIELDS))
# Sequences from here to 2^28 take four bytes as a varint, so that every batch has the same length.
FIRST_SEQUENCE: Final = 1 << 21
_SENTINEL_WALL_NS: Final = 0x1122334455667788
_SENTINEL_MONOTONIC_NS: Final = 0x1122334455667799
_COLLECTIVES: Final = 4
_BLOCKS_KEPT: Final = 16
_SOURCES: Final = ("nvml", "kmsg", "ports", "host", "hook")
# What moves from reading to reading, and by how much; the rest of the columns stands still.
_MOVING: Final = {"gpu.utilization_percent": 1.0, "gpu.power_watts": 6.0, "gpu.temperature_celsius": 0.7}
_STEADY: Final = {
    "gpu.utilization_percent": 97.0,
    "gpu.power_watts": 610.0,
    "gpu.temperature_celsius": 62.0,
    "gpu.sm_clock_mhz": simulated.MAX_CLOCK_MHZ,
    "gpu.sm_clock_max_mhz": simulated.MAX_CLOCK_MHZ,
    "gpu.memory_total_mib": 81559.0,
    "gpu.memory_used_mib": 71240.0,
    "gpu.slowdown_temperature_celsius": 87.0,
    "gpu.nvlink_active": 18.0,
    "gpu.pcie_link_generation": 5.0,
    "gpu.pcie_link_width": 16.0,
    "gpu.pcie_link_width_max": 16.0,
    "port.up": 1.0,
    "port.speed_gbit_per_s": 400.0,
    "host.cpus": 192.0,
    "host.memory_available_mib": 1.5e6,
    "host.memory_total_mib": 2.0e6,
    "source.up": 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent: so many nodes, each with GPUs and a rank on each, ports, a host row and sources."""

    nodes: int
    gpus: int = 8
    ports: int = 8
    hz: float = 1.0
    seconds: float = 20.0
    connections: int = 8
    job_nodes: int = 128
    # How many of the catalogue's signals a node sends of each GPU, port and host.
    gpu_signals: int = 32
    port_signals: int = 20
    host_signals: int = 14
    # Every so many seconds a node reports an event, which has to be on disk before it is acknowledged.
    event_every_s: float = 60.0
    # Training steps last so long: 5 to 10 s on ten thousand GPUs (MegaScale, arXiv:2402.15627, table 2).
    step_s: float = 5.0

    @property
    def step_every(self) -> int:
        """Return how many batches apart two steps of a rank are."""
        return max(1, round(self.step_s * self.hz))

    @property
    def rows(self) -> dict[Table, int]:
        """Return how many devices each table of a node has."""
        return {Table.GPU: self.gpus, Table.PORT: self.ports, Table.HOST: 1, Table.SOURCE: len(_SOURCES)}

    def signals(self, table: Table) -> tuple[Signal, ...]:
        """Return the columns of a table: the first ones of the catalogue."""
        most = {
            Table.GPU: self.gpu_signals,
            Table.PORT: self.port_signals,
            Table.HOST: self.host_signals,
        }
        return columns_of(table)[: most.get(table)]


def steps_now(load: Load, nodes: Index, number: int) -> NDArray[np.bool_]:
    """Return which nodes end a step in their ``number``-th batch: all of a job do so together."""
    return np.asarray((nodes // load.job_nodes + number) % load.step_every == 0)


def node_name(number: int) -> str:
    """Return the name of a node."""
    return f"bench{number:05d}"


def _devices(table: Table, name: str, rows: int) -> list[wire.Device]:
    if table is Table.SOURCE:
        return [wire.Device(id=source, name=source) for source in _SOURCES]
    word = table.name.lower()
    return [wire.Device(id=f"SIM-{name}-{word}{row}", name=f"{word}{row}") for row in range(rows)]


def hello(load: Load, number: int) -> bytes:
    """Return the first message of a node."""
    name, job = node_name(number), f"bench{number // load.job_nodes:03d}"
    first = number // load.job_nodes * load.job_nodes
    world = (min(first + load.job_nodes, load.nodes) - first) * load.gpus
    said = wire.Hello(
        wire_version=WIRE_VERSION,
        node=name,
        spool_id=name,
        schema_id=1,
        simulated=True,
        tables=[
            wire.TableSchema(
                table=int(table),  # type: ignore[arg-type]  # the enums share their values
                devices=_devices(table, name, rows),
                signals=[signal.id for signal in load.signals(table)],
            )
            for table, rows in load.rows.items()
        ],
        ranks=[
            wire.RankInfo(
                row=row,
                job=job,
                rank=(number - first) * load.gpus + row,
                world_size=world,
                local_rank=row,
                pid=1000 + row,
                gpu=f"SIM-{name}-gpu{row}",
            )
            for row in range(load.gpus)
        ],
        communicators=[wire.Communicator(index=0, job=job, name="default")],
    )
    return wire.AgentMessage(hello=said).SerializeToString()


def _blocks(columns: Sequence[Signal], rows: int, dice: np.random.Generator) -> Bytes:
    """(kept, bytes) some blocks of healthy readings."""
    middle = np.array([_STEADY.get(signal.name, 0.0) for signal in columns], np.float32)
    spread = np.array([_MOVING.get(signal.name, 0.0) for signal in columns], np.float32)
    noise = dice.standard_normal((_BLOCKS_KEPT, rows, len(columns)), np.float32)
    values = (middle + spread * noise).astype("<f4")
    return np.ascontiguousarray(values).reshape(_BLOCKS_KEPT, -1).view(np.uint8)


@dataclass(slots=True)
class Templates:
    """The bytes of one batch, and where in them each part lies."""

    load: Load
    # Whether the batch holds a step of each rank.
    stepping: bool = True
    dice: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    message: bytes = b""
    _at: dict[str, int] = field(default_factory=dict)
    _pools: dict[Table, Bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Encode the template and find its parts."""
        self._pools = {
            table: _blocks(self.load.signals(table), rows, self.dice)
            for table, rows in self.load.rows.items()
        }
        parts = self._records(1, 0, 0)
        batch = wire.Batch(
            sequence=FIRST_SEQUENCE,
            schema_id=1,
            wall_ns=_SENTINEL_WALL_NS,
            monotonic_ns=_SENTINEL_MONOTONIC_NS,
            blocks=[self._block(table, rows) for table, rows in self.load.rows.items()],
        )
        for name, records in parts.items():
            setattr(batch, name, records.tobytes())
        self.message = wire.AgentMessage(batch=batch).SerializeToString()
        sequence = b"\x08" + varint(FIRST_SEQUENCE)
        self._at = {
            "sequence": self.message.index(sequence) + 1,
            "wall": self.message.index(_SENTINEL_WALL_NS.to_bytes(8, "little")),
            "monotonic": self.message.index(_SENTINEL_MONOTONIC_NS.to_bytes(8, "little")),
            **{name: self.message.index(records.tobytes()) for name, records in parts.items()},
            **{table.name: self.message.index(pool[0].tobytes()) for table, pool in self._pools.items()},
        }

    def _block(self, table: Table, rows: int) -> wire.Block:
        return wire.Block(
            table=int(table),  # type: ignore[arg-type]  # the enums share their values
            rows=rows,
            columns=len(self.load.signals(table)),
            values=self._pools[table][0].tobytes(),
        )

    def _records(self, nodes: int, step: int, wall_ns: int) -> dict[str, NDArray[np.void]]:
        """Return (nodes, records) of one step: who computes longer waits less in the first collective."""
        ranks = self.load.gpus
        share = self.load.step_s
        compute = (share * 0.5 * (1.0 + 0.008 * self.dice.standard_normal((nodes, ranks)))).astype(np.float32)
        steps = np.zeros((nodes, ranks), STEP_DTYPE)
        steps["rank_row"] = np.arange(ranks)
        steps["step"], steps["ended_wall_ns"] = step, wall_ns
        steps["step_s"], steps["data_s"], steps["compute_s"] = self.load.step_s, 0.01, compute
        collectives = np.zeros((nodes, ranks, _COLLECTIVES), COLLECTIVE_DTYPE)
        collectives["rank_row"] = np.arange(ranks)[:, None]
        collectives["slot"] = np.arange(_COLLECTIVES)
        collectives["kind"], collectives["bytes"], collectives["step"] = 1, 1 << 25, step
        collectives["start_s"], collectives["duration_s"] = compute[:, :, None], 0.02
        collectives["duration_s"][:, :, 0] = 0.55 * share - compute
        states = np.zeros((nodes, ranks), RANK_STATE_DTYPE)
        states["rank_row"] = np.arange(ranks)
        states["phase"], states["process_state"], states["alive"] = layout.Phase.COMPUTE, ord("R"), 1
        states["step"] = states["launched"] = states["completed"] = step
        states["phase_age_s"], states["beat_age_s"], states["cpu_cores"] = 0.1, 0.05, 1.0
        parts = {"rank_states": states}
        if self.stepping:
            parts |= {"steps": steps, "collectives": collectives.reshape(nodes, -1)}
        return parts

    def fill(self, target: Bytes, *, number: int, wall_ns: int, monotonic_ns: int) -> None:
        """Make (nodes, len(message)) bytes the ``number``-th batch of each node."""
        nodes = len(target)
        self._put(target, "sequence", varint(FIRST_SEQUENCE + number))
        self._put(target, "wall", wall_ns.to_bytes(8, "little"))
        self._put(target, "monotonic", monotonic_ns.to_bytes(8, "little"))
        for table, pool in self._pools.items():
            at = self._at[table.name]
            target[:, at : at + pool.shape[1]] = pool[self.dice.integers(0, _BLOCKS_KEPT, nodes)]
        for name, records in self._records(nodes, 1 + number // self.load.step_every, wall_ns).items():
            packed = np.ascontiguousarray(records).view(np.uint8).reshape(nodes, -1)
            at = self._at[name]
            target[:, at : at + packed.shape[1]] = packed

    def _put(self, target: Bytes, name: str, data: bytes) -> None:
        at = self._at[name]
        target[:, at : at + len(data)] = np.frombuffer(data, np.uint8)


def with_event(message: bytes, number: int, wall_ns: int) -> bytes:
    """Return a batch with one event more: what protobuf appends is merged by whoever reads it."""
    event = wire.Event(
        id=number,
        wall_ns=wall_ns,
        kind=events.SOURCE_UP,
        severity=wire.SEVERITY_INFO,
        source="bench",
        text="an event of the bench",
        backfill=True,
    )
    return message + wire.AgentMessage(batch=wire.Batch(events=[event])).SerializeToString()


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
