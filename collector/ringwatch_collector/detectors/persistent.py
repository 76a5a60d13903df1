"""Which streams stay above their peers for long enough: CUSUM, effect and persistence in one test.

A single slow step says nothing: at 64 ranks a rule of "1.1 times the median in one step" accuses every
healthy rank sooner or later. Three gates have to hold together: the sum of clipped scores passes h,
the mean effect of the newest blocks passes what matters, and most of these blocks lie above zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.detectors.robust import (
    Array,
    block_starts,
    cusum,
    cusum_threshold,
    mean_noise,
    sigma_of,
)

# Steps shorter than this are averaged into blocks of about this length: neighbouring steps on a busy
# host are alike, and bursts (a CPU quota works in periods of 100 ms) hit some steps and spare others.
BLOCK_S: Final = 0.6
LEAST_BLOCKS: Final = 6
RECENT_BLOCKS: Final = 6
PERSISTENT_SHARE: Final = 0.8
MOST_LEVEL: Final = 2.0
# The newest blocks have to stand out of the noise that means of so many blocks have: the noise of busy hosts
# drifts, and drifting noise averages out slowly. The more streams, the farther the farthest of them strays:
# under Student's t with 4 degrees of freedom by about 0.3 more for each factor of e (simulated).
EFFECT_SIGMAS: Final = 2.7
EFFECT_SIGMAS_SLOPE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """(B, C) blocks of residuals against the peers, with the noise that they are measured in."""

    residual: Array
    sigma: float
    mean_sigma: float  # that of the mean of the newest blocks
    ended_s: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One stream that stays high: where, since when, how much, and the numbers behind it."""

    position: int
    onset_s: float
    effect: float
    sigma: float
    total: float
    threshold: float
    share: float


def blocks_of(ended_s: Array) -> NDArray[np.int64]:
    """Return where the blocks of steps that ended at these times begin."""
    return block_starts(ended_s, BLOCK_S)


def alarms(scores: Scores, least_effect: float, streams: int) -> list[Alarm]:
    """Return the streams that stay above their peers by ``least_effect`` and by the noise."""
    residual = scores.residual
    if residual.shape[0] < LEAST_BLOCKS:
        return []
    threshold = cusum_threshold(streams)
    total, began = cusum(residual / scores.sigma)
    recent = residual[-RECENT_BLOCKS:]
    effect = recent.mean(axis=0)
    # One long stall among the newest blocks is no slow rank: what has to stand out does so without it.
    steady = (recent.sum(axis=0) - recent.max(axis=0)) / (RECENT_BLOCKS - 1)
    share = (recent > 0.5 * least_effect).mean(axis=0)
    apart = (EFFECT_SIGMAS + EFFECT_SIGMAS_SLOPE * float(np.log(max(1, streams)))) * scores.mean_sigma
    held = (total > threshold) & (effect > least_effect) & (steady > apart) & (share >= PERSISTENT_SHARE)
    return [
        Alarm(
            position=int(at),
            onset_s=_onset(scores, int(began[at])),
            effect=float(effect[at]),
            sigma=scores.sigma,
            total=float(total[at]),
            threshold=threshold,
            share=float(share[at]),
        )
        for at in np.flatnonzero(held)
    ]


def _onset(scores: Scores, began: int) -> float:
    """Return the end of the block before the sum began to rise."""
    return float(scores.ended_s[max(0, min(began, scores.ended_s.size) - 1)])


def scored(residual: Array, ended_s: Array, floor: float, level: Array | None = None) -> Scores:
    """Return scores whose noise is pooled over all streams and blocks: one step of a small group has none.

    ``level`` are the same residuals without the healthy reference taken off. A reference that was
    learned from
    steps of this very window makes noise that drifts look small: then theirs counts, up to twice as much.
    """
    highest = int(np.argmax(residual[-RECENT_BLOCKS:].mean(axis=0))) if residual.shape[1] > 3 else -1
    others = np.delete(residual, highest, axis=1) if highest >= 0 else residual
    # Of the others: in a group of four the accused would be a quarter of its own noise.
    mean_sigma = mean_noise(others, RECENT_BLOCKS, floor / RECENT_BLOCKS**0.5)
    if level is not None:
        apart = np.delete(level, highest, axis=1) if highest >= 0 else level
        mean_sigma = max(mean_sigma, min(MOST_LEVEL * mean_sigma, mean_noise(apart, RECENT_BLOCKS, 0.0)))
    # What independent noise of this size in the means would be a block: drift counts as noise, not as a
    # fault.
    sigma = max(sigma_of(others, floor), mean_sigma * RECENT_BLOCKS**0.5)
    return Scores(residual=residual, sigma=sigma, mean_sigma=mean_sigma, ended_s=ended_s)
