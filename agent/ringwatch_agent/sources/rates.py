"""Turns counters into rates: a wrap or reset gives no rate, never a negative one."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    count: int
    at_s: float


class Rates:
    """Remembers the last value of each counter by key."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, _Seen] = {}

    def per_s(self, key: Hashable, count: int | None, at_s: float) -> float:
        """Return the rate since the last call for ``key``; NaN for the first, and after a reset."""
        if count is None:
            self._seen.pop(key, None)
            return math.nan
        last = self._seen.get(key)
        self._seen[key] = _Seen(count=count, at_s=at_s)
        if last is None or at_s <= last.at_s or count < last.count:
            return math.nan
        return (count - last.count) / (at_s - last.at_s)

    def keep(self, keys: set[Hashable]) -> None:
        """Forget every counter but ``keys``: devices that are gone."""
        for key in self._seen.keys() - keys:
            del self._seen[key]

    def keep_if(self, wanted: Callable[[Hashable], bool]) -> None:
        """Forget every counter whose key is not ``wanted``."""
        self._seen = {key: seen for key, seen in self._seen.items() if wanted(key)}
