"""All jobs: which ranks of which node belong to which run, and when a run is over. Blames nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.job import Job, JobPolicy, Records
from ringwatch_collector.view import Ints
from ringwatch_proto import events, layout
from ringwatch_proto.v1 import telemetry_pb2 as wire

STEP_DTYPE: Final = np.dtype(list(layout.STEP_FIELDS))
COLLECTIVE_DTYPE: Final = np.dtype(list(layout.COLLECTIVE_FIELDS))
RANK_STATE_DTYPE: Final = np.dtype(list(layout.RANK_STATE_FIELDS))

_MOST_COMMUNICATORS: Final = 65536


@dataclass(slots=True)
class JobRows:
    """The ranks of one job on one node: what ``rank_row`` and ``communicator`` of its records mean."""

    job: Job
    node: int
    ranks: list[int] = field(default_factory=list)
    communicator_ids: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _columns: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _layout: int = -1

    def columns(self) -> Ints:
        """Return the column of each rank, -1 for one that belongs to another node or run by now."""
        if self._layout != self.job.layout:
            self._columns = np.array([self._column(rank) for rank in self.ranks], np.int64)
            self._layout = self.job.layout
        return self._columns

    def _column(self, rank: int) -> int:
        identity = self.job.identity(rank)
        return self.job.column_of(rank) if identity is not None and identity[0] == self.node else -1

    def communicators(self, indices: NDArray[np.uint16]) -> Ints:
        """Return the job's communicator id for each index of this node, -1 for an unknown one."""
        known = indices < self.communicator_ids.size
        found = np.full(indices.size, -1, np.int64)
        found[known] = self.communicator_ids[indices[known]]
        return found


@dataclass(slots=True, kw_only=True)
class NodeJobs:
    """What the rank rows of one node mean: for each row which ``JobRows`` and which place in it."""

    parts: list[JobRows] = field(default_factory=list)
    part_of_row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    place_of_row: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


