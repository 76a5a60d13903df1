"""The ``disks`` source: how busy the disks are, their errors, and NVMe controllers that are not live.

NVMe SMART data is not in sysfs: only the controller's state and, as a sensor, its temperature are. Asking
for the rest needs an admin command to the drive, which this agent does not send.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.conditions import Condition
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_agent.sources.kept_files import KeptFile, children, read_word
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.records import Severity

_SECTOR_BYTES: Final = 512
# What holds no data of its own, or is counted by the disks below it.
_NOT_DISKS: Final = ("loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    """Counters of one disk since boot; Documentation/admin-guide/iostats.rst of the kernel."""

    ios: int
    read_sectors: int
    written_sectors: int
    waited_ms: int
    busy_ms: int
    errors: int


class DisksSource(HostPart):
    """Reads /proc/diskstats and the states that sysfs has; touches no disk."""

    def __init__(
        self, *, proc: Path = Path("/proc"), sysfs: Path = Path("/sys"), period_s: float = 10.0
    ) -> None:
        super().__init__("disks", "disks_age_s", period_s)
        self._diskstats = KeptFile(proc / "diskstats")
        self._sysfs = sysfs
        self._before: tuple[float, dict[str, _Disk]] | None = None

    def open(self) -> None:
        """Raise SourceUnsupported on a machine without disks."""
        if not self._read():
            raise SourceUnsupported("no disk of its own")

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        self._diskstats.close()
        self._before = None

    def read(self) -> Reading:
        """Return what changed since the last look."""
        at_s, disks = time.monotonic(), self._read()
        before, self._before = self._before, (at_s, disks)
        values = _use(disks, {}, math.nan) if before is None else _use(disks, before[1], at_s - before[0])
        states = {path.name: read_word(path / "state") for path in children(self._sysfs / "class/nvme")}
        wrong = {name: state for name, state in states.items() if state and state != "live"}
        if states:
            values["nvme_not_live"] = float(len(wrong))
        return self.publish(values, holding=[_not_live(name, state) for name, state in wrong.items()])

    def _read(self) -> dict[str, _Disk]:
        disks: dict[str, _Disk] = {}
        for line in (self._diskstats.read() or b"").decode(errors="replace").splitlines():
            words = line.split()
            if len(words) < 14 or words[2].startswith(_NOT_DISKS) or not self._whole(words[2]):
                continue
            count = [int(word) if word.isdecimal() else 0 for word in words[3:]]
            disks[words[2]] = _Disk(
                ios=count[0] + count[4],
                read_sectors=count[2],
                written_sectors=count[6],
                waited_ms=count[3] + count[7],
                busy_ms=count[9],
                errors=_hexadecimal(read_word(self._sysfs / "block" / words[2] / "device/ioerr_cnt")),
            )
        return disks

    def _whole(self, name: str) -> bool:
        """Tell a disk from a partition; without sysfs every line counts."""
        blocks = self._sysfs / "block"
        return (blocks / name).exists() or not blocks.exists()


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16) if text else 0
    except ValueError:
        return 0


def _use(disks: Mapping[str, _Disk], before: Mapping[str, _Disk], interval_s: float) -> dict[str, float]:
    """Return the use of the disks over the interval; a disk that is new or began again is left out."""
    pairs = [(disks[name], before[name]) for name in disks.keys() & before.keys()]
    pairs = [(now, was) for now, was in pairs if now.ios >= was.ios and now.busy_ms >= was.busy_ms]
    names = ("disk_busy_percent", "disk_wait_ms", "disk_read_bytes_per_s", "disk_write_bytes_per_s")
    if not pairs or not interval_s > 0:
        return dict.fromkeys((*names, "disk_errors_per_s"), math.nan)
    waits = [(now.waited_ms - was.waited_ms) / (now.ios - was.ios) for now, was in pairs if now.ios > was.ios]
    return {
        "disk_busy_percent": min(
            100.0, max(now.busy_ms - was.busy_ms for now, was in pairs) / (10.0 * interval_s)
        ),
        "disk_wait_ms": max(waits, default=math.nan),
        "disk_read_bytes_per_s": sum(now.read_sectors - was.read_sectors for now, was in pairs)
        * (_SECTOR_BYTES / interval_s),
        "disk_write_bytes_per_s": sum(now.written_sectors - was.written_sectors for now, was in pairs)
        * (_SECTOR_BYTES / interval_s),
        "disk_errors_per_s": sum(max(0, now.errors - was.errors) for now, was in pairs) / interval_s,
    }


def _not_live(name: str, state: str) -> Condition:
    severity = Severity.CRITICAL if state in ("dead", "deleting (no IO)", "deleting") else Severity.WARNING
    return Condition(
        name="nvme_not_live",
        where=name,
        severity=severity,
        text=f"NVMe controller {name} is {state}, not live",
    )
