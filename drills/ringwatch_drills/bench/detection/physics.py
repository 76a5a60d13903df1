"""A training job step by step: who starts when, and a group leaves at max(start) + transfer.

A rank that is held has a start of infinity, and so has everything that waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.bench.detection.scenario import Noise, Scenario, Shape
from ringwatch_proto.layout import Collective

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Work done while others wait is repeated a few times at most; a batch of mixed lengths is not wilder.
_TAIL_CUT: Final = 12.0
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One collective of a step: its groups, its share of the work before it and of the step's time."""

    role: str
    kind: Collective
    slot: int
    bytes: int
    transfer_s: float
    share: float
    groups: Index  # (groups, members)
    first: int  # communicator index of the first group
    flush_s: Array  # (R,) how much later than its group a rank leaves


# role, kind, MiB, share of a step that the transfer takes, share of own work before it.
_PROGRAM: Final = (
    ("tp", Collective.ALL_REDUCE, 48, 0.020, 0.90),
    ("pp", Collective.SEND, 24, 0.006, 0.0),
    ("dp", Collective.REDUCE_SCATTER, 640, 0.070, 0.04),
    ("dp", Collective.ALL_GATHER, 320, 0.040, 0.06),
)
# What is left of a step for the ranks' own work, data and idling.
_WORK_SHARE: Final = 0.82


def groups_of(shape: Shape) -> dict[str, Index]:
    """Return the parallel groups by role; those of one member are left out."""
    grid = np.arange(shape.ranks).reshape(shape.pipeline, shape.data, shape.tensor)
    found = {
        "tp": grid.reshape(-1, shape.tensor),
        "pp": grid.transpose(1, 2, 0).reshape(-1, shape.pipeline),
        "dp": grid.transpose(0, 2, 1).reshape(-1, shape.data),
    }
    return {role: groups for role, groups in found.items() if groups.shape[1] > 1}


def operations_of(scenario: Scenario) -> tuple[Operation, ...]:
    """Return the collectives of one step in order."""
    shape, groups = scenario.shape, groups_of(scenario.shape)
    stage = np.arange(shape.ranks) // (shape.data * shape.tensor)
    found: list[Operation] = []
    first: dict[str, int] = {}
    used: dict[str, int] = {}
    carried, at = 0.0, 0
    for role, members in groups.items():
        first[role], at = at, at + len(members)
    for role, kind, mib, transfer, share in _PROGRAM:
        carried += share
        if role not in groups:
            continue
        used[role] = used.get(role, -1) + 1
        flush = (shape.pipeline - 1 - stage) * 0.01 * scenario.step_s * (role == "pp")
        found.append(
            Operation(
                role=role, kind=kind, slot=used[role], bytes=mib * _MIB,
                transfer_s=transfer * scenario.step_s,
                share=carried, groups=groups[role], first=first[role], flush_s=flush.astype(np.float64),
            )
        )  # fmt: skip
        carried = 0.0
    return tuple(found)


