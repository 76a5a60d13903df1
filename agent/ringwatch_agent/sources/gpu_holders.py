"""Which processes hold a GPU's device file open, and which GPU that is. Asks no driver.

The driver keeps a file a GPU under /proc/driver/nvidia/gpus, with the UUID and the minor number of the
device file. A process that uses CUDA has the device file open; some have those of their neighbours open too.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.kept_files import children, read_word

_DEVICE: Final = re.compile(r"/dev/nvidia(\d{1,4})")
_FIELD: Final = re.compile(r"^(GPU UUID|Device Minor):\s*(\S+)", re.MULTILINE)
# A process that held no GPU is looked at again after a while that doubles: most never will. A pid that is
# given to another process is found out no later than that.
_LOOK_AGAIN_FIRST_S: Final = 10.0
_LOOK_AGAIN_MOST_S: Final = 80.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    next_s: float
    wait_s: float


def gpu_minors(proc: Path) -> dict[int, str]:
    """Return the UUID of each GPU by the minor number of its device file."""
    found: dict[int, str] = {}
    for gpu in children(proc / "driver/nvidia/gpus"):
        fields = dict(_FIELD.findall(read_word(gpu / "information")))
        minor, uuid = fields.get("Device Minor", ""), fields.get("GPU UUID", "")
        # Before the GPU was first opened the driver writes question marks for the UUID.
        if minor.isdecimal() and uuid.startswith("GPU-") and "?" not in uuid:
            found[int(minor)] = uuid
    return found


class GpuHolders:
    """Looks through the open files of the processes, most of which it need not look at again soon."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._looked: dict[int, _Looked] = {}

    def look(self, now_s: float | None = None) -> Mapping[int, frozenset[int]]:
        """Return the minor numbers that each process holds open, of the processes that hold any."""
        at_s = time.monotonic() if now_s is None else now_s
        pids = [int(path.name) for path in children(self._proc) if path.name.isdecimal()]
        held: dict[int, frozenset[int]] = {}
        looked: dict[int, _Looked] = {}
        for pid in pids:
            before = self._looked.get(pid)
            if before is not None and at_s < before.next_s:
                looked[pid] = before
                continue
            minors = self._minors(pid)
            if minors:
                held[pid] = minors
            else:
                wait_s = min(_LOOK_AGAIN_MOST_S, 2 * before.wait_s) if before else _LOOK_AGAIN_FIRST_S
                looked[pid] = _Looked(next_s=at_s + wait_s, wait_s=wait_s)
        self._looked = looked
        return held

    def _minors(self, pid: int) -> frozenset[int]:
        folder = self._proc / str(pid) / "fd"
        found = set()
        for file in children(folder):
            try:
                match = _DEVICE.fullmatch(os.readlink(file))
            except OSError:
                continue
            if match:
                found.add(int(match[1]))
        return frozenset(found)
