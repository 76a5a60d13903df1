"""Which rules look at this look: all of them while they are cheap, the costly ones less often. Runs none.

Hard faults are cheap to see, whatever the size of the fleet, and are looked for at every look. What
compares steps over a minute costs in proportion to the ranks; a large fleet asks it every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# A rule below this is asked at every look.
CHEAP_S: Final = 0.004
# Costly rules together may take this share of one core ...
SHARE: Final = 0.10
# ... but are never further apart than this: two or three steps of a large job, while a slow rank has
# to be named within seven and a hang within 15 s.
LONGEST_S: Final = 2.5
# How much a new cost counts against those before.
_NEWEST: Final = 0.3


class Cadence:
    """Knows what each rule costs, in CPU seconds, and when the costly ones were asked last."""

    def __init__(self, *, share: float = SHARE, longest_s: float = LONGEST_S) -> None:
        self._share = share
        self._longest_s = longest_s
        self._cost_s: dict[str, float] = {}
        self._asked_s = float("-inf")

    @property
    def period_s(self) -> float:
        """Return how far apart two looks of the costly rules are, 0 while there are none."""
        return min(self._longest_s, sum(self._costly().values()) / self._share)

    def _costly(self) -> dict[str, float]:
        return {name: cost_s for name, cost_s in self._cost_s.items() if cost_s > CHEAP_S}

    def due(self, names: Iterable[str], now_s: float) -> set[str]:
        """Return which of the rules are asked now; costly ones are asked together, for they share work."""
        costly = self._costly()
        if now_s - self._asked_s >= self.period_s:
            self._asked_s = now_s
            return set(names)
        return {name for name in names if name not in costly}

    def note(self, name: str, cost_s: float) -> None:
        """Learn what one look of a rule cost."""
        before = self._cost_s.get(name, cost_s)
        self._cost_s[name] = before + _NEWEST * (cost_s - before)
