"""Public traces of real jobs (ByteDance-Seed/StragglerAnalysis, Apache-2.0), replayed step by step.

A step's operations keep their order: each begins after what it began after in the trace, and a group leaves
at max(start) + transfer, so that work made longer moves everything that waits for it. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

COMPUTE: Final = frozenset(
    {"forward-compute", "backward-compute", "optimizer", "optimizer-clip-main-grad", "gc"}
)
REDUCE, GATHER, EMBEDDING = "grads-reduce-scatter", "params-all-gather", "embedding-grads-all-reduce"
_COLLECTIVES: Final = (GATHER, EMBEDDING, REDUCE)
_SENDS: Final = {"forward-send": ("forward-recv", 1), "backward-send": ("backward-recv", -1)}
_EPS_S: Final = 2e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """The operations of one step in order of their begin; ``after`` holds what each waits for."""

    worker: Index
    compute: NDArray[np.bool_]
    start_s: Array
    end_s: Array
    group: Index  # operations of one group leave together; -1 for work
    role: NDArray[np.object_]
    after: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One job: workers are (stage, data-parallel rank), stage-major."""

    name: str
    data: int
    stages: int
    steps: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One step as the hook would tell it: own work, and (start, duration) of collectives by role."""

    length_s: float
    work_s: Array
    starts_s: dict[str, Array]
    lasts_s: dict[str, Array]


def load(folder: Path, name: str) -> Trace:
    """Read a trace; raise FileNotFoundError without it and ModuleNotFoundError without pyarrow."""
    from pyarrow import parquet

    table = parquet.read_table(folder / f"trace-{name}.parquet")
    columns = {key: table[key].to_numpy(zero_copy_only=False) for key in table.schema.names}
    data, stages = int(columns["dp_rank"].max()) + 1, int(columns["stage"].max()) + 1
    worker = columns["stage"].astype(np.int64) * data + columns["dp_rank"]
    steps = []
    for step in np.unique(columns["step"]):
        rows = np.flatnonzero(columns["step"] == step)
        rows = rows[np.argsort(columns["start_ts"][rows], kind="stable")]
        steps.append(_step(columns, rows, worker[rows], data, stages))
    return Trace(name=name, data=data, stages=stages, steps=tuple(steps))


def _step(columns: dict[str, Array], rows: Index, worker: Index, data: int, stages: int) -> TraceStep:
    role: NDArray[np.object_] = columns["optype"][rows].astype(object)
    start = columns["start_ts"][rows].astype(np.float64)
    end = start + columns["duration"][rows].astype(np.float64)
    compute = np.array([each in COMPUTE for each in role], np.bool_)
    keys: dict[tuple[object, ...], int] = {}
    group = np.full(rows.size, -1, np.int64)
    for at, (kind, who, part) in enumerate(
        zip(role, worker.tolist(), columns["seq_id"][rows].tolist(), strict=True)
    ):
        if not compute[at]:
            group[at] = keys.setdefault(_key(kind, who, part, data, stages), len(keys))
    after = _after(worker, compute, start, end)
    return TraceStep(
        worker=worker, compute=compute, start_s=start, end_s=end, group=group, role=role, after=after
    )


def _key(kind: str, worker: int, part: int, data: int, stages: int) -> tuple[object, ...]:
    """Return what two operations share when they leave together."""
    stage, replica = divmod(worker, data)
    if kind in (REDUCE, GATHER):
        return kind, stage, part
    if kind == EMBEDDING:
        return kind, replica, part
    for send, (receive, towards) in _SENDS.items():
        if kind == send:
            return receive, replica, (stage + towards) % stages, part
        if kind == receive:
            return receive, replica, stage, part
    return kind, worker, part


def _after(
    worker: Index, compute: NDArray[np.bool_], start: Array, end: Array
) -> tuple[tuple[int, ...], ...]:
    """Return for each operation those of its worker that it waits for: the last work, what came in since."""
    found: list[tuple[int, ...]] = []
    last: dict[int, int] = {}
    pending: dict[int, list[int]] = {}
    for at, who in enumerate(worker.tolist()):
        mine = [each for each in pending.get(who, []) if end[each] <= start[at] + _EPS_S]
        before = (last[who],) if who in last and end[last[who]] <= start[at] + _EPS_S else ()
        if compute[at]:
            found.append((*before, *mine))
            last[who], pending[who] = at, [each for each in pending.get(who, []) if each not in mine]
        else:
            found.append((*before, *mine[-1:]))
            pending.setdefault(who, []).append(at)
    return tuple(found)


def replay(step: TraceStep, workers: int, slow: Array | None = None) -> Replayed:
    """Time a step with the work of each worker ``slow`` times as long (None: as it was)."""
    count = step.start_s.size
    start, end = np.empty(count), np.empty(count)
    factor = np.ones(workers) if slow is None else slow
    members: dict[int, list[int]] = {}
    for at in np.flatnonzero(step.group >= 0).tolist():
        members.setdefault(int(step.group[at]), []).append(at)
    latest = {key: max(step.start_s[each] for each in group) for key, group in members.items()}

    def ended(at: int) -> float:
        if np.isnan(end[at]):
            group = members[int(step.group[at])]
            known = [each for each in group if not np.isnan(start[each])]
            transfer = max(0.0, step.end_s[at] - latest[int(step.group[at])])
            end[at] = max(start[each] for each in known) + transfer
        return float(end[at])

    start[:], end[:] = np.nan, np.nan
    for at in range(count):
        waits = step.after[at]
        if waits:
            gap = max(0.0, step.start_s[at] - max(step.end_s[each] for each in waits))
            start[at] = max(ended(each) for each in waits) + gap
        else:
            start[at] = step.start_s[at]
        if step.compute[at]:
            end[at] = start[at] + (step.end_s[at] - step.start_s[at]) * factor[step.worker[at]]
    for at in np.flatnonzero(np.isnan(end)).tolist():
        ended(at)
    return _told(step, workers, start, end)


def _told(step: TraceStep, workers: int, start: Array, end: Array) -> Replayed:
    work = np.zeros(workers)
    np.add.at(work, step.worker[step.compute], (end - start)[step.compute])
    starts = {role: np.full(workers, np.nan) for role in _COLLECTIVES}
    lasts = {role: np.full(workers, np.nan) for role in _COLLECTIVES}
    for role in _COLLECTIVES:
        rows = np.flatnonzero(step.role == role)
        # A stage may hold several parts of a model; the last of a role is the one all others wait behind.
        starts[role][step.worker[rows]] = start[rows]
        lasts[role][step.worker[rows]] = np.maximum(0.0, end[rows] - start[rows])
    return Replayed(length_s=float(end.max()), work_s=work, starts_s=starts, lasts_s=lasts)
