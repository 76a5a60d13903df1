"""Writes what a simulated run tells into a real ``FleetState``, as agents do. Judges nothing."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_drills.bench.detection.devices import Devices
from ringwatch_drills.bench.detection.physics import Job, Operation, Step
from ringwatch_proto import WIRE_VERSION
from ringwatch_proto.layout import COLLECTIVE_FIELDS, RANK_STATE_FIELDS, STEP_FIELDS, Phase, StepFlag
from ringwatch_proto.signals import Table, columns_of
from ringwatch_proto.v1 import telemetry_pb2 as wire

STEP_TYPE: Final = np.dtype(list(STEP_FIELDS))
COLLECTIVE_TYPE: Final = np.dtype(list(COLLECTIVE_FIELDS))
STATE_TYPE: Final = np.dtype(list(RANK_STATE_FIELDS))
JOB: Final = "job"
Flags = NDArray[np.bool_]
# The collector has been up for longer than any grace.
_UP_S: Final = 300.0
_DELAY_S: Final = 0.02


def node_name(node: int) -> str:
    """Return the name of a simulated node."""
    return f"n{node:05d}"


def gpu_name(rank: int) -> str:
    """Return the id of a simulated GPU."""
    return f"SIM-{rank:05d}"


def port_name(port: int) -> str:
    """Return the id of a simulated port."""
    return f"port-{port:05d}"


class Feed:
    """A fleet state that holds one job, and how its records get there: as batches, as an agent sends them."""

    def __init__(self, job: Job, devices: Devices, begin_s: float) -> None:
        self.job = job
        self.devices = devices
        self.fleet = FleetState(FleetPolicy(), Counter(), begin_s - _UP_S)
        shape = job.scenario.shape
        self.silent: Flags = np.zeros(shape.nodes, np.bool_)
        self._begin_s = begin_s
        self._event_id = 0
        self._steps: list[NDArray[np.void]] = []
        self._collectives: list[NDArray[np.void]] = []
        self._events: dict[int, list[wire.Event]] = {}
        self._communicator = np.stack([_group_of_rank(op, shape.ranks) for op in job.operations], axis=1)
        named = _communicators_of_nodes(job)
        self._nodes = [self.fleet.hello(self._hello(node, named), begin_s) for node in range(shape.nodes)]
        for node in range(shape.nodes):
            self.fleet.connected(node_name(node), connected=True)

    def _hello(self, node: int, named: dict[int, dict[int, tuple[str, list[int]]]]) -> wire.Hello:
        scenario, mine = (
            self.job.scenario,
            range(*self._ranks_of(node).indices(self.job.scenario.shape.ranks)),
        )
        hello = wire.Hello(
            wire_version=WIRE_VERSION, node=node_name(node), spool_id="bench", schema_id=1, simulated=True,
            addresses=[_address(node)],
            ranks=[
                wire.RankInfo(row=row, job=JOB, rank=rank, world_size=scenario.shape.ranks, pid=4000 + row,
                              gpu=gpu_name(rank))
                for row, rank in enumerate(mine)
            ],
            communicators=[
                wire.Communicator(index=index, job=JOB, name=name, ranks=ranks)
                for index, (name, ranks) in named.get(node, {}).items()
            ],
        )  # fmt: skip
        if scenario.devices:
            ports = [node] if scenario.transport == "tcp" else mine
            devices = {Table.GPU: [gpu_name(r) for r in mine], Table.PORT: [port_name(p) for p in ports],
                       Table.HOST: [f"host-{node}"]}  # fmt: skip
            hello.tables.extend(
                wire.TableSchema(
                    table=int(table),  # type: ignore[arg-type]  # the enums share their values
                    devices=[wire.Device(id=name, name=name) for name in names],
                    signals=[signal.id for signal in columns_of(table)],
                )
                for table, names in devices.items()
            )
        return hello

    def _ranks_of(self, node: int) -> slice:
        shape = self.job.scenario.shape
        return slice(node * shape.per_node, min(shape.ranks, (node + 1) * shape.per_node))

    def steps(self, step: Step) -> None:
        """Keep one finished step of all ranks for the next batches."""
        ranks, per_node = step.work_s.size, self.job.scenario.shape.per_node
        rows = np.arange(ranks) % per_node
        out = np.zeros(ranks, STEP_TYPE)
        out["rank_row"] = rows
        out["flags"] = StepFlag.TAGGED_PAUSE if step.pause and self.job.scenario.tagged else 0
        out["step"] = step.number
        out["ended_wall_ns"] = (step.next_s * 1e9).astype(np.int64)
        out["step_s"] = step.next_s - step.begin_s
        out["data_s"], out["compute_s"] = step.data_s, step.work_s
        out["pause_s"] = step.next_s - step.ends_s[-1]
        out["loss"] = out["tokens"] = np.nan
        out["work"] = 1e9 * step.amount if self.job.scenario.says_work else np.nan
        self._steps.append(out)
        records = np.zeros((ranks, len(self.job.operations)), COLLECTIVE_TYPE)
        records["rank_row"], records["communicator"] = rows[:, None], self._communicator
        for name in ("slot", "kind", "bytes"):
            records[name] = [int(getattr(operation, name)) for operation in self.job.operations]
        records["step"] = step.number
        records["start_s"] = (step.starts_s - step.begin_s).T
        records["duration_s"] = (step.ends_s - step.starts_s).T
        self._collectives.append(records)

    def tick(self, now_s: float, states: NDArray[np.void]) -> None:
        """Send a batch of each node that speaks."""
        tables = self._tables()
        for node in np.flatnonzero(~self.silent).tolist():
            mine = self._ranks_of(node)
            batch = wire.Batch(
                schema_id=1, wall_ns=int((now_s - _DELAY_S) * 1e9),
                monotonic_ns=int((now_s - self._begin_s + 1) * 1e9),
                blocks=[
                    wire.Block(table=int(table), values=block[rows(node)].tobytes())  # type: ignore[arg-type]
                    for table, (block, rows) in tables.items()
                ],
                steps=b"".join(each[mine].tobytes() for each in self._steps),
                collectives=b"".join(each[mine].tobytes() for each in self._collectives),
                rank_states=states[mine].tobytes(), flows=self._flow(node),
                events=self._events.pop(node, []),
            )  # fmt: skip
            self.fleet.batch(self._nodes[node], batch, "bench", now_s)
        self._steps, self._collectives = [], []

    def _tables(self) -> dict[Table, tuple[NDArray[np.float32], Callable[[int], slice]]]:
        if not self.job.scenario.devices:
            return {}
        each = self._ranks_of if self.job.scenario.transport == "rdma" else _only
        return {
            Table.GPU: (self.devices.gpu().astype("<f4"), self._ranks_of),
            Table.PORT: (self.devices.port().astype("<f4"), each),
            Table.HOST: (self.devices.host().astype("<f4"), _only),
        }

    def _flow(self, node: int) -> bytes:
        scenario = self.job.scenario
        if not scenario.devices or scenario.transport != "tcp" or scenario.shape.nodes < 2:
            return b""
        peer = ipaddress.ip_address("::ffff:" + _address((node + 1) % scenario.shape.nodes)).packed
        return self.devices.flow(peer, float(self.job.conditions.link[node])).tobytes()

    def event(self, node: int, kind: str, at_s: float, *, device: str = "", code: int = 0, text: str = "",
              fields: Mapping[str, object] | None = None) -> None:  # fmt: skip
        """Send an event with the node's next batch."""
        self._event_id += 1
        said = {key: str(value) for key, value in (fields or {}).items()}
        event = wire.Event(
            id=self._event_id, wall_ns=int(at_s * 1e9), kind=kind, severity=wire.SEVERITY_CRITICAL,
            source="kernel", device=device, code=code, text=text or kind, fields=said,
        )  # fmt: skip
        self._events.setdefault(node, []).append(event)


