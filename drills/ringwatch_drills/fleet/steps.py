"""The step of a simulated job as a timetable: a group leaves a collective at max(start) + transfer.

A stalled rank has a start of infinity, and everything that waits for it has one too: a hang needs no
code of its own. Nothing here knows what a detector looks at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.fleet.plan import JobPlan, Operation

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What acts on the ranks during a step; every array is (ranks,)."""

    slowness: Seconds  # factor on own work
    stall_s: Seconds  # held up before the first collective; infinity for a hang
    data_s: Seconds  # extra wait for the data loader
    link: Seconds  # factor on transfers that leave the rank's node
    pause_s: float  # all ranks together, after the last collective


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The chance of one step, drawn once so that the step can be timed again."""

    data_s: Seconds
    work: Seconds  # (ranks,) factor
    bumps_s: Seconds  # (ranks,) garbage collection and the like
    transfer: tuple[Seconds, ...]  # one factor a group, one array an operation
    leave_s: Seconds  # (operations, ranks)
    idle_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """When each rank does what in one step; absolute seconds, infinity for never."""

    begin_s: Seconds  # (ranks,)
    data_s: Seconds
    work_s: Seconds
    starts_s: Seconds  # (ranks, operations)
    ends_s: Seconds
    next_begin_s: Seconds

    @property
    def done_s(self) -> float:
        """Return when the last rank begins its next step."""
        return float(self.next_begin_s.max())


def draw(job: JobPlan, operations: tuple[Operation, ...], dice: np.random.Generator) -> Draws:
    """Draw the chance of a step: heavy tails on work, a rare bump, log-normal transfers."""
    ranks = job.world_size
    bumped = dice.random(ranks) < 0.0005
    return Draws(
        data_s=dice.lognormal(np.log(0.003), 0.4, ranks),
        # Student's t with three degrees of freedom: tails as real kernels have them.
        work=1.0 + 0.006 * np.clip(dice.standard_t(3, ranks), -4.0, 12.0),
        bumps_s=np.where(bumped, dice.uniform(0.03, 0.15, ranks), 0.0),
        transfer=tuple(dice.lognormal(0.0, 0.05, len(operation.groups)) for operation in operations),
        leave_s=dice.exponential(0.0001, (len(operations), ranks)),
        idle_s=dice.lognormal(np.log(0.0005), 0.3, ranks),
    )


def timetable(
    job: JobPlan,
    operations: tuple[Operation, ...],
    begin_s: Seconds,
    draws: Draws,
    conditions: Conditions,
) -> Timetable:
    """Time one step of all ranks."""
    base = np.asarray(job.stage_work_s)[job.stage_of]
    work = base * draws.work * conditions.slowness + draws.bumps_s
    data = draws.data_s + conditions.data_s
    at = begin_s + data + conditions.stall_s
    starts = np.empty((job.world_size, len(operations)))
    ends = np.empty_like(starts)
    for k, operation in enumerate(operations):
        starts[:, k] = at + work * operation.work_share
        at = _leave(operation, starts[:, k], draws.transfer[k], conditions.link) + draws.leave_s[k]
        ends[:, k] = at
    return Timetable(
        begin_s=begin_s,
        data_s=data,
        work_s=work,
        starts_s=starts,
        ends_s=ends,
        next_begin_s=at + draws.idle_s + conditions.pause_s,
    )


def _leave(operation: Operation, start: Seconds, noise: Seconds, link: Seconds) -> Seconds:
    groups = operation.groups
    transfer = operation.transfer_s * noise
    if operation.crosses_nodes:
        transfer = transfer * link[groups].max(axis=1)
    leave = np.empty_like(start)
    leave[groups] = (start[groups].max(axis=1) + transfer)[:, None]
    return leave + operation.flush_s
