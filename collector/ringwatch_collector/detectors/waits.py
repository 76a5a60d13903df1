"""Who waits for whom, from durations alone: transfer, wait and lateness. Judges nobody.

In one collective all ranks leave together and arrive apart, so the shortest duration of the group is the
transfer, and what a rank spends beyond it is waiting: ``wait_r = d_r - min d``. The rank that the others
wait for is the one that waits least. No clock is compared. (Checked against the traces of
ByteDance-Seed/StragglerAnalysis, Apache-2.0: the least duration is the last arriver.)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.window import Array, Index, Window

# Below this skew the leaving of a collective is as uneven as the arriving, and the order means nothing.
LEAST_SKEW_S: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What C ranks waited in T steps, summed over the collectives of a step.

    ``late_s`` is how much longer the others of its groups typically waited than the rank did, its usual
    lateness taken off; negative for a rank that is early. ``told`` says for which ranks any collective
    was seen; ``skew_s`` is the largest wait of each step.
    """

    wait_s: Array  # (T, C)
    late_s: Array  # (T, C)
    told: Index  # (C,) how many collectives of a step told of the rank
    skew_s: Array  # (T,)


def waits_of(
    window: Window, rows: slice, only: Collection[int] | None = None, *, structural: bool = True
) -> Waits:
    """Return the waits in these rows of the window, in all collectives or ``only`` in some slots.

    ``structural`` takes the usual lateness of each member off; without it what was always so counts too.
    """
    at_rows, columns = window.rows[rows], window.columns
    shape = (at_rows.size, columns.size)
    wait_s, late_s = np.zeros(shape), np.zeros(shape)
    told = np.zeros(columns.size, np.int64)
    for batch in _batches(window, columns, only, least=2):
        duration = _durations(window, at_rows, batch.slots, columns[batch.members])
        wait = duration - duration.min(axis=2, keepdims=True)
        late = np.median(wait, axis=2, keepdims=True) - wait if batch.size > 2 else wait[..., ::-1] - wait
        if structural:
            late = late - _usual_lateness(window, batch.slots, columns[batch.members])
        at, starts = _by_member(batch.members)
        places = batch.members.ravel()[at[starts]]
        wait_s[:, places] += _summed(wait, at, starts)
        late_s[:, places] += _summed(late, at, starts)
        seen = np.isfinite(duration).any(axis=0).ravel()
        told[places] += np.add.reduceat(seen[at].astype(np.int64), starts)
    return Waits(wait_s=wait_s, late_s=late_s, told=told, skew_s=wait_s.max(axis=1, initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Slots whose groups are of one size, so that numpy takes them together."""

    slots: Index  # (G,)
    members: Index  # (G, n) positions in the columns that were asked for

    @property
    def size(self) -> int:
        return int(self.members.shape[1])


def _batches(window: Window, columns: Index, only: Collection[int] | None, least: int) -> list[_Batch]:
    """Return the slots by the number of their members among ``columns``."""
    found: dict[int, tuple[list[int], list[Index]]] = {}
    for number, slot in enumerate(window.job.slots):
        if only is None or number in only:
            members = np.flatnonzero(slot.members[columns])
            slots, groups = found.setdefault(members.size, ([], []))
            slots.append(number)
            groups.append(members)
    return [
        _Batch(slots=np.array(slots, np.int64), members=np.stack(groups))
        for size, (slots, groups) in found.items()
        if size >= least
    ]


def _by_member(members: Index) -> tuple[Index, Index]:
    """Return the order that puts equal members together, and where each begins in it."""
    order = np.argsort(members.ravel(), kind="stable")
    return order, np.flatnonzero(np.diff(members.ravel()[order], prepend=-1))


def _summed(values: Array, order: Index, starts: Index) -> Array:
    """Return (T, members) sums of (T, G, n) over the groups of each member; an absent value adds nothing."""
    flat = np.nan_to_num(values).reshape(values.shape[0], -1)
    return np.asarray(np.add.reduceat(flat[:, order], starts, axis=1))


def _durations(window: Window, rows: Index, slots: Index, columns: Index) -> Array:
    """Return (T, G, n) durations; only what is asked for is copied."""
    return np.asarray(
        window.job.collective_s[rows[:, None, None], slots[None, :, None], columns[None]], np.float64
    )


def _usual_lateness(window: Window, slots: Index, members: Index) -> Array:
    """Return (G, n) how late each member is by the structure of the job; 0 where not yet learned."""
    usual = np.asarray(window.job.reference_wait_s)
    if usual.ndim != 2 or slots.max(initial=-1) >= usual.shape[0]:
        return np.zeros(members.shape)
    wait = usual[slots[:, None], members].astype(np.float64)
    return np.where(
        np.isfinite(wait).all(axis=1, keepdims=True), np.median(wait, axis=1, keepdims=True) - wait, 0.0
    )


def transfers_of(window: Window, rows: slice, only: Collection[int] | None = None) -> Array:
    """Return (T, K) the least duration in the group of each collective; NaN unless all members told.

    The transfer is only known where the last one to arrive is among those seen.
    """
    ranks, at_rows = window.job.ranks.size, window.rows[rows]
    reporting = np.zeros(ranks, np.bool_)
    reporting[window.columns] = True
    transfers = np.full((at_rows.size, len(window.job.slots)), np.nan)
    for batch in _batches(window, np.arange(ranks), only, least=2):
        known = reporting[batch.members].all(axis=1)
        slots, members = batch.slots[known], batch.members[known]
        if slots.size:
            transfers[:, slots] = _durations(window, at_rows, slots, members).min(axis=2)
    return transfers
