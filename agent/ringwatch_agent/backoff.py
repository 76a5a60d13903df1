"""How long to wait before trying again: exponential, bounded, with full jitter. Sleeps never."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

# A refusal cannot send an agent away for longer than this.
MAX_RETRY_AFTER_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Full jitter: uniform from 0 to ``base_s * 2**failures``, at most ``cap_s``.

    Full jitter spreads a fleet that lost its collector at one instant better than a fixed part plus
    noise does (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    base_s: float = 0.25
    cap_s: float = 8.0

    def wait_s(self, failures: int, retry_after_s: float, dice: random.Random) -> float:
        """Return the wait after ``failures`` in a row; never earlier than the collector asked."""
        asked_s = min(max(retry_after_s, 0.0), MAX_RETRY_AFTER_S)
        return asked_s + dice.uniform(0.0, min(self.cap_s, self.base_s * 2.0 ** min(failures, 16)))