def _only(node: int) -> slice:
    return slice(node, node + 1)


def _group_of_rank(operation: Operation, ranks: int) -> NDArray[np.int64]:
    """Return the communicator index of each rank's group."""
    index = np.zeros(ranks, np.int64)
    index[operation.groups] = (operation.first + np.arange(len(operation.groups)))[:, None]
    return index


def _communicators_of_nodes(job: Job) -> dict[int, dict[int, tuple[str, list[int]]]]:
    """Return for each node the groups that it has a rank in: index -> (name, ranks)."""
    found: dict[int, dict[int, tuple[str, list[int]]]] = {}
    for operation in job.operations:
        for at, group in enumerate(operation.groups):
            named = (f"{operation.role}{at}", group.tolist())
            for node in np.unique(job.node_of[group]).tolist():
                found.setdefault(node, {})[operation.first + at] = named
    return found


def _address(node: int) -> str:
    return f"10.{64 + node // 60000}.{node // 250 % 240}.{node % 250 + 1}"


@dataclass(slots=True, kw_only=True)
class Processes:
    """What the process table says of each rank; troubles change the arrays."""

    stopped: Flags
    alive: Flags
    letter: NDArray[np.int64]
    throttled: NDArray[np.float64]
    runqueue: NDArray[np.float64]


def states_of(job: Job, now_s: float, processes: Processes) -> NDArray[np.void]:
    """Return (R,) rank states as of ``now_s``."""
    out = _in_step(job, job.now, job.begun, now_s)
    if job.before is not None:
        stuck = np.isinf(job.now.begin_s)
        out[stuck] = _in_step(job, job.before, job.begun, now_s)[stuck]
        out["launched"][~stuck] += len(job.operations)
        out["completed"][~stuck] += len(job.operations)
    out["rank_row"] = np.arange(out.size) % job.scenario.shape.per_node
    out["alive"], out["stopped_share"] = processes.alive, processes.stopped
    out["process_state"] = np.where(processes.stopped, ord("T"), processes.letter)
    out["throttled_share"], out["runqueue_share"] = processes.throttled, processes.runqueue
    out["cpu_cores"] = 1.0
    return out


def _in_step(job: Job, step: Step, begun_before: int, now_s: float) -> NDArray[np.void]:
    operations, ranks = len(job.operations), step.begin_s.size
    begun, done = (step.starts_s <= now_s).sum(axis=0), (step.ends_s <= now_s).sum(axis=0)
    flying = begun > done
    rows = np.arange(ranks)
    at = np.minimum(done, operations - 1)
    left_at = step.ends_s[np.maximum(done - 1, 0), rows]
    work_from = step.begin_s + step.data_s
    conditions = [flying, now_s < work_from, done >= operations, done == 0]
    phase = np.select(conditions, [Phase.COLLECTIVE, Phase.DATA, Phase.PAUSE, Phase.COMPUTE], Phase.COMPUTE)
    since = np.select(conditions, [step.starts_s[at, rows], step.begin_s, left_at, work_from], left_at)
    out = np.zeros(ranks, STATE_TYPE)
    out["phase"] = phase
    kinds = np.array([int(operation.kind) for operation in job.operations])
    out["inflight_kind"] = np.where(flying, kinds[at], 0)
    out["step"] = step.number
    out["launched"], out["completed"] = begun_before + begun, begun_before + done
    out["phase_age_s"] = out["beat_age_s"] = np.maximum(0.0, now_s - np.minimum(since, now_s))
    return out
