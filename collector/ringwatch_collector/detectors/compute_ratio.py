"""Each rank's own work against that of its peers. Accuses nobody."""

from __future__ import annotations

import numpy as np

from ringwatch_collector.detectors.robust import Array, block_means
from ringwatch_collector.detectors.window import Index, Window, peer_groups


def log_ratio(window: Window, starts: Index) -> tuple[Array, Index]:
    """Return (B, n) log of own work over the peers' median, and the n positions that have peers.

    What was so while healthy is taken off. With that reference ranks of any stages are comparable, so
    that those whose groups are not known are compared with all.
    """
    work = np.log(np.maximum(block_means(_adjusted(window), starts), 1e-6))
    usual = np.log(np.maximum(np.asarray(window.job.reference_compute_s, np.float64)[window.columns], 1e-6))
    residual = np.full(work.shape, np.nan)
    groups = peer_groups(window.job, window.columns)
    learned = bool(np.isfinite(usual).all())
    if learned:
        work = work - usual
        alone = np.setdiff1d(np.arange(usual.size), np.concatenate(groups) if groups else [])
        residual[:, alone] = work[:, alone] - np.median(work, axis=1, keepdims=True)
    for group in groups:
        residual[:, group] = work[:, group] - np.median(work[:, group], axis=1, keepdims=True)
    compared = np.flatnonzero(np.isfinite(residual).all(axis=0))
    return residual[:, compared], compared


def _adjusted(window: Window) -> Array:
    """Return own work, divided by what the job said it had to do, where it said so."""
    for said in (window.job.work, window.job.tokens):
        if said is not None:
            amount = np.asarray(said, np.float64)[np.ix_(window.rows, window.columns)]
            if np.isfinite(amount).all() and (amount > 0).all():
                return np.asarray(window.compute_s / (amount / amount.mean()))
    return window.compute_s
