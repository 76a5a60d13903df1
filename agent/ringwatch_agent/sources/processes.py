"""The ``processes`` source: hung and unreaped processes, system limits, and daemons that GPUs need."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.conditions import Condition
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_agent.sources.kept_files import children, read_number, read_word
from ringwatch_proto.errors import SourceError
from ringwatch_proto.records import Severity

# The kernel keeps 15 bytes of a name.
_FABRIC_MANAGER: Final = b"nv-fabricmanage"
_PERSISTENCE: Final = b"nvidia-persiste"
_TIME_DAEMONS: Final = frozenset({b"chronyd", b"ntpd", b"systemd-timesyn", b"ptp4l", b"phc2sys", b"openntpd"})
_STAT_BYTES: Final = 128
# Daemons may take so long after a boot.
_BOOT_S: Final = 300.0


class ProcessesSource(HostPart):
    """Looks through /proc once a minute: on a large node that is thousands of files."""

    def __init__(self, *, proc: Path = Path("/proc"), period_s: float = 60.0) -> None:
        super().__init__("processes", "processes_age_s", period_s)
        self._proc = proc

    def read(self) -> Reading:
        """Return the counts, and the fabric manager's absence as a condition."""
        states, names = self._look_through()
        values = {
            "processes": float(sum(states.values())),
            "processes_uninterruptible": float(states[b"D"]),
            "processes_zombie": float(states[b"Z"]),
            **self._limits(),
        }
        switches = len(children(self._proc / "driver/nvidia-nvswitch/devices"))
        if switches:
            values["nvswitches"] = float(switches)
        down = False
        if self._sees_the_host():
            values |= self._daemons(names, switches)
            down = values.get("fabric_manager_up") == 0
        return self.publish(values, holding=[_no_fabric_manager(switches)] if down else [])

    def _look_through(self) -> tuple[Counter[bytes], set[bytes]]:
        states: Counter[bytes] = Counter()
        names: set[bytes] = set()
        try:
            folder = os.open(self._proc, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"{self._proc}: {error.strerror}") from error
        try:
            for pid in filter(str.isdecimal, os.listdir(folder)):
                stat = _head(f"{pid}/stat", folder)
                end = stat.rfind(b")")
                if end > 0:
                    names.add(stat[stat.find(b"(") + 1 : end])
                    states[stat[end + 2 : end + 3]] += 1
        finally:
            os.close(folder)
        return states, names

    def _sees_the_host(self) -> bool:
        """Tell whether this procfs shows the host's processes: the kernel's own threads are among them."""
        return read_word(self._proc / "2/comm") == "kthreadd"

    def _daemons(self, names: set[bytes], switches: int) -> dict[str, float]:
        found = {"time_daemon_up": float(not _TIME_DAEMONS.isdisjoint(names))}
        if switches:
            found["fabric_manager_up"] = float(_FABRIC_MANAGER in names)
        if (self._proc / "driver/nvidia/version").exists():
            found["persistence_daemon_up"] = float(_PERSISTENCE in names)
        return found

    def _limits(self) -> dict[str, float]:
        system = self._proc / "sys"
        files = read_word(system / "fs/file-nr").split()
        threads = read_word(self._proc / "loadavg").partition("/")[2].split()
        most_pids = read_number(system / "kernel/pid_max")
        tracked = read_number(system / "net/netfilter/nf_conntrack_count")
        most_tracked = read_number(system / "net/netfilter/nf_conntrack_max")
        shares = {
            "file_descriptors_used_percent": _percent(_int(files[0]), _int(files[2]))
            if len(files) > 2
            else None,
            "pids_used_percent": _percent(_int(threads[0]), most_pids) if threads else None,
            "conntrack_used_percent": _percent(tracked, most_tracked),
        }
        return {name: share for name, share in shares.items() if share is not None}


def _head(path: str, folder: int) -> bytes:
    """Return the begin of a small file; a process that just ended has none."""
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            return os.read(file, _STAT_BYTES)
        finally:
            os.close(file)
    return b""


def _int(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _percent(used: int | None, limit: int | None) -> float | None:
    return None if used is None or not limit else min(100.0, 100.0 * used / limit)


def _no_fabric_manager(switches: int) -> Condition:
    young = time.clock_gettime(time.CLOCK_BOOTTIME) < _BOOT_S
    return Condition(
        name="fabric_manager_down",
        where="nv-fabricmanager",
        severity=Severity.INFO if young else Severity.CRITICAL,
        text=f"the fabric manager does not run on a node with {switches} NVSwitches: no job can use NVLink",
    )
