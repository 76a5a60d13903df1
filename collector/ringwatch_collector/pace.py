"""How fast something may go: a token bucket. It says how long to wait and never waits."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Lets ``burst`` pass at once and ``per_s`` a second after that."""

    def __init__(self, per_s: float, burst: int, monotonic_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._monotonic_s = monotonic_s
        self._seen_s = monotonic_s()

    def take(self) -> float:
        """Take one and return how many seconds to wait before using it."""
        now = self._monotonic_s()
        self._tokens = min(self._burst, self._tokens + (now - self._seen_s) * self._per_s)
        self._seen_s = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._per_s)

    def offer(self) -> bool:
        """Take one if it can be used at once; return whether it was taken."""
        now = self._monotonic_s()
        self._tokens = min(self._burst, self._tokens + (now - self._seen_s) * self._per_s)
        self._seen_s = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
