"""Says what is wrong with the spool: not on disk, or full and losing. Writes and drops nothing itself."""

from __future__ import annotations

from typing import Final

from ringwatch_agent.persister import Persister
from ringwatch_agent.spool import Spool

# How long a loss is shown after the last one: beats come once a second, a full spool thins one at a time.
_SHOWN_S: Final = 10.0


class SpoolHealth:
    """The state of one spool, as a source would have it."""

    def __init__(self, spool: Spool, persister: Persister) -> None:
        self._spool = spool
        self._persister = persister
        self._lost = _lost(spool)
        self._losing_until_s = 0.0

    def trouble(self, now_s: float) -> str:
        """Return a sentence while something is wrong, else nothing; called once a beat."""
        lost = _lost(self._spool)
        if lost > self._lost:
            self._lost, self._losing_until_s = lost, now_s + _SHOWN_S
        losing = (
            "the spool is full: the oldest samples are being dropped" if now_s < self._losing_until_s else ""
        )
        return "; ".join(filter(None, (self._persister.trouble, losing)))


def _lost(spool: Spool) -> int:
    return sum(count for kind, count in spool.dropped_total.items() if kind.startswith("spool."))
