"""The collector's clock: Unix seconds that never jump. It reads time and decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Unix seconds built on the monotonic clock and drawn slowly towards the wall clock.

    A stepped wall clock must not make every node look silent, nor move evidence. Differences below
    ``step_s`` are slewed by at most ``slew`` seconds a second; a larger one is taken at once and
    counted in ``steps``, because a clock that is minutes off is worth less than a step.
    """

    def __init__(
        self,
        wall_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
        slew: float = 0.001,
        step_s: float = 60.0,
    ) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s
        self._slew = slew
        self._step_s = step_s
        self._seen_s = monotonic_s()
        self._base_s = wall_s() - self._seen_s
        self.steps = 0

    def now_s(self) -> float:
        """Return Unix seconds now."""
        monotonic = self._monotonic_s()
        error = self._wall_s() - (self._base_s + monotonic)
        if abs(error) > self._step_s:
            self._base_s += error
            self.steps += 1
        else:
            most = self._slew * (monotonic - self._seen_s)
            self._base_s += min(most, max(-most, error))
        self._seen_s = monotonic
        return self._base_s + monotonic

    def monotonic_s(self) -> float:
        """Return monotonic seconds, for intervals."""
        return self._monotonic_s()
