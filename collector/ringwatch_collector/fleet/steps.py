"""The newest steps of one job in columns: steps x ranks and steps x slots x ranks. It judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import Floats, Ints, Seconds

_STEP_FIELDS: Final = ("step_s", "data_s", "compute_s", "pause_s", "tokens", "work", "loss")
_MIN_STEPS: Final = 32


class StepWindow:
    """A window that slides over step numbers, with room for twice its length.

    Row ``step - base``; when the room is used up the newest half moves to the front, so that the
    window is always one slice and never copied for a reader. ``budget_bytes`` bounds it: a job of
    more ranks or slots keeps fewer steps, never below 32.
    """

    def __init__(self, *, steps: int, budget_bytes: int) -> None:
        self._most_steps = steps
        self._budget_bytes = budget_bytes
        self.base = -1
        self.top = -1
        # Goes up with every change, so that whoever derived something looks again.
        self.version = 0
        self._allocate(4, 0)

    @property
    def length(self) -> int:
        """Return how many steps the window holds."""
        return len(self._ended_s) // 2

    @property
    def ranks(self) -> int:
        """Return for how many ranks there is room."""
        return int(self._ended_s.shape[1])

    @property
    def slots(self) -> int:
        """Return for how many slots there is room."""
        return int(self._duration.shape[1])

    @property
    def size_bytes(self) -> int:
        """Return the memory of the arrays."""
        return sum(array.nbytes for array in self._arrays())

    def _allocate(self, ranks: int, slots: int) -> None:
        each = (4 * len(_STEP_FIELDS) + 8 + 8 + 8 * slots) * ranks
        steps = max(_MIN_STEPS, min(self._most_steps, self._budget_bytes // (2 * each)))
        # Not filled: a row is, when its step begins, so that memory is only taken for what is held.
        self._values: dict[str, Floats] = {
            name: np.empty((2 * steps, ranks), np.float32) for name in _STEP_FIELDS
        }
        self._ended_s: Seconds = np.empty((2 * steps, ranks))
        self._flags: Ints = np.empty((2 * steps, ranks), np.int64)
        self._start: Floats = np.empty((2 * steps, slots, ranks), np.float32)
        self._duration: Floats = np.empty((2 * steps, slots, ranks), np.float32)

    def _begin(self, rows: slice) -> None:
        for array in self._arrays():
            array[rows] = 0 if array is self._flags else np.nan

    def _arrays(self) -> list[NDArray[np.generic]]:
        return [*self._values.values(), self._ended_s, self._flags, self._start, self._duration]

    def affordable_slots(self, ranks: int) -> int:
        """Return how many slots the budget allows for that many ranks at the shortest window."""
        return max(1, self._budget_bytes // (2 * _MIN_STEPS * 8 * max(ranks, 1)))

    def reserve(self, ranks: int, slots: int) -> None:
        """Make room for that many ranks and slots; what is there stays, the oldest steps may go."""
        if ranks > self.ranks or slots > self.slots:
            self._refit(_doubled(self.ranks, ranks), _doubled(self.slots, slots))

    def shorten(self) -> bool:
        """Keep half as many steps; return False when there are no more than the least already."""
        if self.length <= _MIN_STEPS:
            return False
        self._most_steps = max(_MIN_STEPS, self.length // 2)
        self._refit(self.ranks, self.slots)
        return True

    def _refit(self, ranks: int, slots: int) -> None:
        self.version += 1
        old, held = self._arrays(), self.rows()
        used_ranks, used_slots = self.ranks, self.slots
        self._allocate(ranks, slots)
        keep = min(held.stop - held.start, self.length)
        self._begin(slice(0, keep))
        source = slice(held.stop - keep, held.stop)
        for before, after in zip(old, self._arrays(), strict=True):
            if before.ndim == 2:
                after[:keep, :used_ranks] = before[source]
            else:
                after[:keep, :used_slots, :used_ranks] = before[source]
        if self.base >= 0:
            self.base = self.top - keep + 1

    def permute(self, order: Ints) -> None:
        """Put the first ``len(order)`` rank columns into another order."""
        self.version += 1
        held = slice(0, self.rows().stop)
        for array in self._arrays():
            array[held, ..., : order.size] = array[held][..., order]

    def rows(self) -> slice:
        """Return the rows of the window, oldest step first."""
        end = self.top - self.base + 1 if self.base >= 0 else 0
        return slice(max(0, end - self.length), end)

    def steps(self) -> Ints:
        """Return the step number of each row of the window."""
        rows = self.rows()
        return np.arange(rows.start, rows.stop, dtype=np.int64) + self.base

    def clear(self) -> None:
        """Forget everything but the room."""
        self.version += 1
        self.base = self.top = -1

    def slide_to(self, step: int) -> None:
        """Make ``step`` part of the window."""
        self.version += 1
        if self.base < 0:
            self.base = step
            self.top = step - 1
        elif step - self.top >= self.length:
            self.base = step - self.length + 1
            self.top = self.base - 1
        elif step - self.base >= 2 * self.length:
            self._move(step - self.length + 1 - self.base)
        if step > self.top:
            self._begin(slice(self.top + 1 - self.base, step + 1 - self.base))
            self.top = step

    def _move(self, by: int) -> None:
        held = self.top - self.base + 1
        for array in self._arrays():
            array[: held - by] = array[by:held]
        self.base += by

    def put_steps(self, rows: Ints, columns: Ints, values: Mapping[str, NDArray[np.generic]]) -> None:
        """Write step records: ``values`` by field name, with ``ended_s`` and ``flags``."""
        self.version += 1
        for name in _STEP_FIELDS:
            self._values[name][rows, columns] = values[name]
        self._ended_s[rows, columns] = values["ended_s"]
        self._flags[rows, columns] = values["flags"]

    def put_collectives(
        self, rows: Ints, slots: Ints, columns: Ints, start_s: Floats, duration_s: Floats
    ) -> None:
        """Write collective records."""
        self.version += 1
        self._start[rows, slots, columns] = start_s
        self._duration[rows, slots, columns] = duration_s

    def values(self, name: str, ranks: int) -> Floats:
        """(S, R) one step field."""
        return self._values[name][self.rows(), :ranks]

    def ended_s(self, ranks: int) -> Seconds:
        """(S, R) when each rank ended each step."""
        return self._ended_s[self.rows(), :ranks]

    def flags(self, ranks: int) -> Ints:
        """(S, R) step flags."""
        return self._flags[self.rows(), :ranks]

    def collective_start_s(self, slots: int, ranks: int) -> Floats:
        """(S, K, R) begin of each collective within its step."""
        return self._start[self.rows(), :slots, :ranks]

    def collective_s(self, slots: int, ranks: int) -> Floats:
        """(S, K, R) duration of each collective."""
        return self._duration[self.rows(), :slots, :ranks]


def _doubled(have: int, want: int) -> int:
    return have if want <= have else max(want, 2 * have)
