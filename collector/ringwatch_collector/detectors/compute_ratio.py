"""Each rank's own work against that of its peers. Accuses nobody."""

from __future__ import annotations

import numpy as np

from ringwatch_collector.detectors.robust import Array, block_means
from ringwatch_collector.detectors.window import Window, peer_groups


def log_ratio(window: Window, size: int) -> Array:
    """Return (B, C) log of own work over the peers' median, less what was so while healthy."""
    work = np.log(np.maximum(block_means(_adjusted(window), size), 1e-6))
    usual = np.log(np.maximum(np.asarray(window.job.reference_compute_s, np.float64)[window.columns], 1e-6))
    residual = np.zeros_like(work)
    for group in peer_groups(window.job, window.columns):
        residual[:, group] = work[:, group] - np.median(work[:, group], axis=1, keepdims=True)
        if np.isfinite(usual[group]).all():
            residual[:, group] -= usual[group] - np.median(usual[group])
    return residual


def _adjusted(window: Window) -> Array:
    """Return own work, divided by what the job said it had to do, where it said so."""
    for said in (window.job.work, window.job.tokens):
        if said is not None:
            amount = np.asarray(said, np.float64)[np.ix_(window.rows, window.columns)]
            if np.isfinite(amount).all() and (amount > 0).all():
                return np.asarray(window.compute_s / (amount / amount.mean()))
    return window.compute_s
