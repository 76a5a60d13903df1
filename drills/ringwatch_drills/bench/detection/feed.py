"""Writes what a simulated run tells into a real ``FleetState``, by columns. Judges and simulates nothing."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.view import SeenEvent
from ringwatch_drills.bench.detection.devices import Devices
from ringwatch_drills.bench.detection.physics import Job, Step
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
    """A fleet state that holds one job, and how its records get there."""

    def __init__(self, job: Job, devices: Devices, begin_s: float) -> None:
        self.job = job
        self.devices = devices
        self.fleet = FleetState(FleetPolicy(), Counter(), begin_s - _UP_S)
        self.silent: Flags = np.zeros(job.scenario.shape.nodes, np.bool_)
        self._events = 0
        self._begin_s = begin_s
        self._groups = [
            [(op.first + at, f"{op.role}{at}", tuple(group.tolist())) for at, group in enumerate(op.groups)]
            for op in job.operations
        ]
        self._of_node = self._communicators()
        for node in range(job.scenario.shape.nodes):
            self.fleet.hello(self._hello(node), begin_s)
            self.fleet.connected(node_name(node), connected=True)
        self._ids = self._communicator_ids()

    def _communicators(self) -> dict[int, dict[int, tuple[str, tuple[int, ...]]]]:
        per_node = self.job.scenario.shape.per_node
        found: dict[int, dict[int, tuple[str, tuple[int, ...]]]] = {}
        for groups in self._groups:
            for index, name, ranks in groups:
                for node in {rank // per_node for rank in ranks}:
                    found.setdefault(node, {})[index] = (name, ranks)
        return found

    def _hello(self, node: int) -> wire.Hello:
        scenario = self.job.scenario
        shape = scenario.shape
        mine = [r for r in range(node * shape.per_node, (node + 1) * shape.per_node) if r < shape.ranks]
        hello = wire.Hello(
            wire_version=WIRE_VERSION, node=node_name(node), spool_id="bench", schema_id=1, simulated=True,
            addresses=[_address(node)],
            ranks=[
                wire.RankInfo(row=row, job=JOB, rank=rank, world_size=shape.ranks, pid=4000 + row,
                              gpu=gpu_name(rank))
                for row, rank in enumerate(mine)
            ],
            communicators=[
                wire.Communicator(index=index, job=JOB, name=name, ranks=ranks)
                for index, (name, ranks) in self._of_node.get(node, {}).items()
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

    def _communicator_ids(self) -> list[NDArray[np.int64]]:
        """Return for each operation the job's communicator id of each rank's group, -1 without one."""
        job = self.fleet.jobs.get(JOB)
        assert job is not None
        found = []
        for groups in self._groups:
            ids = np.full(self.job.scenario.shape.ranks, -1, np.int64)
            for _, name, ranks in groups:
                ids[list(ranks)] = job.slots.communicator(name, ranks)
            found.append(ids)
        return found

    def steps(self, step: Step) -> None:
        """Write one finished step of all ranks whose nodes speak."""
        job = self.fleet.jobs.get(JOB)
        assert job is not None
        columns = self._speaking()
        out = np.zeros(columns.size, STEP_TYPE)
        out["flags"] = StepFlag.TAGGED_PAUSE if step.pause and self.job.scenario.tagged else 0
        out["step"] = step.number
        out["ended_wall_ns"] = (step.next_s[columns] * 1e9).astype(np.int64)
        out["step_s"] = (step.next_s - step.begin_s)[columns]
        out["data_s"], out["compute_s"] = step.data_s[columns], step.work_s[columns]
        out["pause_s"] = (step.next_s - step.ends_s[-1])[columns]
        out["loss"] = np.nan
        said = self.job.scenario.says_work
        out["tokens"] = np.nan
        out["work"] = 1e9 * step.amount[columns] if said else np.nan
        job.put_steps(columns, out, 0.0, live=True)
        for at, operation in enumerate(self.job.operations):
            records = np.zeros(columns.size, COLLECTIVE_TYPE)
            records["slot"], records["kind"] = operation.slot, operation.kind
            records["step"], records["bytes"] = step.number, operation.bytes
            records["start_s"] = (step.starts_s[at] - step.begin_s)[columns]
            records["duration_s"] = (step.ends_s[at] - step.starts_s[at])[columns]
            ids = self._ids[at][columns]
            told = ids >= 0
            job.put_collectives(ids[told], columns[told], records[told], live=True)

    def _speaking(self) -> NDArray[np.int64]:
        return np.flatnonzero(~self.silent[self.job.node_of])

    def tick(self, now_s: float, states: NDArray[np.void]) -> None:
        """Write the states and tables of now."""
        job = self.fleet.jobs.get(JOB)
        assert job is not None
        columns = self._speaking()
        job.put_states(columns, states[columns], now_s)
        speaking = np.flatnonzero(~self.silent)
        self.fleet.nodes.last_batch_s[speaking] = now_s
        if self.job.scenario.devices:
            blocks = {Table.GPU: self.devices.gpu(), Table.PORT: self.devices.port(),
                      Table.HOST: self.devices.host()}  # fmt: skip
            for node in speaking.tolist():
                self._tables(node, blocks, now_s)
            if self.job.scenario.transport == "tcp" and self.job.scenario.shape.nodes > 1:
                self._flows(now_s, speaking.tolist())

    def _tables(self, node: int, blocks: dict[Table, NDArray[np.float32]], now_s: float) -> None:
        bindings = self.fleet.nodes.at(node).bindings
        for table, block in blocks.items():
            binding = bindings[table]
            first = node * (len(binding.devices))
            rows = np.ascontiguousarray(block[first : first + binding.rows], "<f4")
            self.fleet.tables[table].write(binding, now_s, rows.tobytes())

    def _flows(self, now_s: float, nodes: list[int]) -> None:
        link, count = self.job.conditions.link, self.job.scenario.shape.nodes
        for node in nodes:
            peer = ipaddress.ip_address("::ffff:" + _address((node + 1) % count)).packed
            record = self.devices.flow(peer, node, float(link[node]))
            self.fleet.flows.put(node, record.tobytes(), lambda _: JOB, now_s)

    def event(self, now_s: float, node: int, kind: str, **values: object) -> None:
        """Write an event that an agent sent."""
        self._events += 1
        fields = {key: str(value) for key, value in dict(values.pop("fields", {})).items()}  # type: ignore[call-overload]
        seen = SeenEvent(
            node=node_name(node), at_s=float(values.pop("at_s", now_s)), received_s=now_s, kind=kind,  # type: ignore[arg-type]
            severity=3, source="bench", device=str(values.pop("device", "")), code=int(values.pop("code", 0)),  # type: ignore[call-overload]
            text=str(values.pop("text", kind)), fields=fields, backfill=False,
        )  # fmt: skip
        self.fleet.events.add("bench", self._events, seen)
        raw = wire.Event(id=self._events, kind=kind, fields=fields)
        self.fleet.jobs.note_event(raw, seen.at_s, node)


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
    step = job.now
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
    out["phase"], out["alive"] = phase, processes.alive
    out["process_state"] = np.where(processes.stopped, ord("T"), processes.letter)
    out["stopped_share"] = processes.stopped
    out["throttled_share"], out["runqueue_share"] = processes.throttled, processes.runqueue
    kinds = np.array([int(operation.kind) for operation in job.operations])
    out["inflight_kind"] = np.where(flying, kinds[at], 0)
    out["step"] = step.number
    out["launched"], out["completed"] = job.begun + begun, job.begun + done
    out["phase_age_s"] = out["beat_age_s"] = np.maximum(0.0, now_s - np.minimum(since, now_s))
    out["cpu_cores"] = 1.0
    return out