class Jobs:
    """The runs that are going on or ended within ``keep_ended_s``."""

    def __init__(self, policy: JobPolicy, dropped: Counter[str], *, keep_ended_s: float, most: int) -> None:
        self._policy = policy
        self._dropped = dropped
        self._keep_ended_s = keep_ended_s
        self._most = most
        self._jobs: dict[str, Job] = {}
        # (rank, node, pid) of the run before, so that a late Hello cannot bring it back.
        self._retired: dict[str, set[tuple[int, int, int]]] = {}
        self._ended_s: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def get(self, name: str) -> Job | None:
        """Return the current run of a job."""
        return self._jobs.get(name)

    def hello(self, node: int, hello: wire.Hello, old: NodeJobs, now_s: float) -> NodeJobs:
        """Take in the ranks and communicators that a node names, and let go of those it no longer names."""
        rows = 1 + max((info.row for info in hello.ranks), default=-1)
        meaning = NodeJobs(part_of_row=np.full(rows, -1, np.int64), place_of_row=np.zeros(rows, np.int64))
        parts: dict[str, JobRows] = {}
        for info in hello.ranks:
            job = self._join(node, info, now_s)
            if job is None:
                continue
            part = parts.get(info.job)
            if part is None or part.job is not job:
                part = parts[info.job] = JobRows(job, node)
                meaning.parts.append(part)
            meaning.part_of_row[info.row] = len(meaning.parts) - 1
            meaning.place_of_row[info.row] = len(part.ranks)
            part.ranks.append(info.rank)
        self._name_communicators(hello, parts)
        self._let_go(old, meaning)
        return meaning

    def _join(self, node: int, info: wire.RankInfo, now_s: float) -> Job | None:
        who = (info.rank, node, info.pid)
        if who in self._retired.get(info.job, ()):
            self._dropped["rank_of_an_earlier_run"] += 1
            return None
        job = self._jobs.get(info.job)
        if job is not None and job.identity(info.rank) not in (None, (node, info.pid)):
            self._retired[info.job] = job.identities()
            job.retired = True
            job = None
        if job is None:
            if len(self._jobs) >= self._most and info.job not in self._jobs:
                self._dropped["job_beyond_limit"] += 1
                return None
            job = self._jobs[info.job] = Job(info.job, now_s, self._policy, self._dropped)
        job.join(info.rank, node, info.pid, info.gpu)
        job.user = info.user
        job.world_size = max(job.world_size, info.world_size)
        self._ended_s.pop(info.job, None)
        return job

    def _name_communicators(self, hello: wire.Hello, parts: dict[str, JobRows]) -> None:
        size = 1 + max((item.index for item in hello.communicators), default=-1)
        for part in parts.values():
            part.communicator_ids = np.full(size, -1, np.int64)
        for item in hello.communicators:
            named = parts.get(item.job)
            if named is not None:
                number = named.job.slots.communicator(item.name, tuple(item.ranks))
                named.communicator_ids[item.index] = number if number < _MOST_COMMUNICATORS else -1

    def _let_go(self, old: NodeJobs, new: NodeJobs) -> None:
        kept = {(part.job.name, rank) for part in new.parts for rank in part.ranks}
        for part in old.parts:
            for rank in part.ranks:
                if (part.job.name, rank) not in kept and not part.job.retired:
                    part.job.absent(rank)

    def put(
        self, meaning: NodeJobs, batch: wire.Batch, at_s: float, correction_s: float, *, live: bool
    ) -> None:
        """Write the packed records of one batch."""
        if batch.rank_states:
            for part, columns, records in self._split(meaning, batch.rank_states, RANK_STATE_DTYPE):
                part.job.put_states(columns, records, at_s)
        if batch.steps:
            for part, columns, records in self._split(meaning, batch.steps, STEP_DTYPE):
                part.job.put_steps(columns, records, correction_s, live=live)
        if batch.collectives:
            for part, columns, records in self._split(meaning, batch.collectives, COLLECTIVE_DTYPE):
                groups = part.communicators(records["communicator"])
                known = groups >= 0
                self._dropped["communicator_not_named"] += int(known.size - np.count_nonzero(known))
                if known.any():
                    part.job.put_collectives(groups[known], columns[known], records[known], live=live)

    def _split(
        self, meaning: NodeJobs, packed: bytes, dtype: np.dtype[np.void]
    ) -> Iterator[tuple[JobRows, Ints, Records]]:
        """Yield the records of each job, with the column of each; those of nobody are counted."""
        records = np.frombuffer(packed, dtype)
        rows = records["rank_row"]
        parts = meaning.part_of_row[rows]
        self._dropped["record_of_no_rank"] += int(np.count_nonzero(parts < 0))
        for number, part in enumerate(meaning.parts):
            mine = parts == number
            columns = part.columns()[meaning.place_of_row[rows[mine]]]
            known = columns >= 0
            if part.job.retired:
                known[:] = False
            self._dropped["record_of_an_earlier_run"] += int(known.size - np.count_nonzero(known))
            if known.any():
                yield part, columns[known], records[mine][known]

    def note_event(self, event: wire.Event, at_s: float, node: int) -> None:
        """Take over what an event says about a rank: that it left or died."""
        if event.kind not in (events.RANK_LEFT, events.RANK_DIED):
            return
        job = self._jobs.get(event.fields.get("job", ""))
        rank, pid = event.fields.get("rank", ""), event.fields.get("pid", "")
        if job is None or not (rank.isdecimal() and pid.isdecimal() and len(rank) < 8 and len(pid) < 12):
            return
        if job.identity(int(rank)) == (node, int(pid)):
            job.leave(int(rank), at_s=at_s, said_goodbye=event.kind == events.RANK_LEFT)

    def learn(self, now_s: float, ill: Collection[str]) -> None:
        """Let every job that is not ``ill`` learn from its steps, and drop those that ended long ago."""
        for name, job in list(self._jobs.items()):
            if job.ended:
                if now_s - self._ended_s.setdefault(name, now_s) > self._keep_ended_s:
                    job.retired = True
                    self._retired[name] = job.identities()
                    del self._jobs[name], self._ended_s[name]
                continue
            job.learn(now_s, healthy=name not in ill)
        while len(self._retired) > self._most:
            del self._retired[next(iter(self._retired))]
