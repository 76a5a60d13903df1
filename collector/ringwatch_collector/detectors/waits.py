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


def waits_of(window: Window, rows: slice, only: Collection[int] | None = None) -> Waits:
    """Return the waits in these rows of the window, in all collectives or ``only`` in some slots."""
    at_rows, columns = window.rows[rows], window.columns
    shape = (at_rows.size, columns.size)
    wait_s, late_s = np.zeros(shape), np.zeros(shape)
    told = np.zeros(columns.size, np.int64)
    for number, slot in enumerate(window.job.slots):
        members = np.flatnonzero(slot.members[columns])
        if members.size < 2 or (only is not None and number not in only):
            continue
        duration = _durations(window, at_rows, number, columns[members])
        wait = duration - duration.min(axis=1, keepdims=True)
        late = np.median(wait, axis=1, keepdims=True) - wait if members.size > 2 else wait[:, ::-1] - wait
        late = np.nan_to_num(late - _usual_lateness(window, number, columns[members]))
        wait_s[:, members] += np.nan_to_num(wait)
        late_s[:, members] += late
        told[members] += bool(np.isfinite(duration).any())
    return Waits(wait_s=wait_s, late_s=late_s, told=told, skew_s=wait_s.max(axis=1, initial=0.0))


def _durations(window: Window, rows: Index, number: int, columns: Index) -> Array:
    """Return (T, n) durations of one collective; only what is asked for is copied."""
    return np.asarray(window.job.collective_s[rows[:, None], number, columns[None, :]], np.float64)


def _usual_lateness(window: Window, number: int, members: Index) -> Array:
    """Return (n,) how late each member is by the structure of the job; 0 where not yet learned."""
    usual = np.asarray(window.job.reference_wait_s, np.float64)
    if usual.ndim != 2 or number >= usual.shape[0]:
        return np.zeros(members.size)
    wait = usual[number, members]
    if not np.isfinite(wait).all():
        return np.zeros(members.size)
    return np.asarray(np.median(wait) - wait)


def transfers_of(window: Window, rows: slice, only: Collection[int] | None = None) -> Array:
    """Return (T, K) the least duration in the group of each collective; NaN unless all members told.

    The transfer is only known where the last one to arrive is among those seen.
    """
    columns, at_rows = window.columns, window.rows[rows]
    reporting = np.zeros(window.job.ranks.size, np.bool_)
    reporting[columns] = True
    transfers = np.full((at_rows.size, len(window.job.slots)), np.nan)
    for number, slot in enumerate(window.job.slots):
        members = np.flatnonzero(slot.members) if only is None or number in only else columns[:0]
        if members.size >= 2 and reporting[members].all():
            transfers[:, number] = _durations(window, at_rows, number, members).min(axis=1)
    return transfers
