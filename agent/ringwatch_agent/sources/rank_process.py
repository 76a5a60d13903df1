"""Looks at one training process from outside: state, CPU, run queue, throttling, memory, its end.

Everything comes from /proc and the cgroup files, so it is there while the process is stopped or hung.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAN: Final = float("nan")
_STOPPED: Final = frozenset("Tt")
# Threads whose run queue is looked at; a rank on a GPU node may have hundreds, most of them asleep.
MAX_THREADS: Final = 64
_MIB: Final = 1024.0 * 1024.0
_S: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the process used over the interval since the last look; NaN when it cannot be known."""

    state: str
    cpu_cores: float
    throttled_share: float
    stopped_share: float
    runqueue_share: float
    rss_mib: float


GONE: Final = Usage(
    state="",
    cpu_cores=_NAN,
    throttled_share=_NAN,
    stopped_share=_NAN,
    runqueue_share=_NAN,
    rss_mib=_NAN,
)


class RankProcess:
    """One process, by pid and start time, so that a pid that was given away again is not mistaken."""

    def __init__(self, pid: int, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self.pid = pid
        self._folder = proc / str(pid)
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page_mib = os.sysconf("SC_PAGE_SIZE") / _MIB
        self._cgroups = cgroups
        self._cgroup_text = ""
        self._cpu_stats: list[Path] = []
        self._oom_file: Path | None = None
        self._find_cgroup()
        self._started = self._stat()[19:20]
        self._ooms = self.oom_kills()
        self._samples = self._stopped = 0
        self._before: tuple[float, float, dict[int, int], float] | None = None

    def sample(self) -> None:
        """Note whether the process is stopped at this moment."""
        state = self.state()
        if state:
            self._samples += 1
            self._stopped += state in _STOPPED

    def state(self) -> str:
        """Return the letter of its state, empty when it is gone."""
        fields = self._stat()
        return fields[0] if fields and fields[19:20] == self._started else ""

    def usage(self, now_s: float) -> Usage:
        """Return what it used since the last call; ``now_s`` is a monotonic time."""
        self.sample()
        fields = self._stat()
        if not fields or fields[19:20] != self._started:
            return GONE
        if self._find_cgroup():
            self._before = None
        cpu_s = (int(fields[11]) + int(fields[12])) / self._ticks
        now = (now_s, cpu_s, self._waits(), self._throttled_s())
        before, self._before = self._before, now
        samples, stopped = self._samples, self._stopped
        self._samples = self._stopped = 0
        return Usage(
            state=fields[0],
            stopped_share=stopped / samples if samples else _NAN,
            rss_mib=int(fields[21]) * self._page_mib,
            **_shares(before, now),
        )

    def death(self) -> dict[str, str]:
        """Return what is known of how it ended: ``signal`` or ``exit_code``, ``oom``.

        The kernel closes the descriptors of an ending process after it has noted the exit code and
        before the parent can reap it, so right after the end of file this is usually still there.
        Field 52 of /proc/PID/stat, proc(5); root only.
        """
        found: dict[str, str] = {}
        fields = self._stat()
        if len(fields) > 49 and fields[19:20] == self._started:
            code = int(fields[49])
            if code & 0x7F:
                found["signal"] = str(code & 0x7F)
            elif code:
                found["exit_code"] = str(code >> 8)
        if self.oom_kills() > self._ooms >= 0:
            found["oom"] = "1"
        return found

    def oom_kills(self) -> int:
        """Return how many processes of its cgroup the kernel killed for lack of memory, -1 if unknown."""
        if self._oom_file is None:
            return -1
        return _pairs(self._oom_file).get("oom_kill", -1)

    def _find_cgroup(self) -> bool:
        """Look up the files of its cgroup; True when it was moved to another one."""
        text = _read(self._folder / "cgroup")
        if not text or text == self._cgroup_text:
            return False
        self._cgroup_text = text
        self._cpu_stats, self._oom_file = _cgroup_files(text, self._cgroups)
        return True

    def _stat(self) -> list[str]:
        """Return the fields of /proc/PID/stat from the state on, empty when it is gone."""
        text = _read(self._folder / "stat")
        return text[text.rfind(")") + 2 :].split()

    def _waits(self) -> dict[int, int]:
        """Return for each thread how long it was runnable but waited for a CPU, in ns."""
        try:
            threads = sorted(int(name) for name in os.listdir(self._folder / "task"))
        except OSError:
            return {}
        waits: dict[int, int] = {}
        for thread in threads[:MAX_THREADS]:
            fields = _read(self._folder / "task" / str(thread) / "schedstat").split()
            if len(fields) >= 2:
                waits[thread] = int(fields[1])
        return waits

    def _throttled_s(self) -> float:
        """Return how long the cgroup, or one above it, was held back: whichever was the most."""
        times = [_throttled(_pairs(path)) for path in self._cpu_stats]
        return max((time for time in times if not math.isnan(time)), default=_NAN)


def _shares(
    before: tuple[float, float, dict[int, int], float] | None, now: tuple[float, float, dict[int, int], float]
) -> dict[str, float]:
    if before is None or now[0] <= before[0]:
        return {"cpu_cores": _NAN, "throttled_share": _NAN, "runqueue_share": _NAN}
    interval = now[0] - before[0]
    waited = [(wait - before[2][thread]) * _S for thread, wait in now[2].items() if thread in before[2]]
    throttled = (now[3] - before[3]) / interval
    return {
        "cpu_cores": (now[1] - before[1]) / interval,
        # Summed by the kernel over the CPUs on which the cgroup was held back.
        "throttled_share": min(1.0, throttled) if not math.isnan(throttled) else _NAN,
        "runqueue_share": min(1.0, max(waited) / interval) if waited else _NAN,
    }


def _throttled(pairs: dict[str, int]) -> float:
    if "throttled_usec" in pairs:
        return pairs["throttled_usec"] * 1e-6
    if "throttled_time" in pairs:
        return pairs["throttled_time"] * _S
    return _NAN


def _cgroup_files(text: str, cgroups: Path) -> tuple[list[Path], Path | None]:
    """Return the cpu.stat files from the process's cgroup upwards, and the file that counts OOM kills."""
    cpu: list[Path] = []
    oom: Path | None = None
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers == "":
            cpu += _upwards(cgroups, path, "cpu.stat") or _upwards(cgroups / "unified", path, "cpu.stat")
            oom = oom or _existing(cgroups / path.lstrip("/") / "memory.events")
        elif "cpu" in names:
            cpu += _upwards(cgroups / controllers, path, "cpu.stat") or _upwards(
                cgroups / "cpu", path, "cpu.stat"
            )
        elif "memory" in names:
            oom = _existing(cgroups / "memory" / path.lstrip("/") / "memory.oom_control") or oom
    return cpu, oom


def _upwards(root: Path, path: str, name: str) -> list[Path]:
    """Return ``name`` in the cgroup ``path`` and in those above it, where it exists."""
    folder = root / path.lstrip("/")
    if ".." in folder.parts:
        return []
    folders = [folder, *(parent for parent in folder.parents if parent == root or root in parent.parents)]
    return [each / name for each in folders if (each / name).exists()]


def _existing(path: Path) -> Path | None:
    return path if ".." not in path.parts and path.exists() else None


def _pairs(path: Path) -> dict[str, int]:
    pairs: dict[str, int] = {}
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdecimal():
            pairs[name] = int(value)
    return pairs


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
