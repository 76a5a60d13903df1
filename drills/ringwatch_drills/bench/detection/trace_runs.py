"""Public traces, as they are and with a slowdown spliced in, under the real detectors. Judges nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_drills.bench.detection.feed import COLLECTIVE_TYPE, STATE_TYPE, STEP_TYPE
from ringwatch_drills.bench.detection.traces import EMBEDDING, GATHER, REDUCE, Replayed, Trace, replay
from ringwatch_drills.bench.detection.watch import BEGIN_S, Watch
from ringwatch_proto import WIRE_VERSION
from ringwatch_proto.layout import Collective, Phase
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import telemetry_pb2 as wire

Array = NDArray[np.float64]
_ROLES: Final = {
    GATHER: (Collective.ALL_GATHER, 256 << 20),
    REDUCE: (Collective.REDUCE_SCATTER, 512 << 20),
    EMBEDDING: (Collective.ALL_REDUCE, 64 << 20),
}
_UP_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """One worker whose work takes ``1 + size`` times as long from the ``at``-th step on."""

    worker: int
    size: float
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRan:
    """What came of a trace. ``impact`` is by how much the replayed step grew."""

    trace: str
    splice: Splice | None
    paged_s: dict[str, float]
    last: tuple[Incident, ...]
    ended_s: tuple[float, ...]
    own_s: tuple[Array, ...]
    length_s: tuple[float, ...]
    impact: float
    rank_days: float


class TraceRun:
    """One trace. ``steps`` are drawn with ``seed`` when there are to be more than the trace has."""

    def __init__(self, trace: Trace, *, steps: int, seed: int, splice: Splice | None = None) -> None:
        self._trace, self._splice = trace, splice
        self._workers = trace.data * trace.stages
        dice = np.random.default_rng([seed, 4])
        have = len(trace.steps)
        self._order = np.arange(have) if steps <= have else dice.integers(have, size=steps)
        self.fleet = FleetState(FleetPolicy(), Counter(), BEGIN_S - _UP_S)
        self._groups = self._named_groups()
        self._nodes = [self.fleet.hello(self._hello(worker), BEGIN_S) for worker in range(self._workers)]
        for worker in range(self._workers):
            self.fleet.connected(f"w{worker:03d}", connected=True)

    def go(self) -> TraceRan:
        """Run to the end."""
        watch, now_s = Watch(self.fleet), BEGIN_S
        ended: list[float] = []
        own: list[Array] = []
        lengths: list[float] = []
        grew: list[float] = []
        for number, at in enumerate(self._order.tolist()):
            told = self._replayed(number, at, grew)
            now_s += told.length_s
            self._send(number, now_s + 0.5, told)
            watch.look(now_s + 0.6)
            ended.append(now_s - BEGIN_S)
            own.append(told.work_s)
            lengths.append(told.length_s)
        return TraceRan(
            trace=self._trace.name, splice=self._splice, paged_s=watch.paged_s, last=watch.incidents(),
            ended_s=tuple(ended), own_s=tuple(own), length_s=tuple(lengths),
            impact=float(np.mean(grew)) if grew else 0.0,
            rank_days=self._workers * (now_s - BEGIN_S) / 86400.0,
        )  # fmt: skip

    def _replayed(self, number: int, at: int, grew: list[float]) -> Replayed:
        step = self._trace.steps[at]
        if self._splice is None or number < self._splice.at:
            return replay(step, self._workers)
        slow = np.ones(self._workers)
        slow[self._splice.worker] = 1.0 + self._splice.size
        told = replay(step, self._workers, slow)
        grew.append(told.length_s / replay(step, self._workers).length_s - 1.0)
        return told

    def _named_groups(self) -> dict[str, list[tuple[int, str, tuple[int, ...]]]]:
        data, stages = self._trace.data, self._trace.stages
        by_stage: list[tuple[int, ...]] = [
            tuple(range(stage * data, (stage + 1) * data)) for stage in range(stages)
        ]
        ends: list[tuple[int, ...]] = [(replica, (stages - 1) * data + replica) for replica in range(data)]
        dp = [(at, f"dp{at}", ranks) for at, ranks in enumerate(by_stage)]
        embedding = [(stages + at, f"embedding{at}", ranks) for at, ranks in enumerate(ends)]
        return {GATHER: dp, REDUCE: dp, EMBEDDING: embedding}

    def _hello(self, worker: int) -> wire.Hello:
        named = {index: (name, ranks) for groups in self._groups.values() for index, name, ranks in groups}
        return wire.Hello(
            wire_version=WIRE_VERSION, node=f"w{worker:03d}", spool_id="bench", schema_id=1, simulated=True,
            ranks=[wire.RankInfo(row=0, job="trace", rank=worker, world_size=self._workers, pid=4000)],
            communicators=[
                wire.Communicator(index=index, job="trace", name=name, ranks=ranks)
                for index, (name, ranks) in named.items() if worker in ranks
            ],
        )  # fmt: skip

    def _send(self, number: int, now_s: float, told: Replayed) -> None:
        """Send one batch of each worker: the step that just ended, and that it goes on."""
        steps, states = np.zeros(self._workers, STEP_TYPE), np.zeros(self._workers, STATE_TYPE)
        steps["step"], steps["ended_wall_ns"] = number, int((now_s - 0.1) * 1e9)
        steps["step_s"], steps["compute_s"] = told.length_s, told.work_s
        for name in ("loss", "tokens", "work", "data_s"):
            steps[name] = np.nan
        states["phase"], states["alive"], states["process_state"] = Phase.COMPUTE, 1, ord("R")
        states["step"] = number + 1
        for worker, node in enumerate(self._nodes):
            batch = wire.Batch(
                schema_id=1, wall_ns=int((now_s - 0.02) * 1e9), monotonic_ns=int((now_s - BEGIN_S + 1) * 1e9),
                steps=steps[worker : worker + 1].tobytes(), rank_states=states[worker : worker + 1].tobytes(),
                collectives=self._collectives(number, worker, told),
            )  # fmt: skip
            self.fleet.batch(node, batch, "bench", now_s)

    def _collectives(self, number: int, worker: int, told: Replayed) -> bytes:
        found = []
        for slot, (role, groups) in enumerate(self._groups.items()):
            for index, _, ranks in groups:
                if worker in ranks and np.isfinite(told.lasts_s[role][worker]):
                    kind, size = _ROLES[role]
                    start_s, lasts_s = told.starts_s[role][worker], told.lasts_s[role][worker]
                    found.append((0, index, slot, kind, 0, number, size, start_s, lasts_s))
        return np.array(found, COLLECTIVE_TYPE).tobytes()
