"""How fast a job goes against how fast it went while healthy. Blames nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.robust import median
from ringwatch_collector.detectors.window import Window

RECENT_S: Final = 5.0
RECENT_STEPS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Mean step of the newest seconds and the usual one; ``usual_s`` is NaN when it is not known."""

    now_s: float
    usual_s: float

    @property
    def ratio(self) -> float:
        """Return how many times as long a step takes; NaN when the usual step is not known."""
        return self.now_s / self.usual_s if self.usual_s > 0 else float("nan")

    def slower_than(self, ratio: float, *, unknown: bool) -> bool:
        """Tell whether the job is slower by that ratio; ``unknown`` is the answer without a reference."""
        return unknown if np.isnan(self.ratio) else bool(self.ratio >= ratio)


def pace_of(window: Window, seconds: float = RECENT_S, least: int = RECENT_STEPS) -> Pace:
    """Return the pace over the newest ``seconds`` of a working window."""
    recent = window.step_s[window.recent(seconds, least)]
    # Over ranks the median: all leave a step together. Over steps the mean: bursts count.
    return Pace(now_s=float(median(recent, 1).mean()), usual_s=float(window.job.reference_step_s))
