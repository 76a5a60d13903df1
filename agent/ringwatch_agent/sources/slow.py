"""Readings that change slowly: taken by sources of their own, each with a period, sent by another row.

Such a source reads on its own thread, so that a drive or sensor that blocks takes down nothing else. What
it read last is shown with its age, and is gone when it is three periods old.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

# A part that misses so many of its periods says nothing any more.
PERIODS_KEPT: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a part read last: values by signal name without the table's prefix, and when (monotonic)."""

    values: Mapping[str, float]
    at_s: float


@runtime_checkable
class Part(Protocol):
    """A source whose values stand in the row of another source."""

    @property
    def age_column(self) -> str:
        """Name of the signal that holds the age of its values, without the table's prefix."""
        ...

    @property
    def period_s(self) -> float:
        """Seconds from one read to the next; the worker keeps to it."""
        ...

    @property
    def latest(self) -> Published | None:
        """What was read last, None before the first read and after a close."""
        ...


def values_of(part: Part, now_s: float | None = None) -> dict[str, float]:
    """Return what a part says now, with its age; nothing when that is too old to be shown as live."""
    latest = part.latest
    if latest is None:
        return {}
    age_s = max(0.0, (time.monotonic() if now_s is None else now_s) - latest.at_s)
    if age_s > PERIODS_KEPT * part.period_s:
        return {part.age_column: age_s}
    return {**latest.values, part.age_column: age_s}