@dataclass(slots=True, kw_only=True)
class Conditions:
    """What acts on the ranks now; troubles change the arrays."""

    slow: Array  # factor on own work
    held: Flags  # does not go on from the next step
    data_s: Array
    link: Array  # (nodes,) factor on transfers that leave the node
    inside: Array  # (nodes,) factor on transfers within the node
    fabric: float = 1.0
    stage: Array  # (R,) structural factor on own work
    bumps: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of all ranks; absolute seconds, infinity for never."""

    number: int
    begin_s: Array
    data_s: Array
    work_s: Array
    amount: Array  # (R,) how much work the rank had, 1 is usual
    starts_s: Array  # (O, R)
    ends_s: Array
    next_s: Array
    pause: bool

    @property
    def done_s(self) -> float:
        """Return when the last rank begins its next step."""
        return float(self.next_s.max())


class Job:
    """The job as it runs. ``conditions`` is what troubles change between steps."""

    def __init__(self, scenario: Scenario, begin_s: float) -> None:
        self.scenario = scenario
        self.operations = operations_of(scenario)
        shape, noise = scenario.shape, scenario.noise
        self._dice = np.random.default_rng([scenario.seed, 1])
        self.node_of = np.arange(shape.ranks) // shape.per_node
        self.conditions = Conditions(
            slow=np.ones(shape.ranks),
            held=np.zeros(shape.ranks, np.bool_),
            data_s=np.zeros(shape.ranks),
            link=np.ones(shape.nodes),
            inside=np.ones(shape.nodes),
            stage=np.ones(shape.ranks),
        )
        self._silicon = 1.0 + noise.silicon * np.clip(self._dice.standard_normal(shape.ranks), -2.5, 2.5)
        self._drift = noise.drift_sigma * self._dice.standard_normal(shape.ranks)
        self.begun = 0  # collectives before this step
        self.before: Step | None = None  # the step that some ranks never end, once others have begun the next
        self.now = self._step(0, np.full(shape.ranks, begin_s))

    @property
    def all_wait(self) -> bool:
        """Tell whether nothing will end any more."""
        return self.before is not None

    def next_of_the_rest(self) -> None:
        """Let the ranks that are done begin another step, while others never end this one."""
        self.before = self.now
        self.now = self._step(self.now.number + 1, self.now.next_s)

    def next(self) -> None:
        """Go on to the next step under the conditions of now."""
        self.begun += len(self.operations)
        self.now = self._step(self.now.number + 1, self.now.next_s)

    def hold_now(self, rank: int, at: int) -> None:
        """Hold a rank in the step in progress, so that it never comes to its ``at``-th collective."""
        before = self.now
        starts, ends = before.starts_s.copy(), before.ends_s.copy()
        starts[at, rank] = np.inf
        self._replay(starts, ends, at)
        self.now = Step(
            number=before.number, begin_s=before.begin_s, data_s=before.data_s, work_s=before.work_s,
            amount=before.amount, starts_s=starts, ends_s=ends, next_s=np.maximum(before.next_s, ends[-1]),
            pause=before.pause,
        )  # fmt: skip

    def stall_now(self, at: int, rank: int) -> None:
        """Let a rank come to its ``at``-th collective and never leave it, as its peers do."""
        before = self.now
        starts, ends = before.starts_s.copy(), before.ends_s.copy()
        ends[at, rank] = np.inf
        starts[at + 1, rank] = np.inf
        self._replay(starts, ends, at + 1)
        self.now = Step(
            number=before.number, begin_s=before.begin_s, data_s=before.data_s, work_s=before.work_s,
            amount=before.amount, starts_s=starts, ends_s=ends, next_s=np.maximum(before.next_s, ends[-1]),
            pause=before.pause,
        )  # fmt: skip

    def _replay(self, starts: Array, ends: Array, first: int) -> None:
        """Let what waits for an infinite start wait for ever."""
        for at in range(first, len(self.operations)):
            groups = self.operations[at].groups
            stuck = np.isinf(starts[at][groups]).any(axis=1)
            ends[at, groups[stuck].ravel()] = np.inf
            if at + 1 < len(self.operations):
                starts[at + 1][np.isinf(ends[at])] = np.inf

    def _step(self, number: int, begin_s: Array) -> Step:
        scenario, now, dice = self.scenario, self.conditions, self._dice
        ranks = scenario.shape.ranks
        amount = self._amount(ranks)
        usual = scenario.step_s * _WORK_SHARE
        work = usual * now.stage * self._silicon * amount * self._factor(ranks) * now.slow
        stalled = dice.random(ranks) < scenario.noise.bump_chance * now.bumps
        work = work + stalled * scenario.noise.bump_s * (1.0 + dice.exponential(1.0, ranks))
        data = scenario.step_s * 0.01 * dice.lognormal(0.0, 0.4, ranks) + now.data_s
        at = begin_s + data
        at = np.where(now.held, np.inf, at)
        starts = np.empty((len(self.operations), ranks))
        ends = np.empty_like(starts)
        for row, operation in enumerate(self.operations):
            starts[row] = at + work * operation.share
            at = self._leave(operation, starts[row]) + operation.flush_s
            ends[row] = at
        pause = scenario.checkpoint_every > 0 and number % scenario.checkpoint_every == 0 and number > 0
        idle = scenario.step_s * 0.002 * dice.lognormal(0.0, 0.3, ranks)
        idle = idle + pause * scenario.checkpoint_s * (1.0 + 0.05 * dice.random(ranks))
        return Step(
            number=number, begin_s=begin_s, data_s=data, work_s=work, amount=amount,
            starts_s=starts, ends_s=ends, next_s=at + idle, pause=pause,
        )  # fmt: skip

    def _amount(self, ranks: int) -> Array:
        """Return each rank's amount of work: alike within a model replica, as its batch is."""
        spread, shape = self.scenario.noise.sequence, self.scenario.shape
        if spread <= 0:
            return np.ones(ranks)
        replica = np.exp(spread * self._dice.standard_normal(shape.data) - spread**2 / 2)
        grid = np.broadcast_to(replica[None, :, None], (shape.pipeline, shape.data, shape.tensor))
        return np.asarray(grid.reshape(-1), np.float64)

    def _factor(self, ranks: int) -> Array:
        noise: Noise = self.scenario.noise
        fresh = np.clip(self._dice.standard_t(noise.tail, ranks), -_TAIL_CUT / 3, _TAIL_CUT)
        if noise.drift_sigma > 0:
            innovation = noise.drift_sigma * np.sqrt(1.0 - noise.drift**2)
            self._drift = noise.drift * self._drift + innovation * self._dice.standard_normal(ranks)
        return np.asarray(np.exp(noise.sigma * fresh + self._drift))

    def _leave(self, operation: Operation, start: Array) -> Array:
        groups, now, noise = operation.groups, self.conditions, self.scenario.noise
        factor = self._dice.lognormal(0.0, noise.transfer_sigma, len(groups))
        nodes = self.node_of[groups]
        crosses = nodes.min(axis=1) != nodes.max(axis=1)
        factor = factor * np.where(crosses, now.link[nodes].max(axis=1) * now.fabric, now.inside[nodes[:, 0]])
        leave = np.empty_like(start)
        leave[groups] = (start[groups].max(axis=1) + operation.transfer_s * factor)[:, None]
        return leave + self._dice.exponential(noise.leave_s, start.size)
