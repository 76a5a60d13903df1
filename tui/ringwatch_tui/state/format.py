"""Numbers, ages and times in words. Absent is ``-``, stale is ``?``; neither is ever 0."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

ABSENT: Final = "-"
STALE: Final = "?"
# A value is not shown as current when it is older than this.
STALE_AFTER_S: Final = 30.0


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """Return the number with its unit, ``-`` when there is none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{value:,.{digits}f}{' ' + unit if unit else ''}"


def fresh(value: float, age_s: float, digits: int = 0, unit: str = "") -> str:
    """Return the number, or ``?`` when its reading is too old to be called current."""
    return STALE if age_s > STALE_AFTER_S else number(value, digits, unit)


def age(seconds: float | None) -> str:
    """Return an age in at most six cells: ``0.4 s``, ``12 s``, ``03:20``, ``2h05``, ``6d04h``."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
    if seconds < 86400:
        return f"{int(seconds) // 3600}h{int(seconds) % 3600 // 60:02d}"
    return f"{int(seconds) // 86400}d{int(seconds) % 86400 // 3600:02d}h"


def mmss(seconds: float) -> str:
    """Return minutes and seconds; hours too once there are some."""
    whole = max(0, int(seconds))
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60:02d}:{whole % 60:02d}"


def duration(seconds: float) -> str:
    """Return a step or wait time with a unit that keeps two or three digits: ``2.90 s``, ``31 ms``."""
    if not math.isfinite(seconds):
        return ABSENT
    if seconds == 0:
        return "0"
    if abs(seconds) >= 100:
        return f"{seconds:.0f} s"
    if abs(seconds) >= 1:
        return f"{seconds:.2f} s"
    if abs(seconds) >= 0.0995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds * 1000:.1f} ms"


def _moment(at_s: float | None) -> datetime | None:
    """Return the aware time, None for absent or beyond what a calendar holds."""
    if at_s is None or not math.isfinite(at_s):
        return None
    try:
        return datetime.fromtimestamp(at_s, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def clock(at_s: float | None) -> str:
    """Return the UTC time of day, ``-`` when there is none."""
    moment = _moment(at_s)
    return ABSENT if moment is None else f"{moment:%H:%M:%S}"


def iso(at_s: float | None) -> str | None:
    """Return the UTC time for machines, None when there is none."""
    moment = _moment(at_s)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def percent(share: float, digits: int = 0) -> str:
    """Return a share of 1 as a percentage; never rounds an incomplete share up to 100 %."""
    if not math.isfinite(share):
        return ABSENT
    scale = 10**digits
    value = math.floor(share * 100 * scale + 1e-9) / scale if share < 1 else share * 100
    return f"{value:.{digits}f} %"


def plural(count: int, one: str, many: str = "") -> str:
    """Return the count with its noun: ``1 node``, ``3 nodes``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def versus(value: float, base: float) -> str:
    """Return how far the value is from the base: ``+42 %``."""
    if not (math.isfinite(value) and math.isfinite(base)) or base <= 0:
        return ABSENT
    return f"{(value / base - 1) * 100:+.0f} %"
