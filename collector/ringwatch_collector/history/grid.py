"""The time grid of an answer: equal steps, each with the mean of what falls into it. Pure."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import Floats, Seconds

MOST_POINTS: Final = 2000
_USUAL_POINTS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Point k stands at ``first_s + k * step_s`` and covers the step that ends there."""

    first_s: float
    step_s: float
    points: int

    @property
    def last_s(self) -> float:
        """Return the time of the last point."""
        return self.first_s + (self.points - 1) * self.step_s

    def bins(self, at_s: Seconds) -> NDArray[np.int64]:
        """Return the point that each time belongs to; outside the grid it is -1."""
        found = np.ceil((at_s - self.first_s) / self.step_s).astype(np.int64)
        return np.where((found >= 0) & (found < self.points), found, -1)


def grid(from_s: float, to_s: float, asked_step_s: float, least_step_s: float) -> Grid:
    """Return the grid of a window: the step that was asked for, or coarser where it has to be."""
    window_s = to_s - from_s
    step_s = asked_step_s if asked_step_s > 0 else window_s / _USUAL_POINTS
    step_s = max(step_s, least_step_s, window_s / MOST_POINTS)
    points = max(1, math.floor(window_s / step_s + 1e-9))
    return Grid(first_s=to_s - (points - 1) * step_s, step_s=step_s, points=points)


def means(grid: Grid, at_s: Seconds, values: Floats) -> Floats:
    """(points, columns) mean of each column over the times of each step; NaN where there are none."""
    out = np.full((grid.points, values.shape[1]), np.nan, np.float32)
    bins = grid.bins(at_s)
    with warnings.catch_warnings():
        # A step without any reading gives NaN, which is what it should give.
        warnings.simplefilter("ignore", RuntimeWarning)
        for point in np.unique(bins[bins >= 0]).tolist():
            out[point] = np.nanmean(values[bins == point], axis=0)
    return out
