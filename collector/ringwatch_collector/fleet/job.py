"""One training job: its ranks, its newest steps, and what it looked like while healthy. Blames nobody."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.rank_states import RankStateColumns
from ringwatch_collector.fleet.references import Reference, blend, learn, nothing
from ringwatch_collector.fleet.slots import Slots
from ringwatch_collector.fleet.steps import StepWindow
from ringwatch_collector.view import Flags, Ints, JobView, Seconds
from ringwatch_proto.layout import StepFlag

Records = NDArray[np.void]

# No honest step or collective lasts longer: 115 days.
_LARGEST_S: Final = 1e7
# Squared sequence lengths of a large batch add up to 1e14.
_LARGEST_WORK: Final = 1e18
# Steps that a fast job may go on while its node is not heard, before its number looks wrong.
_FARTHEST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPolicy:
    """How much of a job is kept, and when it counts as healthy.

    The first ``skipped_steps`` hold allocation, autotuning and connection set-up and are no example.
    """

    steps: int = 256
    budget_bytes: int = 256 << 20
    most_slots: int = 512
    skipped_steps: int = 5
    reference_steps: int = 20
    relearn_s: float = 120.0
    relearn_hold_s: float = 60.0
    relearn_share: float = 0.2


class Job:
    """One run of a job: the same name with other processes is another ``Job``."""

    def __init__(
        self, name: str, number: int, started_s: float, policy: JobPolicy, dropped: Counter[str]
    ) -> None:
        self.name = name
        # Of no other run, whatever its name.
        self.number = number
        self.started_s = started_s
        self.user = ""
        self.world_size = 0
        self.heard_s = started_s
        # Goes up whenever a rank's column changes, so that whoever remembers columns looks again.
        self.layout = 0
        # The layout for which whoever remembers columns looked last.
        self.mapped_layout = -1
        self.retired = False
        self._policy = policy
        self._dropped = dropped
        self._column_of: dict[int, int] = {}
        self._ranks: Ints = np.zeros(4, np.int64)
        self._node_of: Ints = np.full(4, -1, np.int64)
        self._pid: Ints = np.zeros(4, np.int64)
        self._left: Flags = np.zeros(4, np.bool_)
        self._gpu: list[str] = []
        self._sorted = True
        self._astray: set[int] = set()
        self._first_step = -1
        self.slots = Slots(policy.most_slots)
        self.window = StepWindow(steps=policy.steps, budget_bytes=policy.budget_bytes)
        self.states = RankStateColumns()
        self.reference = nothing()
        self._candidate: tuple[float, Reference] | None = None
        self._learned_s = -np.inf
        # What detectors made of the steps, and of which steps they made it.
        self._memo: dict[object, object] = {}
        self._memo_of: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Return how many ranks are known."""
        return len(self._column_of)

    @property
    def ended(self) -> bool:
        """Return whether every rank that was known is gone."""
        return self.size > 0 and bool(self._left[: self.size].all())

    def identity(self, rank: int) -> tuple[int, int] | None:
        """Return (node, pid) of a rank, None when it is not known."""
        column = self._column_of.get(rank)
        return None if column is None else (int(self._node_of[column]), int(self._pid[column]))

    def identities(self) -> set[tuple[int, int, int]]:
        """Return (rank, node, pid) of every rank."""
        used = slice(0, self.size)
        rows = zip(
            self._ranks[used].tolist(), self._node_of[used].tolist(), self._pid[used].tolist(), strict=True
        )
        return set(rows)

    def column_of(self, rank: int) -> int:
        """Return the column of a rank, -1 when it is not known."""
        return self._column_of.get(rank, -1)

    def join(self, rank: int, node: int, pid: int, gpu: str) -> None:
        """Take a rank in; one that is known already stays where it is."""
        column = self._column_of.get(rank)
        if column is not None:
            self._left[column] = False
            self._gpu[column] = gpu
            return
        column = self.size
        if column >= self._ranks.size:
            self._grow()
        self._column_of[rank] = column
        self._ranks[column], self._node_of[column], self._pid[column] = rank, node, pid
        self._gpu.append(gpu)
        self._sorted = self._sorted and (column == 0 or rank > int(self._ranks[column - 1]))
        self.window.reserve(self.size, 0)
        self.states.reserve(self.size)
        self.layout += 1

    def _grow(self) -> None:
        more = self._ranks.size
        self._ranks = np.concatenate([self._ranks, np.zeros(more, np.int64)])
        self._node_of = np.concatenate([self._node_of, np.full(more, -1, np.int64)])
        self._pid = np.concatenate([self._pid, np.zeros(more, np.int64)])
        self._left = np.concatenate([self._left, np.zeros(more, np.bool_)])

    def leave(self, rank: int, *, at_s: float, said_goodbye: bool) -> None:
        """Mark a rank as gone, by its own goodbye or by its death."""
        column = self._column_of.get(rank)
        if column is not None:
            self._left[column] = True
            self.states.end(column, at_s=at_s, said_goodbye=said_goodbye)

    def absent(self, rank: int) -> None:
        """Mark a rank that its node no longer names; what became of it is not known."""
        column = self._column_of.get(rank)
        if column is not None:
            self._left[column] = True

    def _sort(self) -> None:
        order = np.argsort(self._ranks[: self.size], kind="stable")
        for array in (self._ranks, self._node_of, self._pid, self._left):
            array[: order.size] = array[order]
        self._gpu = [self._gpu[at] for at in order.tolist()]
        self._column_of = {rank: at for at, rank in enumerate(self._ranks[: self.size].tolist())}
        self.window.permute(order)
        self.states.permute(order)
        self.reference = self.reference.permuted(order)
        self._candidate = None
        self._sorted = True
        self.layout += 1

    def layout_now(self) -> int:
        """Return the layout once ranks stand in their order."""
        self._ready()
        return self.layout

    def columns_of(self, ranks: Ints, nodes: Ints) -> Ints:
        """Return the column of each rank, -1 for one that is not known or runs on another node."""
        self._ready()
        known = self._ranks[: self.size]
        places = np.minimum(np.searchsorted(known, ranks), max(self.size - 1, 0))
        here = (known[places] == ranks) & (self._node_of[places] == nodes)
        return np.where(here, places, -1)

    def put_steps(self, columns: Ints, records: Records, correction_s: Seconds, *, live: bool) -> None:
        """Write STEP records of the ranks in ``columns``; each with the correction of its node's clock."""
        kept = self._place(columns, records["step"], live=live)
        if not kept.any():
            return
        if not kept.all():
            columns, records, correction_s = columns[kept], records[kept], correction_s[kept]
        rows = records["step"].astype(np.int64) - self.window.base
        values: dict[str, NDArray[np.generic]] = {
            name: _possible(records[name]) for name in ("step_s", "data_s", "compute_s", "pause_s")
        }
        values |= {name: _possible(records[name], _LARGEST_WORK) for name in ("tokens", "work")}
        values["loss"] = np.where(np.isfinite(records["loss"]), records["loss"], np.float32(np.nan))
        values["ended_s"] = records["ended_wall_ns"] / 1e9 + correction_s
        values["flags"] = records["flags"].astype(np.int64)
        self.window.put_steps(rows, columns, values)

    def put_collectives(self, communicators: Ints, columns: Ints, records: Records, *, live: bool) -> None:
        """Write COLLECTIVE records; ``communicators`` are ids that ``Slots.communicator`` gave."""
        kept = self._place(columns, records["step"], live=live)
        if not kept.all():
            communicators, columns, records = communicators[kept], columns[kept], records[kept]
        slots = self.slots.place(communicators, records, self.window.affordable_slots(self.size))
        self.window.reserve(self.size, len(self.slots))
        rows = records["step"].astype(np.int64) - self.window.base
        found = slots >= 0
        self._dropped["collective_slot_beyond_cap"] += int(found.size - np.count_nonzero(found))
        found &= rows >= 0
        if not found.all():
            rows, slots, columns, records = rows[found], slots[found], columns[found], records[found]
        if rows.size:
            self.window.put_collectives(
                rows, slots, columns, _possible(records["start_s"]), _possible(records["duration_s"])
            )

    def put_states(self, columns: Ints, records: Records, at_s: Seconds) -> None:
        """Write RANK_STATE records."""
        self.states.put(columns, records, at_s)
        self.heard_s = max(self.heard_s, float(at_s.max()))

    def _place(self, columns: Ints, steps: NDArray[np.uint64], *, live: bool) -> Flags:
        """Slide the window to the newest step and say which records lie in it.

        One rank with a step far from all others must not wipe the window of the job: it counts as
        astray, and only when most ranks are does the window start again where they are.
        """
        window = self.window
        far = np.zeros(steps.size, np.bool_)
        if window.base >= 0:
            far = steps > np.uint64(window.top + max(window.length, _FARTHEST))
            far |= steps < np.uint64(window.base)
            if far.any() and live and self._most_astray(columns, far):
                window.clear()
                self._astray.clear()
                far = ~far
        if window.base < 0 and not far.all():
            lowest, highest = int(steps[~far].min()), int(steps[~far].max())
            window.slide_to(max(lowest, highest - window.length + 1))
        if not far.all():
            window.slide_to(int(steps[~far].max()))
        kept: Flags = ~far
        kept &= (steps >= np.uint64(max(window.base, 0))) & (steps <= np.uint64(max(window.top, 0)))
        self._dropped["step_outside_window"] += int(kept.size - np.count_nonzero(kept))
        if self._first_step < 0 and window.base >= 0:
            self._first_step = int(steps[kept].min()) if kept.any() else window.top
        return kept

    def _most_astray(self, columns: Ints, far: Flags) -> bool:
        self._astray.difference_update(columns[~far].tolist())
        self._astray.update(columns[far].tolist())
        return len(self._astray) * 2 > self.size

    def adopt(self, reference: Reference, now_s: float) -> None:
        """Take back what an earlier collector had learned of this run."""
        self._ready()
        self.reference = reference
        self._learned_s = now_s

    def learn(self, now_s: float, *, healthy: bool) -> None:
        """Learn the reference from healthy steps, or let it follow slow change while all is well."""
        if not healthy or self.ended:
            self._candidate = None
            return
        if self.reference.steps == 0:
            self.reference = self._learned(self._policy.reference_steps) or self.reference
            self._learned_s = now_s
        elif self._candidate is not None:
            if now_s - self._candidate[0] >= self._policy.relearn_hold_s:
                self.reference = blend(self.reference, self._candidate[1], self._policy.relearn_share)
                self._candidate = None
        elif now_s - self._learned_s >= self._policy.relearn_s:
            learned = self._learned(self._policy.reference_steps)
            self._candidate = None if learned is None else (now_s, learned)
            self._learned_s = now_s

    def _learned(self, least: int) -> Reference | None:
        self._ready()
        ranks, slots = self.size, len(self.slots)
        step_s = self.window.values("step_s", ranks)
        usable = self.window.steps() >= self._first_step + self._policy.skipped_steps
        usable &= ~np.isnan(step_s).any(axis=1)
        usable &= (self.window.flags(ranks) & StepFlag.TAGGED_PAUSE).max(axis=1, initial=0) == 0
        if np.count_nonzero(usable) < least:
            return None
        return learn(
            usable,
            step_s=step_s,
            compute_s=self.window.values("compute_s", ranks),
            data_s=self.window.values("data_s", ranks),
            duration_s=self.window.collective_s(slots, ranks),
            members=self.slots.members(self._ranks[:ranks], self.layout),
        )

    def _ready(self) -> None:
        if not self._sorted:
            self._sort()

    def view(self) -> JobView:
        """Return what detectors see."""
        self._ready()
        ranks, slots, window = self.size, len(self.slots), self.window
        reference = self.reference.fitted(ranks, slots)
        return JobView(
            job=self.name,
            ranks=self._ranks[:ranks],
            node_of=self._node_of[:ranks],
            gpu_of=self._gpu,
            pid=self._pid[:ranks],
            started_s=self.started_s,
            steps=window.steps(),
            ended_s=window.ended_s(ranks),
            step_s=window.values("step_s", ranks),
            data_s=window.values("data_s", ranks),
            compute_s=window.values("compute_s", ranks),
            pause_s=window.values("pause_s", ranks),
            flags=window.flags(ranks),
            slots=self.slots.views(self._ranks[:ranks], self.layout),
            collective_start_s=window.collective_start_s(slots, ranks),
            collective_s=window.collective_s(slots, ranks),
            states=self.states.view(ranks),
            tokens=window.values("tokens", ranks),
            work=window.values("work", ranks),
            loss=window.values("loss", ranks),
            reference_steps=reference.steps,
            reference_step_s=reference.step_s,
            reference_compute_s=reference.compute_s,
            reference_data_s=reference.data_s,
            reference_transfer_s=reference.transfer_s,
            reference_wait_s=reference.wait_s,
            memo=self._memo_now(),
        )

    def _memo_now(self) -> dict[object, object]:
        of = (self.window.version, self.layout, len(self.slots), id(self.reference))
        if of != self._memo_of:
            self._memo_of, self._memo = of, {}
        return self._memo


def _possible(values: NDArray[np.float32], most: float = _LARGEST_S) -> NDArray[np.float32]:
    """Return the values with NaN for what cannot have been measured."""
    with np.errstate(invalid="ignore"):
        return np.where((values >= 0) & (values <= most), values, np.float32(np.nan))
