"""CPU time of the whole machine out of /proc/stat, as shares of the interval between two looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.sources.kept_files import KeptFile

# user nice system idle iowait irq softirq steal; guest time is part of user time already. proc(5)
_IDLE: Final = slice(3, 5)
_STEAL: Final = 7
_COUNTED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    total: int
    idle: int
    steal: int


class CpuTimes:
    """Remembers the times of the last look."""

    def __init__(self, stat: KeptFile) -> None:
        self._stat = stat
        self._before: _Times | None = None

    def shares(self) -> dict[str, float]:
        """Return CPU use and steal in percent since the last call, and processes that wait for I/O now."""
        data = self._stat.read() or b""
        before, now = self._before, _times(data)
        self._before = now
        values = {"processes_blocked": _number_after(data, b"\nprocs_blocked ")}
        if before is None or now is None or now.total <= before.total:
            return values
        total = now.total - before.total
        busy = total - (now.idle - before.idle)
        steal = now.steal - before.steal
        return values | {
            "cpu_percent": min(100.0, max(0.0, 100.0 * busy / total)),
            "cpu_steal_percent": min(100.0, max(0.0, 100.0 * steal / total)),
        }

    def close(self) -> None:
        """Let go of the file."""
        self._stat.close()


def _times(data: bytes) -> _Times | None:
    name, *words = data[: data.find(b"\n")].split()[: _COUNTED + 1] or [b""]
    if name != b"cpu" or len(words) < _COUNTED or not all(word.isdigit() for word in words):
        return None
    ticks = [int(word) for word in words]
    return _Times(total=sum(ticks), idle=sum(ticks[_IDLE]), steal=ticks[_STEAL])


def _number_after(data: bytes, key: bytes) -> float:
    """Return the number of one line, without cutting up the hundreds of others."""
    at = data.rfind(key)
    word = data[at + len(key) :].split(None, 1)[:1] if at >= 0 else []
    return float(word[0]) if word and word[0].isdigit() else math.nan
