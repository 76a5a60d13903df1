"""One device table of the whole fleet: a ring over seconds of signals x rows. It judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.table_window import TableWindow
from ringwatch_collector.view import Floats, Ints, Seconds
from ringwatch_proto.signals import Table, columns_of

# A reading beyond this is no reading: every signal of the catalogue stays far below it, and sums of
# squares of what is left cannot overflow.
LARGEST_READING: Final = 1e15
_MIN_SECONDS: Final = 30
_MIN_ROWS: Final = 16
# Fleets have a few kinds of node; a hostile one with many only loses the sharing.
_MOST_SHAPES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """What all blocks of so many rows and these signals have in common: how they are written."""

    table: DeviceTable
    rows: int
    signals: tuple[int, ...]
    columns: slice | Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where one node's block of a table goes: its first row, and the shape of the block."""

    first: int
    devices: tuple[str, ...]
    shape: Shape

    @property
    def rows(self) -> int:
        """Return how many devices the node has in the table."""
        return self.shape.rows

    @property
    def signals(self) -> tuple[int, ...]:
        """Return the signals of the block, in order."""
        return self.shape.signals


class DeviceTable:
    """Rows are devices, kept contiguous for each node; columns are the catalogue's signals.

    ``budget_bytes`` bounds the ring: as the fleet grows its history gets shorter, never below 30 s.
    Signals come before rows in memory, since detectors read one signal of all rows at a time.
    """

    def __init__(self, table: Table, *, history_s: int, budget_bytes: int) -> None:
        self._known = frozenset(signal.id for signal in columns_of(table))
        # Column of each signal that a node ever named: a catalogue is longer than what nodes send.
        self._column: dict[int, int] = {}
        self._history_s = history_s
        self._budget_bytes = budget_bytes
        self._used = 0
        self._holes: list[tuple[int, int]] = []
        self._top = 0
        self._devices: list[str] = []
        self._shapes: dict[tuple[int, tuple[int, ...]], Shape] = {}
        self._allocate(_MIN_ROWS)

    @property
    def history_s(self) -> int:
        """Return how many seconds the ring holds now."""
        return len(self._ring)

    @property
    def size_bytes(self) -> int:
        """Return the memory of the ring."""
        return self._ring.nbytes

    def _allocate(self, rows: int) -> None:
        columns = len(self._column)
        affordable = self._budget_bytes // (4 * max(columns, 1) * rows)
        seconds = max(_MIN_SECONDS, min(self._history_s, affordable))
        # Not filled: a second is, when it begins, so that memory is only taken for what is held.
        self._ring: Floats = np.empty((seconds, columns, rows), np.float32)
        self._second_of: Ints = np.full(seconds, -1, np.int64)
        self._now: Floats = np.full((columns, rows), np.nan, np.float32)
        self._at_s: Seconds = np.full(rows, -np.inf, np.float64)
        self._node_of: Ints = np.full(rows, -1, np.int64)

    def _grow(self, rows: int) -> None:
        """Make room for more rows, or for columns that were added; what is there stays."""
        old_ring, old_second = self._ring, self._second_of
        old_now, old_at, old_node = self._now, self._at_s, self._node_of
        used, columns = self._used, len(old_now)
        self._allocate(rows)
        self._now[:columns, :used] = old_now[:, :used]
        self._at_s[:used] = old_at[:used]
        self._node_of[:used] = old_node[:used]
        for second in sorted(old_second[old_second > self._top - self.history_s].tolist()):
            slot = second % self.history_s
            self._ring[slot] = np.nan
            self._ring[slot, :columns, :used] = old_ring[second % len(old_second), :, :used]
            self._second_of[slot] = second

    def bind(self, node: int, devices: Sequence[str], signals: Sequence[int], old: Binding | None) -> Binding:
        """Give a node's devices their rows; a device that was there before keeps its history."""
        names = tuple(devices)
        if old is not None and old.devices == names:
            first = old.first
        else:
            first = self._take(len(names))
            self._node_of[first : first + len(names)] = node
            self._devices[first : first + len(names)] = names
            if old is not None:
                self._move(old, names, first)
                self.release(old)
        shape = self._shape(len(names), tuple(signals))
        absent = np.delete(np.arange(len(self._column)), shape.columns)
        if absent.size:
            self._now[absent, first : first + len(names)] = np.nan
        return Binding(first=first, devices=names, shape=shape)

    def _shape(self, rows: int, signals: tuple[int, ...]) -> Shape:
        shape = self._shapes.get((rows, signals))
        if shape is None:
            self._add_columns(signals)
            columns = _as_slice(np.array([self._column[signal] for signal in signals], np.int64))
            shape = Shape(table=self, rows=rows, signals=signals, columns=columns)
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[rows, signals] = shape
        return shape

    def _add_columns(self, signals: Sequence[int]) -> None:
        fresh = [signal for signal in signals if signal not in self._column]
        if fresh:
            self._column |= {signal: len(self._column) + at for at, signal in enumerate(fresh)}
            self._grow(self._ring.shape[2])

    def _take(self, rows: int) -> int:
        for at, (first, size) in enumerate(self._holes):
            if size >= rows:
                self._holes[at] = (first + rows, size - rows)
                self._holes = [hole for hole in self._holes if hole[1]]
                return first
        first = self._used
        if first + rows > self._ring.shape[2]:
            self._grow(max(2 * self._ring.shape[2], first + rows))
        self._used = first + rows
        self._devices.extend([""] * rows)
        return first

    def _move(self, old: Binding, names: tuple[str, ...], first: int) -> None:
        position = {name: at for at, name in enumerate(old.devices)}
        kept = [(old.first + position[name], first + at) for at, name in enumerate(names) if name in position]
        for source, target in kept:
            self._ring[:, :, target] = self._ring[:, :, source]
            self._now[:, target] = self._now[:, source]
            self._at_s[target] = self._at_s[source]

    def release(self, binding: Binding) -> None:
        """Free the rows of devices that are gone."""
        rows = slice(binding.first, binding.first + binding.rows)
        self._ring[self._second_of >= 0, :, rows] = np.nan
        self._now[:, rows] = np.nan
        self._at_s[rows] = -np.inf
        self._node_of[rows] = -1
        self._devices[rows] = [""] * binding.rows
        if binding.rows:
            self._holes.append((binding.first, binding.rows))
        self._merge_holes()

    def _merge_holes(self) -> None:
        merged: list[tuple[int, int]] = []
        for first, size in sorted(self._holes):
            if merged and merged[-1][0] + merged[-1][1] == first:
                merged[-1] = (merged[-1][0], merged[-1][1] + size)
            else:
                merged.append((first, size))
        if merged and sum(merged[-1]) == self._used:
            self._used = merged.pop()[0]
            del self._devices[self._used :]
        self._holes = merged

    def write(self, binding: Binding, at_s: float, values: bytes) -> int:
        """Copy one block in; return how many of its values were no possible reading."""
        return self.write_blocks(binding.shape, [binding.first], [at_s], [values])

    def write_blocks(
        self, shape: Shape, firsts: Sequence[int], at_s: Sequence[float], values: Sequence[bytes]
    ) -> int:
        """Copy blocks of one shape in, no two of the same rows; return how many values were impossible."""
        if not shape.rows or not shape.signals:
            return 0
        data = np.frombuffer(b"".join(values), "<f4")
        data, impossible = _possible(data)
        blocks = data.reshape(len(firsts), shape.rows, len(shape.signals)).transpose(2, 0, 1)
        places, times = np.array(firsts, np.int64), np.array(at_s)
        self._write_history(shape, places, times, blocks)
        newer = times >= self._at_s[places]
        if not newer.all():
            places, times, blocks = places[newer], times[newer], blocks[:, newer]
        _put(self._now, shape, places, blocks)
        _runs(self._at_s, shape.rows)[places] = times[:, None]
        return impossible

    def _write_history(self, shape: Shape, places: Ints, times: Seconds, blocks: Floats) -> None:
        seconds = times.astype(np.int64)
        for second in np.unique(seconds).tolist():
            if second > self._top:
                self._advance(second)
            if second <= self._top - self.history_s:
                continue
            if self._second_of[second % self.history_s] != second:
                self._begin(second)
            mine = seconds == second
            whole = bool(mine.all())
            held = self._ring[second % self.history_s]
            _put(held, shape, places if whole else places[mine], blocks if whole else blocks[:, mine])

    def _advance(self, second: int) -> None:
        first = max(self._top + 1, second - self.history_s + 1) if self._top else second
        for fresh in range(first, second + 1):
            self._begin(fresh)
        self._top = second

    def _begin(self, second: int) -> None:
        self._ring[second % self.history_s] = np.nan
        self._second_of[second % self.history_s] = second

    def view(self, now_s: float) -> TableWindow:
        """Return what detectors see of this table now."""
        return TableWindow(self, now_s)

    def live_rows(self) -> slice | Ints:
        """Return the rows that stand for a device: a slice while there are no holes."""
        if not self._holes:
            return slice(0, self._used)
        return np.flatnonzero(self._node_of[: self._used] >= 0)

    def node_of(self, rows: slice | Ints) -> Ints:
        """Return the node index of each row."""
        return self._node_of[rows]

    def device_names(self, rows: slice | Ints) -> Sequence[str]:
        """Return the device id of each row."""
        if isinstance(rows, slice):
            return self._devices[rows]
        return [self._devices[row] for row in rows.tolist()]

    def _column_of(self, signal: int) -> int | None:
        """Return the column of a signal of this table, None while no node sends it."""
        column = self._column.get(signal)
        if column is None and signal not in self._known:
            raise KeyError(signal)
        return column

    def now(self, signal: int, rows: slice | Ints) -> Floats:
        """Return the newest value of a signal for each row."""
        column = self._column_of(signal)
        if column is None:
            return np.full(self._at_s[rows].size, np.nan, np.float32)
        return self._now[column, rows]

    def at_s(self, rows: slice | Ints) -> Seconds:
        """Return the time of the newest batch of each row."""
        return self._at_s[rows]

    def history(self, signal: int, rows: slice | Ints, begin: int, end: int) -> tuple[Seconds, Floats]:
        """Return the seconds in (begin, end] that the ring holds, and the signal in each."""
        wanted = np.arange(max(begin + 1, self._top - self.history_s + 1, 0), min(end, self._top) + 1)
        slots = wanted % self.history_s
        held = self._second_of[slots] == wanted
        slots = slots[held]
        column = self._column_of(signal)
        if column is None:
            values = np.full((slots.size, self._at_s[rows].size), np.nan, np.float32)
        else:
            values = self._ring[slots, column][:, rows]
        return wanted[held].astype(np.float64), values


def _possible(data: Floats) -> tuple[Floats, int]:
    """Return the values with NaN for what is no possible reading, and how many those were."""
    impossible = np.abs(data) > LARGEST_READING
    count = int(np.count_nonzero(impossible))
    return (np.where(impossible, np.float32(np.nan), data), count) if count else (data, 0)


def _runs(array: NDArray[np.floating], rows: int) -> NDArray[np.floating]:
    """Return every stretch of ``rows`` neighbours along the last axis, as a view that can be written."""
    return np.lib.stride_tricks.sliding_window_view(array, rows, axis=-1, writeable=True)


def _put(plane: Floats, shape: Shape, places: Ints, blocks: Floats) -> None:
    """Write (signals, blocks, rows) into (columns, rows): a stretch at a time, not a value at a time."""
    if isinstance(shape.columns, slice):
        _runs(plane[shape.columns], shape.rows)[:, places] = blocks
    else:
        _runs(plane, shape.rows)[shape.columns[:, None], places] = blocks


def _as_slice(columns: Ints) -> slice | Ints:
    if columns.size and bool(np.all(np.diff(columns) == 1)):
        return slice(int(columns[0]), int(columns[-1]) + 1)
    return columns
