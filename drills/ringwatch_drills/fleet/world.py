"""The simulated fleet as it is now: it moves with the clock that it is given and says what it holds."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_agent.sources.base import EventRecord
from ringwatch_drills.fleet.gpus import Gpus
from ringwatch_drills.fleet.job import Pauses, RunningJob
from ringwatch_drills.fleet.network import Network
from ringwatch_drills.fleet.plan import FleetPlan, JobPlan
from ringwatch_proto import events
from ringwatch_proto.records import Severity

# PyTorch's default for NCCL is 600 s; a drill shortens it.
NCCL_TIMEOUT_S: Final = 180.0
_UP_S: Final = 950_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a fault strikes: a GPU, and the rank that runs on it."""

    node: int
    gpu: int


@dataclass(slots=True, kw_only=True)
class Moment:
    """What the fleet shows at one tick; arrays are node-major."""

    gpus: NDArray[np.float32]
    ports: NDArray[np.float32]
    hosts: NDArray[np.float32]
    steps: dict[str, NDArray[Any]] = field(default_factory=dict)
    collectives: dict[str, NDArray[Any]] = field(default_factory=dict)
    states: dict[str, NDArray[Any]] = field(default_factory=dict)
    flows: dict[str, NDArray[Any]] = field(default_factory=dict)


class World:
    """Plan, jobs, GPUs and network; faults and verbs change it between ticks."""

    def __init__(
        self,
        plan: FleetPlan,
        now_s: float,
        *,
        pauses: Pauses | None = None,
        nccl_timeout_s: float = NCCL_TIMEOUT_S,
    ) -> None:
        self.plan = plan
        self.now_s = now_s
        self.gpus = Gpus(plan.nodes * plan.gpus_per_node, plan.seed)
        self.network = Network(plan, plan.seed)
        self.jobs = [RunningJob(job, plan.seed, now_s, pauses or Pauses()) for job in plan.jobs]
        self.silent = np.zeros(plan.nodes, np.bool_)
        self.blocked = np.zeros(plan.nodes)
        self.kernel_lines: dict[int, list[str]] = defaultdict(list)
        self.lives = {job.name: 0 for job in plan.jobs}
        self.first_pid = random.Random(plan.seed).randrange(20_000, 60_000)  # noqa: S311 - no secret
        self._events: dict[int, list[EventRecord]] = defaultdict(list)
        self._nccl_timeout_s = nccl_timeout_s
        self._began_s = now_s

    def advance(self, now_s: float) -> Moment:
        """Go on to ``now_s`` and return what there is to see."""
        interval_s = max(now_s - self.now_s, 1e-3)
        self.now_s = now_s
        self.gpus.advance(self._busy(), interval_s)
        moment = Moment(
            gpus=self.gpus.table().reshape(self.plan.nodes, self.plan.gpus_per_node, -1),
            ports=self.network.ports(self.jobs),
            hosts=self.network.hosts(self._loaded(), self.blocked, _UP_S + now_s - self._began_s),
        )
        for job in self.jobs:
            self._advance_job(job, moment, interval_s)
        return moment

    def _advance_job(self, job: RunningJob, moment: Moment, interval_s: float) -> None:
        name = job.plan.name
        here = slice(job.plan.first_node, job.plan.first_node + job.plan.nodes)
        gpus = self.plan.gpus_per_node
        job.slowness = self.gpus.slowness.reshape(-1, gpus)[here].ravel()
        job.link = np.repeat(self.network.egress[here], gpus)
        moment.steps[name], moment.collectives[name] = job.advance(self.now_s)
        self._time_out(job)
        moment.states[name] = job.states(self.now_s, interval_s)
        if job.plan.transport == "tcp":
            moment.flows[name] = self.network.flows(job, interval_s)

    def take_events(self, node: int) -> tuple[EventRecord, ...]:
        """Return the node's events since the last call."""
        return tuple(self._events.pop(node, ()))

    def say(self, node: int, kind: str, severity: Severity, source: str, text: str, **more: Any) -> None:  # noqa: ANN401 - fields of EventRecord
        """Add an event of a node, now."""
        record = EventRecord(
            wall_ns=round(self.now_s * 1e9), kind=kind, severity=severity, source=source, text=text
        )
        self._events[node].append(replace(record, **more))

    def flat_gpu(self, target: Target) -> int:
        """Return the row of a GPU in the fleet's arrays."""
        return target.node * self.plan.gpus_per_node + target.gpu

    def rank_at(self, target: Target) -> tuple[RunningJob, int] | None:
        """Return the job and rank on a GPU, None when the node is idle."""
        for job in self.jobs:
            if job.plan.holds(target.node):
                return job, (target.node - job.plan.first_node) * self.plan.gpus_per_node + target.gpu
        return None

    def pid_of(self, job: JobPlan, rank: int) -> int:
        """Return the process id of a rank in this life of its job."""
        return self.first_pid + self.lives[job.name] * 3000 + rank % self.plan.gpus_per_node * 7

    def rank_of_pid(self, node: int, pid: int) -> tuple[RunningJob, int] | None:
        """Return the job and rank of a process of a node."""
        for gpu in range(self.plan.gpus_per_node):
            found = self.rank_at(Target(node=node, gpu=gpu))
            if found is not None and self.pid_of(found[0].plan, found[1]) == pid:
                return found
        return None

    def end_job(self, job: RunningJob, reason: str, *, but: frozenset[int] = frozenset()) -> None:
        """Let every rank leave with a reason, those in ``but`` without a word."""
        job.ended = True
        for rank in range(job.plan.world_size):
            if rank not in but and job.alive[rank]:
                self._say_of_rank(job, rank, events.RANK_LEFT, f"rank {rank} left: {reason}", reason=reason)
        job.alive[:] = False

    def restart_job(self, job: RunningJob) -> None:
        """Start the job again, as its scheduler would."""
        self.lives[job.plan.name] += 1
        job.restart(self.now_s)
        for rank in range(job.plan.world_size):
            self._say_of_rank(job, rank, events.RANK_JOINED, f"rank {rank} joined")

    def _say_of_rank(self, job: RunningJob, rank: int, kind: str, text: str, **fields: str) -> None:
        told = {"job": job.plan.name, "rank": str(rank), "pid": str(self.pid_of(job.plan, rank)), **fields}
        self.say(job.plan.node_of(rank), kind, Severity.INFO, "steps", text, fields=told)

    def _time_out(self, job: RunningJob) -> None:
        waits = np.isinf(job.current.ends_s) & (job.current.starts_s <= self.now_s)
        if job.ended or not waits.any():
            return
        longest_s = self.now_s - job.current.starts_s[waits].min()
        if longest_s > self._nccl_timeout_s:
            timeout_ms = round(self._nccl_timeout_s * 1000)
            self.end_job(job, f"exception: NCCL watchdog: collective ran past {timeout_ms} ms")

    def _busy(self) -> NDArray[np.float64]:
        gpus = self.plan.gpus_per_node
        busy = np.zeros(self.plan.nodes * gpus)
        for job in self.jobs:
            begin = job.plan.first_node * gpus
            stands = np.isinf(job.current.done_s)
            work = np.where(job.alive, 0.08 if stands else job.busy, 0.0)
            busy[begin : begin + job.plan.world_size] = 0.0 if job.ended else work
        return busy

    def _loaded(self) -> NDArray[np.bool_]:
        loaded = np.zeros(self.plan.nodes, np.bool_)
        for job in self.jobs:
            loaded[job.plan.first_node : job.plan.first_node + job.plan.nodes] = not job.ended
        return loaded
