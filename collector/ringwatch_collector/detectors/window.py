"""The newest finished steps of a job as detectors use them: whole rows, pauses apart. Judges nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.detectors.robust import flat_median, median
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.layout import Collective, StepFlag

Array = NDArray[np.float64]
Index = NDArray[np.int64]

WINDOW_S: Final = 60.0
# The longest window that a detector asks for.
LONGEST_S: Final = 180.0
# Steps of large models take ten seconds and more: a window holds at least so many of them.
WINDOW_STEPS: Final = 40
# Steps that are older than this tell nothing about now.
STALE_S: Final = 10.0
STALE_STEPS: Final = 6.0
# A rank that lacks more of the window than this does not report.
PRESENT_SHARE: Final = 0.5
# A pause: everybody does nothing together for this many steps' time, and not just a moment.
PAUSE_STEPS: Final = 1.0
PAUSE_LEAST_S: Final = 0.15
_REDUCTIONS: Final = frozenset({Collective.ALL_REDUCE, Collective.REDUCE_SCATTER, Collective.ALL_GATHER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """T steps of C reporting ranks, oldest first, none missing.

    ``rows`` and ``columns`` index the job's arrays. ``paused`` marks the steps, all within ``rows``, in
    which the whole job paused; the detectors of slowness leave them out by ``working``.
    """

    job: JobView
    rows: Index
    columns: Index
    ended_s: Array  # (T,) median over ranks
    step_s: Array  # (T, C)
    data_s: Array
    compute_s: Array
    pause_s: Array
    paused: NDArray[np.bool_]  # (T,)

    @property
    def typical_step_s(self) -> float:
        """Return the median step of the window."""
        return flat_median(self.step_s)

    def recent(self, seconds: float, least: int) -> slice:
        """Return the newest rows that span ``seconds``, at least ``least`` of them if there are."""
        first = int(np.searchsorted(self.ended_s, self.ended_s[-1] - seconds))
        return slice(max(0, min(first, self.rows.size - least)), self.rows.size)

    def cut(self, positions: Index) -> Window:
        """Return only the rows at these positions, ascending; nothing is copied when they are neighbours."""
        kept = _as_slice(positions)
        return Window(
            job=self.job,
            rows=self.rows[kept],
            columns=self.columns,
            ended_s=self.ended_s[kept],
            step_s=self.step_s[kept],
            data_s=self.data_s[kept],
            compute_s=self.compute_s[kept],
            pause_s=self.pause_s[kept],
            paused=self.paused[kept],
        )


def window_of(job: JobView, now_s: float, seconds: float = WINDOW_S) -> Window | None:
    """Return the newest whole steps, pauses included; None when there are too few or they are old.

    Half of the detectors need it: the longest that any of them asks for is made once a view, and
    shorter ones are cut from it.
    """
    key = ("window", seconds)
    known = job.memo.get(key)
    if not isinstance(known, _Cut) or known.now_s != now_s:
        known = _Cut(now_s=now_s, window=_window(job, now_s, seconds))
        job.memo[key] = known
    return known.window


@dataclass(slots=True, kw_only=True)
class _Cut:
    """A window as of a time, and what of it is left without pauses once somebody asked."""

    now_s: float
    window: Window | None
    working: Window | None = None
    asked: bool = False


def _window(job: JobView, now_s: float, seconds: float) -> Window | None:
    whole = _whole(job, max(seconds, LONGEST_S))
    if whole is None:
        return None
    typical_s = _typical_s(job, whole)
    if now_s - whole.ended_s[-1] > max(STALE_S, STALE_STEPS * typical_s):
        return None
    kept = np.flatnonzero(whole.ended_s >= now_s - max(seconds, WINDOW_STEPS * typical_s))
    # What is kept of the steps may be older than the view, whose states of ranks are those of now.
    return replace(whole.cut(kept), job=job) if kept.size >= 4 else None


def _typical_s(job: JobView, whole: Window) -> float:
    known = job.memo.get("typical")
    if not isinstance(known, float):
        known = job.memo["typical"] = flat_median(whole.step_s[-50:])
    return float(known)


def _whole(job: JobView, seconds: float) -> Window | None:
    """Return the whole steps among the rows that can lie in a window of so many seconds."""
    key = ("whole", seconds)
    if key not in job.memo:
        job.memo[key] = _whole_steps(job, seconds)
    found = job.memo[key]
    return found if isinstance(found, Window) else None


def _whole_steps(job: JobView, seconds: float) -> Window | None:
    rows = _newest(job, seconds)
    finite = np.isfinite(job.step_s[rows])
    filled = np.flatnonzero(finite.any(axis=1))
    if filled.size < 4:
        return None
    # A rank is known to report by the newest rows but the last two, which batches in flight may lack.
    columns = np.flatnonzero(finite[filled[-40:-2]].mean(axis=0) >= PRESENT_SHARE)
    if columns.size < 2:
        return None
    every = columns.size == finite.shape[1]
    whole = finite.all(axis=1) if every else finite[:, columns].all(axis=1)
    for field in (job.compute_s, job.ended_s):
        told = np.isfinite(field[rows] if every else field[rows][:, columns])
        whole &= told.all(axis=1)
    kept = rows.start + np.flatnonzero(whole)
    return _built(job, kept, columns) if kept.size >= 4 else None


def _newest(job: JobView, seconds: float) -> slice:
    """Return the rows that can lie in the window, so that no more of a long history is read."""
    count = job.step_s.shape[0]
    few = job.step_s[max(0, count - 24) :]
    told = few[np.isfinite(few)]
    typical_s = float(np.median(told)) if told.size else 0.0
    # Twice as many, for the pace may have been higher before.
    rows = count if typical_s <= 0 else 2 * max(WINDOW_STEPS, int(seconds / typical_s)) + 8
    return slice(max(0, count - rows), count)


def working(window: Window) -> Window | None:
    """Return the window without the steps in which the whole job paused; None when too little is left."""
    kept = np.flatnonzero(~window.paused)
    return window.cut(kept) if kept.size >= 4 else None


def working_windows(view: FleetView, seconds: float = WINDOW_S) -> list[Window]:
    """Return the working window of each job that has one."""
    windows = (_working_window(job, view.now_s, seconds) for job in view.jobs)
    return [window for window in windows if window is not None]


def _working_window(job: JobView, now_s: float, seconds: float) -> Window | None:
    window = window_of(job, now_s, seconds)
    cut = job.memo[("window", seconds)]
    if window is None or not isinstance(cut, _Cut):
        return None
    if not cut.asked:
        cut.working, cut.asked = working(window), True
    return cut.working


def _built(job: JobView, rows: Index, columns: Index) -> Window:
    every = columns.size == job.ranks.size
    place = _as_slice(rows)
    at = place if every else np.ix_(rows, columns)
    fields = (job.step_s, job.data_s, job.compute_s, job.pause_s)
    step_s, data_s, compute_s, pause_s = (np.asarray(field[at], np.float64) for field in fields)
    tagged = (np.asarray(job.flags)[at] & StepFlag.TAGGED_PAUSE).any(axis=1)
    return Window(
        job=job,
        rows=rows,
        columns=columns,
        ended_s=median(job.ended_s[at], 1),
        step_s=step_s,
        data_s=data_s,
        compute_s=compute_s,
        pause_s=pause_s,
        paused=tagged | _paused(step_s, data_s, compute_s, pause_s),
    )


def _paused(step_s: Array, data_s: Array, compute_s: Array, pause_s: Array) -> NDArray[np.bool_]:
    """Mark steps in which every rank did something else than usual for about the same long time.

    The least excess over all ranks decides: one rank that went on working means that it was no pause.
    """
    own = np.nan_to_num(data_s) + compute_s + np.nan_to_num(pause_s)
    least_excess = (own - median(own, 0)).min(axis=1)
    marked: NDArray[np.bool_] = least_excess > max(PAUSE_LEAST_S, PAUSE_STEPS * flat_median(step_s))
    return marked


def _as_slice(positions: Index) -> slice | Index:
    """Return neighbouring positions as a slice, others as they are."""
    if positions.size and int(positions[-1]) - int(positions[0]) == positions.size - 1:
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def peer_groups(job: JobView, columns: Index, *, least: int = 3) -> list[Index]:
    """Return groups of positions in ``columns`` whose ranks do the same work, ``least`` of them at least.

    Ranks that reduce the most bytes together are peers: these share a model part, so that in a
    pipeline they are the ranks of one stage, while groups across stages exchange norms and scalars.
    Without any such group the whole job is one; where only some groups are known, ranks without one
    have no peers, for they may be of several stages.
    """
    label = np.full(job.ranks.size, -1, np.int64)
    most = np.zeros(job.ranks.size)
    for at, slot in enumerate(job.slots):
        if slot.kind in _REDUCTIONS and np.count_nonzero(slot.members) >= least:
            heavier = slot.members & (most < slot.bytes + 1.0)
            label[heavier], most[heavier] = at, slot.bytes + 1.0
    of = label[columns]
    if (label < 0).all():
        return [np.arange(columns.size)]
    groups = [np.flatnonzero(of == one) for one in np.unique(of[of >= 0])]
    return [group for group in groups if group.size >= 2]
