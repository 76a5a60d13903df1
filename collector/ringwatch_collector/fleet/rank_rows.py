"""What the rank rows and communicator numbers of each node mean, in arrays. It keeps no record of a job."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import Ints


class Arena:
    """Named columns of numbers; each owner holds one stretch of rows."""

    def __init__(self, *names: str) -> None:
        self._columns: dict[str, Ints] = {name: np.full(64, -1, np.int64) for name in names}
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self._used = 0

    def take(self, size: int) -> int:
        """Return the first row of a stretch that is filled with -1."""
        free = self._free.get(size)
        first = free.pop() if free else self._used
        if first == self._used:
            self._used += size
            self._reserve(self._used)
        for column in self._columns.values():
            column[first : first + size] = -1
        return first

    def give(self, first: int, size: int) -> None:
        """Take a stretch back."""
        if size:
            for column in self._columns.values():
                column[first : first + size] = -1
            self._free[size].append(first)

    def _reserve(self, rows: int) -> None:
        for name, column in self._columns.items():
            if rows > column.size:
                more = np.full(max(rows, 2 * column.size) - column.size, -1, np.int64)
                self._columns[name] = np.concatenate([column, more])

    def __getitem__(self, name: str) -> Ints:
        return self._columns[name]


class RankRows:
    """For each node: where its rows lie, and what run, rank and column each stands for."""

    def __init__(self) -> None:
        self.ranks = Arena("run", "rank", "node", "column")
        self.communicators = Arena("run", "number")
        # By node index: first row and how many, of ranks and of communicators.
        self._places: Ints = np.zeros((64, 4), np.int64)

    def assign(self, node: int, ranks: int, communicators: int) -> tuple[int, int]:
        """Give a node that many rows; return the first of its ranks and of its communicators."""
        while node >= len(self._places):
            self._places = np.concatenate([self._places, np.zeros_like(self._places)])
        first, count, group, groups = self._places[node].tolist()
        self.ranks.give(first, count)
        self.communicators.give(group, groups)
        place = (self.ranks.take(ranks), ranks, self.communicators.take(communicators), communicators)
        self._places[node] = place
        return place[0], place[2]

    def rows_of(self, nodes: Ints, rank_rows: NDArray[np.integer]) -> Ints:
        """Return the row of each (node, rank_row), -1 for those that the node did not name."""
        place = self._places[nodes]
        return np.where(rank_rows < place[:, 1], place[:, 0] + rank_rows, -1)

    def communicator_of(self, nodes: Ints, indices: NDArray[np.integer], runs: Ints) -> Ints:
        """Return the run's number of each (node, communicator index), -1 where it is not of that run."""
        place = self._places[nodes]
        known = indices < place[:, 3]
        rows = np.where(known, place[:, 2] + indices, 0)
        known &= self.communicators["run"][rows] == runs
        return np.where(known, self.communicators["number"][rows], -1)
