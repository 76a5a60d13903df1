"""All jobs: which ranks of which node belong to which run, and when a run is over. Blames nobody."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from time import thread_time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fleet.job import Job, JobPolicy, Records
from ringwatch_collector.fleet.rank_rows import RankRows
from ringwatch_collector.fleet.waves import Packed, Wave
from ringwatch_collector.view import Ints, Seconds
from ringwatch_proto import events, layout
from ringwatch_proto.v1 import telemetry_pb2 as wire

STEP_DTYPE: Final = np.dtype(list(layout.STEP_FIELDS))
COLLECTIVE_DTYPE: Final = np.dtype(list(layout.COLLECTIVE_FIELDS))
RANK_STATE_DTYPE: Final = np.dtype(list(layout.RANK_STATE_FIELDS))

_MOST_COMMUNICATORS: Final = 65536
# CPU time that learning may take at once.
_LEARNING_S: Final = 0.02
# Far beyond any job; what is more would overflow sums.
_MOST_STEP: Final = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeJobs:
    """The ranks that a node named in its Hello in force."""

    ranks: frozenset[tuple[Job, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The records of one job out of a wave."""

    job: Job
    columns: Ints
    records: Records
    nodes: Ints
    at_s: Seconds
    correction_s: Seconds
    live: bool


