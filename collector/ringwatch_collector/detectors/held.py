"""A process that its host keeps from running: by a CPU quota or by stop signals. Judges no job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.view import Floats, JobView

FRESH_S: Final = 5.0
# Held for a tenth of the time, and three times as much as any other rank of the job.
HELD_SHARE: Final = 0.10
APART: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The rank that is held, how, and how large the next share is."""

    column: int
    how: str  # throttled or stopped
    share: float
    next_share: float


def held_rank(job: JobView, now_s: float, least_share: float = HELD_SHARE) -> Held | None:
    """Return the one rank that is held and no other; None when none is or several are."""
    throttled, stopped = held_shares(job, now_s)
    share = np.maximum(throttled, stopped)
    if share.size == 0:
        return None
    column = int(np.argmax(share))
    next_share = float(np.delete(share, column).max(initial=0.0))
    if share[column] < least_share or next_share * APART > share[column]:
        return None
    how = "throttled" if throttled[column] >= stopped[column] else "stopped"
    return Held(column=column, how=how, share=float(share[column]), next_share=next_share)


def held_shares(job: JobView, now_s: float) -> tuple[Floats, Floats]:
    """Return (R,) throttled and stopped shares, 0 where nothing fresh is known."""
    states = job.states
    fresh = now_s - states.received_s <= FRESH_S
    throttled = np.where(fresh, np.nan_to_num(states.throttled_share), np.float32(0.0))
    stopped = np.where(fresh, np.nan_to_num(states.stopped_share), np.float32(0.0))
    return throttled, stopped
