"""A simulated training job as it runs: steps one after another, and what each rank does now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.fleet.plan import JobPlan, operations_of
from ringwatch_drills.fleet.steps import Conditions, Timetable, draw, timetable
from ringwatch_proto.layout import (
    COLLECTIVE_FIELDS,
    RANK_STATE_FIELDS,
    STEP_FIELDS,
    Phase,
    StepFlag,
)

STEP_TYPE: Final = np.dtype(list(STEP_FIELDS))
COLLECTIVE_TYPE: Final = np.dtype(list(COLLECTIVE_FIELDS))
RANK_STATE_TYPE: Final = np.dtype(list(RANK_STATE_FIELDS))
Records = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Benign pauses of the whole job: a checkpoint every so many steps."""

    every_steps: int = 150
    lasts_s: float = 2.5


class RunningJob:
    """One job. The arrays that faults change are public; time comes from the caller."""

    def __init__(self, plan: JobPlan, seed: int, begin_s: float, pauses: Pauses) -> None:
        self.plan = plan
        self.pauses = pauses
        self.operations = operations_of(plan)
        ranks = plan.world_size
        self.slowness = np.ones(ranks)  # set by the fleet from the GPU clocks
        self.extra_data_s = np.zeros(ranks)
        self.link = np.ones(ranks)
        self.held = np.zeros(ranks, np.bool_)  # from the next step on the rank does not go on
        self.stopped = np.zeros(ranks, np.bool_)  # the process is in state T
        self.alive = np.ones(ranks, np.bool_)
        self.ended = False
        self.step = 0
        self._dice = np.random.default_rng([seed, plan.first_node])
        # Parts differ a little for good, as real GPUs of one model do.
        self._silicon = 1.0 + 0.004 * np.clip(self._dice.standard_normal(ranks), -2.5, 2.5)
        self._stall_s = np.zeros(ranks)
        self._base = 0
        self._draws = draw(plan, self.operations, self._dice)
        self._now = self._time(np.full(ranks, begin_s))
        self.busy = np.full(ranks, 0.8)
        self.step_s = 0.5

    @property
    def current(self) -> Timetable:
        """Return the timetable of the step in progress."""
        return self._now

    def advance(self, now_s: float) -> tuple[Records, Records]:
        """Go on to ``now_s``; return (steps, ranks) and (steps, ranks, operations) of records that ended."""
        steps: list[Records] = []
        collectives: list[Records] = []
        self._apply_holds(now_s)
        while not self.ended and self._now.done_s <= now_s:
            steps.append(self._step_records())
            collectives.append(self._collective_records())
            self._next_step()
        shape = self.plan.world_size, len(self.operations)
        return (
            np.stack(steps) if steps else np.empty((0, shape[0]), STEP_TYPE),
            np.stack(collectives) if collectives else np.empty((0, *shape), COLLECTIVE_TYPE),
        )

    def restart(self, now_s: float) -> None:
        """Begin again with live processes from the last checkpoint."""
        self.alive[:], self.held[:], self.stopped[:], self.ended = True, False, False, False
        self._stall_s[:] = 0.0
        self.step -= self.step % self.pauses.every_steps
        self._base = 0
        self._draws = draw(self.plan, self.operations, self._dice)
        self._now = self._time(np.full(self.plan.world_size, now_s))

    def states(self, now_s: float, interval_s: float) -> Records:
        """Return (ranks,) rank-state records as of ``now_s``."""
        table, operations = self._now, len(self.operations)
        begun = (table.starts_s <= now_s).sum(axis=1)
        done = (table.ends_s <= now_s).sum(axis=1)
        flying = begun > done
        at = np.minimum(done, operations - 1)
        rows = np.arange(self.plan.world_size)
        phase, since = self._phases(now_s, begun, done)
        out = np.zeros(self.plan.world_size, RANK_STATE_TYPE)
        out["rank_row"] = rows % self.plan.gpus_per_node
        out["phase"], out["alive"] = phase, self.alive
        out["process_state"] = np.select([~self.alive, self.stopped], [0, ord("T")], ord("R"))
        out["inflight_kind"] = np.where(flying, self._kinds()[at], 0)
        out["inflight_communicator"] = np.where(flying, self._communicators()[rows, at], 0)
        out["inflight_slot"] = np.where(flying, self._slots()[at], 0)
        out["step"] = self.step
        out["launched"], out["completed"] = self._base + begun, self._base + done
        out["phase_age_s"] = now_s - since
        out["beat_age_s"] = now_s - since
        running = self.alive & ~self.stopped & (not self.ended)
        # A rank that waits for a collective spins on one core, as NCCL's proxy and CUDA sync do.
        out["cpu_cores"] = np.where(running, 1.1 + 0.05 * self._dice.standard_normal(rows.size), 0.0)
        out["throttled_share"] = 0.0
        out["stopped_share"] = np.where(self.stopped, min(1.0, interval_s), 0.0)
        out["runqueue_share"] = np.where(running, 0.004, 0.0)
        out["rss_mib"] = np.where(self.alive, 9200.0, np.nan)
        return out

    def _phases(
        self, now_s: float, begun: NDArray[np.int64], done: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        table = self._now
        last = len(self.operations) - 1
        rows = np.arange(self.plan.world_size)
        computing_from = table.begin_s + table.data_s
        waiting_from = table.starts_s[rows, np.minimum(done, last)]
        left_at = table.ends_s[rows, np.maximum(done - 1, 0)]
        conditions = [begun > done, now_s < computing_from, done > last, done == 0]
        choices = [Phase.COLLECTIVE, Phase.DATA, Phase.PAUSE, Phase.COMPUTE]
        since = [waiting_from, table.begin_s, left_at, computing_from]
        phase = np.select(conditions, choices, Phase.COMPUTE)
        if self.ended:
            phase[:] = Phase.ENDED
        return phase, np.minimum(np.select(conditions, since, left_at), now_s)

    def _time(self, begin_s: NDArray[np.float64]) -> Timetable:
        pause_s = self.pauses.lasts_s if self._pause_due() else 0.0
        conditions = Conditions(
            slowness=self.slowness * self._silicon,
            stall_s=self._stall_s,
            data_s=self.extra_data_s,
            link=self.link,
            pause_s=pause_s,
        )
        return timetable(self.plan, self.operations, begin_s, self._draws, conditions)

    def _pause_due(self) -> bool:
        return self.step > 0 and self.step % self.pauses.every_steps == 0

    def _apply_holds(self, now_s: float) -> None:
        """Let go the ranks that are held no more: the step goes on where it stood."""
        freed = ~self.held & np.isinf(self._stall_s)
        if freed.any():
            self._stall_s = np.where(freed, now_s - self._now.begin_s, self._stall_s)
            self._now = self._time(self._now.begin_s)

    def _next_step(self) -> None:
        begin = self._now.next_begin_s
        self._measure()
        self.step += 1
        self._base += len(self.operations)
        self._draws = draw(self.plan, self.operations, self._dice)
        self._stall_s = np.where(self.held, np.inf, 0.0)
        self._now = self._time(begin)

    def _measure(self) -> None:
        table = self._now
        span = np.maximum(table.next_begin_s - table.begin_s, 1e-3)
        self.busy = np.clip(table.work_s / span, 0.0, 1.0)
        self.step_s = float(np.median(span))

    def _step_records(self) -> Records:
        table = self._now
        out = np.zeros(self.plan.world_size, STEP_TYPE)
        out["rank_row"] = np.arange(self.plan.world_size) % self.plan.gpus_per_node
        tagged = self._pause_due() and self.plan.tagged_pauses
        out["flags"] = StepFlag.TAGGED_PAUSE if tagged else 0
        out["step"] = self.step
        out["ended_wall_ns"] = (table.next_begin_s * 1e9).astype(np.int64)
        out["step_s"] = table.next_begin_s - table.begin_s
        out["data_s"] = table.data_s
        out["compute_s"] = table.work_s + self._stall_s
        out["pause_s"] = table.next_begin_s - table.ends_s[:, -1]
        out["loss"] = 1.7 + 3.0 / (1.0 + self.step * 0.01)
        out["tokens"], out["work"] = np.nan, np.nan
        return out

    def _collective_records(self) -> Records:
        table = self._now
        out = np.zeros((self.plan.world_size, len(self.operations)), COLLECTIVE_TYPE)
        out["rank_row"] = (np.arange(self.plan.world_size) % self.plan.gpus_per_node)[:, None]
        out["communicator"] = self._communicators()
        out["slot"], out["kind"] = self._slots(), self._kinds()
        out["step"] = self.step
        out["bytes"] = [operation.bytes for operation in self.operations]
        out["start_s"] = table.starts_s - table.begin_s[:, None]
        out["duration_s"] = table.ends_s - table.starts_s
        return out

    def _kinds(self) -> NDArray[np.int64]:
        return np.array([int(operation.kind) for operation in self.operations])

    def _slots(self) -> NDArray[np.int64]:
        return np.array([operation.slot for operation in self.operations])

    def _communicators(self) -> NDArray[np.int64]:
        out = np.zeros((self.plan.world_size, len(self.operations)), np.int64)
        for k, operation in enumerate(self.operations):
            indexes = operation.first_index + np.arange(len(operation.groups))
            out[operation.groups, k] = indexes[:, None]
        return out
