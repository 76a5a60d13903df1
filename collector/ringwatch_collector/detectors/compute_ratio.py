"""Each rank's own work against that of its peers. Accuses nobody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringwatch_collector.detectors.robust import Array, block_means, median
from ringwatch_collector.detectors.window import Index, Window, peer_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """(B, n) logs of own work over the peers' median, for the n positions that have peers.

    ``change`` is against the healthy reference too; ``level`` is not, so that it shows who was slow from the
    first step on. Without a reference both are the same.
    """

    change: Array
    level: Array
    compared: Index
    learned: bool


def ratios_of(window: Window, starts: Index) -> Ratios:
    """Compare each rank with its peers.

    With the reference ranks of any stages are comparable, so that those whose groups are not known are
    compared with all. Levels are only comparable among peers.
    """
    key = (int(window.rows[0]), int(window.rows[-1]), window.rows.size, starts.tobytes())
    known = window.job.memo.get("ratios")
    if not isinstance(known, tuple) or known[0] != key:
        known = window.job.memo["ratios"] = (key, _ratios(window, starts))
    ratios: Ratios = known[1]
    return ratios


def _ratios(window: Window, starts: Index) -> Ratios:
    work = np.log(np.maximum(block_means(_adjusted(window), starts), 1e-6))
    usual = np.log(np.maximum(np.asarray(window.job.reference_compute_s, np.float64)[window.columns], 1e-6))
    groups = peer_groups(window.job, window.columns)
    level = _within(work, groups)
    learned = bool(np.isfinite(usual).all())
    change = level
    if learned:
        adjusted = work - usual
        change = _within(adjusted, groups)
        alone = np.flatnonzero(np.isnan(change[0]))
        change[:, alone] = adjusted[:, alone] - median(adjusted, 1)[:, None]
        level = np.where(np.isfinite(level), level, change)
    compared = np.flatnonzero(np.isfinite(change).all(axis=0))
    return Ratios(change=change[:, compared], level=level[:, compared], compared=compared, learned=learned)


def _within(work: Array, groups: list[Index]) -> Array:
    residual = np.full(work.shape, np.nan)
    for group in groups:
        residual[:, group] = work[:, group] - median(work[:, group], 1)[:, None]
    return residual


def _adjusted(window: Window) -> Array:
    """Return own work, divided by what the job said it had to do, where it said so."""
    for said in (window.job.work, window.job.tokens):
        if said is not None:
            amount = np.asarray(said[np.ix_(window.rows, window.columns)], np.float64)
            if np.isfinite(amount).all() and (amount > 0).all():
                return np.asarray(window.compute_s / (amount / amount.mean()))
    return window.compute_s
