"""Reads the host: CPU, memory, pressure, load. Says nothing of devices or jobs."""

from __future__ import annotations

import math
import socket
import time
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from ringwatch_agent.sources.base import Device, Reading, TableReading
from ringwatch_agent.sources.rates import Rates
from ringwatch_proto.errors import SourceError
from ringwatch_proto.signals import Table, columns_of

_COLUMNS: Final = columns_of(Table.HOST)
_MIB: Final = 1 << 20


class HostSource:
    """One row for this machine. ``proc`` is where procfs is mounted."""

    name = "host"

    def __init__(self, *, node: str = "", proc: Path = Path("/proc")) -> None:
        self._device = Device(id=node or socket.gethostname(), name=node or socket.gethostname())
        self._proc = proc
        self._rates = Rates()
        self._cpu: tuple[float, float, float] | None = None

    def open(self) -> None:
        """Take the first CPU times, so that the first read has an interval."""
        self._cpu = _cpu_times()

    def read(self) -> Reading:
        """Return the host row now."""
        try:
            values = self._values()
        except (OSError, psutil.Error) as error:
            raise SourceError(f"host: {error}") from error
        row = array("f", [values.get(signal.name.removeprefix("host."), math.nan) for signal in _COLUMNS])
        table = TableReading(
            table=Table.HOST,
            devices=(self._device,),
            signals=tuple(signal.id for signal in _COLUMNS),
            values=row,
        )
        return Reading(tables=(table,))

    def close(self) -> None:
        """Hold nothing."""

    def _values(self) -> Mapping[str, float]:
        memory = psutil.virtual_memory()
        counters = _key_values(self._proc / "vmstat")
        blocked = _key_values(self._proc / "stat").get("procs_blocked")
        return {
            "reading_age_s": 0.0,
            **self._cpu_shares(),
            "load_1m": psutil.getloadavg()[0],
            "cpu_pressure_percent": pressure(self._proc / "pressure/cpu"),
            "memory_pressure_percent": pressure(self._proc / "pressure/memory"),
            "io_pressure_percent": pressure(self._proc / "pressure/io"),
            "memory_available_mib": memory.available / _MIB,
            "memory_total_mib": memory.total / _MIB,
            "swap_used_mib": psutil.swap_memory().used / _MIB,
            "cpus": float(psutil.cpu_count() or math.nan),
            "uptime_s": time.clock_gettime(time.CLOCK_BOOTTIME),
            "processes_blocked": math.nan if blocked is None else float(blocked),
            "oom_kills_per_s": self._rates.per_s("oom", counters.get("oom_kill"), time.monotonic()),
        }

    def _cpu_shares(self) -> Mapping[str, float]:
        before, now = self._cpu, _cpu_times()
        self._cpu = now
        if before is None or now[0] <= before[0]:
            return {}
        total, busy, steal = (after - was for after, was in zip(now, before, strict=True))
        return {
            "cpu_percent": min(100.0, max(0.0, 100.0 * busy / total)),
            "cpu_steal_percent": min(100.0, max(0.0, 100.0 * steal / total)),
        }


def _cpu_times() -> tuple[float, float, float]:
    """Return total, busy and stolen CPU seconds since boot."""
    times = psutil.cpu_times()
    # Guest time is part of user time already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total, total - times.idle - getattr(times, "iowait", 0.0), getattr(times, "steal", 0.0)


def pressure(path: Path) -> float:
    """Return the ``some avg10`` of a pressure file in percent; NaN where the kernel has none."""
    try:
        text = path.read_text()
    except OSError:
        return math.nan
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "some":
            pairs = dict(field.partition("=")[::2] for field in fields)
            return float(pairs.get("avg10", "nan"))
    return math.nan


def _key_values(path: Path) -> dict[str, int]:
    """Return the ``key number`` lines of a procfs file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
