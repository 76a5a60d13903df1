"""Reads the host once a second: CPU, memory, pressure, load. Adds what its slower parts read."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Device, Reading
from ringwatch_agent.sources.columns import Columns
from ringwatch_agent.sources.host_cpu import CpuTimes
from ringwatch_agent.sources.kept_files import KeptFile, numbers
from ringwatch_agent.sources.rates import Rates
from ringwatch_agent.sources.slow import Part, values_of
from ringwatch_proto.signals import Table

_KIB_PER_MIB: Final = 1024
_RESOURCES: Final = ("cpu", "memory", "io")
_MEMORY: Final = (
    "MemTotal", "MemAvailable", "SwapTotal", "SwapFree", "HugePages_Total", "HugePages_Free",
)  # fmt: skip
# Signal -> counter of /proc/vmstat.
_EVENTS: Final[Mapping[str, str]] = {
    "oom_kills_per_s": "oom_kill",
    "swap_ins_per_s": "pswpin",
    "major_faults_per_s": "pgmajfault",
    "numa_misses_per_s": "numa_miss",
}


class HostSource:
    """One row for this machine. ``proc`` is where procfs is mounted; ``parts`` are read elsewhere."""

    name = "host"

    def __init__(self, *, node: str = "", proc: Path = Path("/proc"), parts: Sequence[Part] = ()) -> None:
        self._device = Device(id=node or socket.gethostname(), name=node or socket.gethostname())
        self._parts = parts
        self._columns = Columns(Table.HOST)
        self._rates = Rates()
        self._cpus = float(os.cpu_count() or math.nan)
        self._cpu = CpuTimes(KeptFile(proc / "stat"))
        self._meminfo = KeptFile(proc / "meminfo")
        self._vmstat = KeptFile(proc / "vmstat")
        self._loadavg = KeptFile(proc / "loadavg")
        self._pressure = {each: KeptFile(proc / "pressure" / each) for each in _RESOURCES}

    def open(self) -> None:
        """Take the first CPU times, so that the first read has an interval."""
        self._cpu.shares()
        self._cpus = float(os.cpu_count() or math.nan)

    def read(self) -> Reading:
        """Return the host row now."""
        now_s = time.monotonic()
        values = {
            "reading_age_s": 0.0,
            "uptime_s": time.clock_gettime(time.CLOCK_BOOTTIME),
            "cpus": self._cpus,
            **self._cpu.shares(),
            **self._load(),
            **self._stalls(),
            **_memory(numbers(self._meminfo.read(), _MEMORY)),
            **self._events(numbers(self._vmstat.read(), _EVENTS.values()), now_s),
        }
        for part in self._parts:
            values |= values_of(part, now_s)
        return Reading(tables=(self._columns.table((self._device,), (values,)),))

    def close(self) -> None:
        """Let go of the files."""
        for file in (self._meminfo, self._vmstat, self._loadavg, *self._pressure.values()):
            file.close()
        self._cpu.close()

    def _load(self) -> Mapping[str, float]:
        words = self._loadavg.word().split()
        return {"load_1m": float(words[0])} if words else {}

    def _stalls(self) -> Mapping[str, float]:
        told = {each: pressure(file.read()) for each, file in self._pressure.items()}
        return {
            "cpu_pressure_percent": told["cpu"].get("some", math.nan),
            "memory_pressure_percent": told["memory"].get("some", math.nan),
            "io_pressure_percent": told["io"].get("some", math.nan),
            "memory_stall_percent": told["memory"].get("full", math.nan),
            "io_stall_percent": told["io"].get("full", math.nan),
        }

    def _events(self, counters: Mapping[str, int], at_s: float) -> Mapping[str, float]:
        return {name: self._rates.per_s(name, counters.get(key), at_s) for name, key in _EVENTS.items()}


def _memory(meminfo: Mapping[str, int]) -> dict[str, float]:
    """Return the memory readings; the kernel's kB are KiB."""
    mib = {name: count / _KIB_PER_MIB for name, count in meminfo.items()}
    values = {
        "memory_available_mib": mib.get("MemAvailable", math.nan),
        "memory_total_mib": mib.get("MemTotal", math.nan),
        "swap_total_mib": mib.get("SwapTotal", math.nan),
        "swap_used_mib": mib.get("SwapTotal", math.nan) - mib.get("SwapFree", math.nan),
    }
    if "HugePages_Total" in meminfo:
        values["hugepages_total"] = float(meminfo["HugePages_Total"])
        values["hugepages_free"] = float(meminfo.get("HugePages_Free", math.nan))
    return values


def pressure(data: bytes | None) -> dict[str, float]:
    """Return ``avg10`` in percent by kind, ``some`` and ``full``, of a pressure file."""
    told: dict[str, float] = {}
    for line in (data or b"").decode(errors="replace").splitlines():
        kind, *fields = line.split()
        average = dict(field.partition("=")[::2] for field in fields).get("avg10", "")
        if average.replace(".", "", 1).isdecimal():
            told[kind] = float(average)
    return told
