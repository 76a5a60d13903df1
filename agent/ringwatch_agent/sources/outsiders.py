"""Ranks and groups that are known from files and sockets, with no hook in the job: their rows and numbers.

One roster serves all such sources of the node, whose threads share it. Rows and numbers lie above those of
the hook's source, so that the two never meet.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

from ringwatch_agent.sources.base import CommunicatorRecord, Outsiders, RankRecord

# The collector takes 1024 ranks of a node; those with the hook have the lower half.
FIRST_ROW: Final = 512
MOST_RANKS: Final = 512
FIRST_COMMUNICATOR: Final = 1 << 15
MOST_COMMUNICATORS: Final = 1024
# A rank of which nothing has come for so long is not named any more.
FORGOTTEN_S: Final = 300.0


class Roster:
    """The ranks and groups of all sources without a hook. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serial = 0
        self._ranks: dict[tuple[str, int], tuple[RankRecord, float]] = {}
        self._groups: dict[tuple[str, str], CommunicatorRecord] = {}
        self.refused = 0

    def rank(
        self, job: str, rank: int, world_size: int, *, pid: int = 0, gpu: str = "", backend: str = ""
    ) -> int:
        """Return the row of a rank, -1 when there is no room for it."""
        now_s = time.monotonic()
        with self._lock:
            known = self._ranks.get((job, rank))
            if known is None:
                fresh = RankRecord(
                    row=self._free_row(),
                    job=job,
                    rank=rank,
                    world_size=max(world_size, rank + 1),
                    local_rank=0,
                    pid=pid,
                    gpu=gpu,
                    backend=backend,
                )
                return self._add(fresh, now_s)
            record = known[0]
            world_size = max(world_size, record.world_size)
            wanted = replace(record, world_size=world_size, pid=pid or record.pid, gpu=gpu or record.gpu)
            self._serial += wanted != record
            self._ranks[job, rank] = (wanted, now_s)
            return record.row

    def communicator(self, job: str, name: str, ranks: tuple[int, ...] = ()) -> int:
        """Return the number of a group, -1 when there is no room; no ranks stand for all of the job."""
        with self._lock:
            known = self._groups.get((job, name))
            if known is not None and known.ranks == ranks:
                return known.index
            if known is None and len(self._groups) >= MOST_COMMUNICATORS:
                self.refused += 1
                return -1
            taken = {record.index for record in self._groups.values()}
            free = (at for at in range(FIRST_COMMUNICATOR, 1 << 16) if at not in taken)
            index = known.index if known is not None else next(free)
            self._groups[job, name] = CommunicatorRecord(index=index, job=job, name=name, ranks=ranks)
            self._serial += 1
            return index

    def outsiders(self) -> Outsiders:
        """Return everybody who was heard of lately."""
        with self._lock:
            oldest_s = time.monotonic() - FORGOTTEN_S
            kept = {key: entry for key, entry in self._ranks.items() if entry[1] >= oldest_s}
            if len(kept) < len(self._ranks):
                jobs = {job for job, _ in kept}
                self._ranks = kept
                self._groups = {key: group for key, group in self._groups.items() if key[0] in jobs}
                self._serial += 1
            return Outsiders(
                serial=self._serial,
                ranks=tuple(record for record, _ in self._ranks.values()),
                communicators=tuple(self._groups.values()),
            )

    def _free_row(self) -> int:
        taken = {record.row for record, _ in self._ranks.values()}
        return next((row for row in range(FIRST_ROW, FIRST_ROW + MOST_RANKS) if row not in taken), -1)

    def _add(self, record: RankRecord, now_s: float) -> int:
        if record.row < 0:
            self.refused += 1
            return -1
        self._ranks[record.job, record.rank] = (record, now_s)
        self._serial += 1
        return record.row