class Jobs:
    """The runs that are going on or ended within ``keep_ended_s``."""

    def __init__(
        self,
        policy: JobPolicy,
        dropped: Counter[str],
        *,
        keep_ended_s: float,
        most: int,
        budget_bytes: int = 1280 << 20,
    ) -> None:
        self._budget_bytes = budget_bytes
        self._turn = 0
        self._policy = policy
        self._dropped = dropped
        self._keep_ended_s = keep_ended_s
        self._most = most
        self._jobs: dict[str, Job] = {}
        self._by_number: dict[int, Job] = {}
        self._numbers = itertools.count()
        self._rows = RankRows()
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
        groups = 1 + max((item.index for item in hello.communicators), default=-1)
        first, first_group = self._rows.assign(node, rows, groups)
        arena, here, named = self._rows.ranks, {}, set()
        for info in hello.ranks:
            job = self._join(node, info, now_s)
            if job is None:
                continue
            here[info.job] = job
            named.add((job, info.rank))
            row = first + info.row
            arena["run"][row], arena["rank"][row], arena["node"][row] = job.number, info.rank, node
            job.mapped_layout = -1
        self._name_communicators(hello, here, first_group)
        for job, rank in old.ranks - named:
            if not job.retired:
                job.absent(rank)
        return NodeJobs(ranks=frozenset(named))

    def _join(self, node: int, info: wire.RankInfo, now_s: float) -> Job | None:
        who = (info.rank, node, info.pid)
        if who in self._retired.get(info.job, ()):
            self._dropped["rank_of_an_earlier_run"] += 1
            return None
        job = self._jobs.get(info.job)
        if job is not None and job.identity(info.rank) not in (None, (node, info.pid)):
            self._retire(job)
            job = None
        if job is None:
            if len(self._jobs) >= self._most and info.job not in self._jobs:
                self._dropped["job_beyond_limit"] += 1
                return None
            job = Job(info.job, next(self._numbers), now_s, self._policy, self._dropped)
            self._jobs[info.job] = self._by_number[job.number] = job
        job.join(info.rank, node, info.pid, info.gpu)
        job.user = info.user
        job.world_size = max(job.world_size, info.world_size)
        self._ended_s.pop(info.job, None)
        return job

    def _retire(self, job: Job) -> None:
        self._retired[job.name] = job.identities()
        job.retired = True
        del self._by_number[job.number]

    def _name_communicators(self, hello: wire.Hello, here: dict[str, Job], first: int) -> None:
        arena = self._rows.communicators
        for item in hello.communicators:
            job = here.get(item.job)
            if job is None:
                continue
            number = job.slots.communicator(item.name, tuple(item.ranks))
            if number < _MOST_COMMUNICATORS:
                arena["run"][first + item.index], arena["number"][first + item.index] = job.number, number

    def put(self, wave: Wave) -> None:
        """Write the packed records of one wave."""
        self._map_columns()
        for part in self._parts(wave, wave.rank_states, RANK_STATE_DTYPE):
            part.job.put_states(part.columns, part.records, part.at_s)
        for part in self._parts(wave, wave.steps, STEP_DTYPE):
            part.job.put_steps(part.columns, part.records, part.correction_s, live=part.live)
        for part in self._parts(wave, wave.collectives, COLLECTIVE_DTYPE):
            self._put_collectives(part)

    def _put_collectives(self, part: _Part) -> None:
        runs = np.full(part.columns.size, part.job.number, np.int64)
        groups = self._rows.communicator_of(part.nodes, part.records["communicator"], runs)
        known = groups >= 0
        if known.all():
            part.job.put_collectives(groups, part.columns, part.records, live=part.live)
            return
        self._dropped["communicator_not_named"] += int(known.size - np.count_nonzero(known))
        if known.any():
            part.job.put_collectives(groups[known], part.columns[known], part.records[known], live=part.live)

    def _map_columns(self) -> None:
        """Look up the column of every rank row of the jobs whose columns moved."""
        moved = [job.number for job in self._jobs.values() if job.layout_now() != job.mapped_layout]
        if not moved:
            return
        arena = self._rows.ranks
        rows = np.flatnonzero(np.isin(arena["run"], moved))
        for number, mine in _by_value(arena["run"][rows]):
            job, of_job = self._by_number[number], rows[mine]
            arena["column"][of_job] = job.columns_of(arena["rank"][of_job], arena["node"][of_job])
        for number in moved:
            job = self._by_number[number]
            job.mapped_layout = job.layout

    def _parts(self, wave: Wave, packed: Packed, dtype: np.dtype[np.void]) -> Iterator[_Part]:
        """Yield the records of each job, with the column of each; those of nobody are counted."""
        if not packed.data:
            return
        records = np.frombuffer(b"".join(packed.data), dtype)
        batches = packed.batch_of_each(dtype.itemsize)
        at_node, at_s, correction_s, live = wave.columns()
        nodes, at_s, correction_s, live = (
            at_node[batches],
            at_s[batches],
            correction_s[batches],
            live[batches],
        )
        rows = self._rows.rows_of(nodes, records["rank_row"])
        if "step" in (dtype.names or ()):
            rows = self._without_absurd_steps(rows, records["step"])
        arena = self._rows.ranks
        runs = np.where(rows >= 0, arena["run"][rows], -1)
        columns = np.where(rows >= 0, arena["column"][rows], -1)
        self._dropped["record_of_no_rank"] += int(np.count_nonzero(runs < 0))
        for value, mine in _by_value(2 * runs + live):
            if value < 0:
                continue
            job = self._by_number.get(value // 2)
            known = mine[columns[mine] >= 0] if job is not None else mine[:0]
            self._dropped["record_of_an_earlier_run"] += mine.size - known.size
            if job is not None and known.size:
                yield _Part(
                    job=job,
                    columns=columns[known],
                    records=records[known],
                    nodes=nodes[known],
                    at_s=at_s[known],
                    correction_s=correction_s[known],
                    live=bool(value % 2),
                )

    def _without_absurd_steps(self, rows: Ints, steps: NDArray[np.uint64]) -> Ints:
        absurd = steps > _MOST_STEP
        count = int(np.count_nonzero(absurd))
        self._dropped["absurd_step"] += count
        return np.where(absurd, -1, rows) if count else rows

    def name_of(self, node: int, rank_row: int) -> str:
        """Return the job of a node's rank row, empty when it has none."""
        row = int(self._rows.rows_of(np.array([node]), np.array([rank_row]))[0])
        job = self._by_number.get(int(self._rows.ranks["run"][row])) if row >= 0 else None
        return job.name if job is not None else ""

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
        """Let every job that is not ``ill`` learn from its steps, and drop those that ended long ago.

        What takes longer than ``_LEARNING_S`` goes on at the next call, where it stopped.
        """
        self._forget(now_s)
        self._shorten()
        began_s, names = thread_time(), list(self._jobs)
        for turn in range(len(names)):
            name = names[(self._turn + turn) % len(names)]
            self._jobs[name].learn(now_s, healthy=name not in ill)
            if thread_time() - began_s > _LEARNING_S:
                self._turn = (self._turn + turn + 1) % len(names)
                return

    def _forget(self, now_s: float) -> None:
        for name, job in list(self._jobs.items()):
            if job.ended and now_s - self._ended_s.setdefault(name, now_s) > self._keep_ended_s:
                self._retire(job)
                del self._jobs[name], self._ended_s[name]
        while len(self._retired) > self._most:
            del self._retired[next(iter(self._retired))]

    def _shorten(self) -> None:
        """Keep the steps of all jobs within their memory: who has most a rank keeps fewer."""
        sizes = {name: job.window.size_bytes for name, job in self._jobs.items()}
        while sum(sizes.values()) > self._budget_bytes:
            name = max(sizes, key=lambda each: sizes[each] / max(1, self._jobs[each].window.ranks))
            if not self._jobs[name].window.shorten():
                return
            sizes[name] = self._jobs[name].window.size_bytes


def _by_value(values: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each distinct value with the positions at which it stands, in their order."""
    if not values.size:
        return
    if values[0] == values[-1] and (values == values[0]).all():
        yield int(values[0]), np.arange(values.size)
        return
    order = np.argsort(values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=values[order[-1]] + 1)) + 1
    for first, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        yield int(values[order[first]]), order[first:end]
