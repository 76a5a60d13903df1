"""How far a node's clock is from the collector's. It estimates and corrects nothing itself."""

from __future__ import annotations

from collections import deque


class NodeClock:
    """Estimates one node's offset from when its batches come against what they say.

    ``receive - wall`` is the offset plus the latency, so that its minimum over a window bounds the
    offset (the one-way form of NTP's clock filter, RFC 5905 section 10). Only live batches count:
    those of a spool that is catching up come faster than they were made. A difference that latency
    can explain is taken for latency.
    """

    def __init__(self, *, latency_s: float = 1.0, ahead_s: float = 0.05, window: int = 60) -> None:
        self._latency_s = latency_s
        self._ahead_s = ahead_s
        self._samples: deque[float] = deque(maxlen=window)
        self._last: tuple[float, float, float] | None = None
        # Seconds to add to the node's times to get the collector's.
        self.correction_s = 0.0
        self.jumps = 0
        self._least = float("inf")

    @property
    def offset_s(self) -> float:
        """Return how far the node's clock is ahead."""
        return 0.0 - self.correction_s

    def take(self, received_s: float, wall_s: float, monotonic_s: float) -> None:
        """Learn from one batch."""
        last, self._last = self._last, (received_s, wall_s, monotonic_s)
        difference = received_s - wall_s
        if last is not None:
            came, passed = received_s - last[0], monotonic_s - last[2]
            if abs((wall_s - last[1]) - passed) > 0.5:
                self._samples.clear()
                self._least = float("inf")
                self.jumps += 1
            if passed <= 0 or not 0.5 <= came / passed <= 2.0:
                return
            self._note(difference)
        if difference < -self._ahead_s and difference < self.correction_s:
            # Nothing arrives before it was sent: no need to wait for more samples.
            self.correction_s = difference
        elif len(self._samples) >= 3:
            least = self._least
            self.correction_s = 0.0 if -self._ahead_s <= least <= self._latency_s else least

    def _note(self, difference: float) -> None:
        """Add a sample; the least of all is only looked for when the one that falls out was it."""
        samples = self._samples
        leaves = samples[0] if len(samples) == samples.maxlen else float("inf")
        samples.append(difference)
        if difference <= self._least:
            self._least = difference
        elif leaves <= self._least:
            self._least = min(samples)
