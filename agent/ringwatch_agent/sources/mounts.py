"""The ``mounts`` source: whether file systems answer, are full or were made read-only.

A ``statvfs`` of a file system whose server is gone blocks for as long as it is gone. Each file system is
asked on a thread of its own; one that has not come back is not asked again until it has.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.conditions import Condition
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_agent.sources.mount_table import Mount, data_mounts
from ringwatch_proto.errors import SourceError
from ringwatch_proto.records import Severity

MAX_MOUNTS: Final = 64
# Below the sampler's own deadline, so that a file system that hangs is not a source that hangs.
WAIT_S: Final = 2.0
# Shorter than this is a slow server.
SILENT_S: Final = 5.0
CRITICAL_S: Final = 60.0
# What is said of the path and not of the file system: a mount that just went, or one that root may not enter.
_NO_FAULT: Final = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR})
Ask = Callable[[str], os.statvfs_result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a file system said, or the error that it gave."""

    took_s: float
    space: os.statvfs_result | None = None
    error: OSError | None = None


class Probe:
    """Asks one file system, on one thread at a time."""

    def __init__(self, path: str, ask: Ask) -> None:
        self.answer: Answer | None = None
        self._path = path
        self._ask = ask
        self._began_s = 0.0
        self._done = threading.Event()
        self._done.set()

    def begin(self) -> None:
        """Ask, unless the last question is still open."""
        if not self._done.is_set():
            return
        self._done.clear()
        self._began_s = time.monotonic()
        threading.Thread(target=self._run, name=f"mount-{self._path}", daemon=True).start()

    def wait(self, until_s: float) -> None:
        """Wait for the answer, no longer than to a monotonic time."""
        self._done.wait(max(0.0, until_s - time.monotonic()))

    def silent_s(self, now_s: float) -> float:
        """Return for how long the question has been open, 0 when it is answered."""
        return 0.0 if self._done.is_set() else max(0.0, now_s - self._began_s)

    def _run(self) -> None:
        try:
            space = self._ask(self._path)
            answer = Answer(took_s=time.monotonic() - self._began_s, space=space)
        except OSError as error:
            answer = Answer(took_s=time.monotonic() - self._began_s, error=error)
        self.answer = answer
        self._done.set()


class MountsSource(HostPart):
    """Asks each file system every ten seconds. ``ask`` is ``os.statvfs``; a test gives one that blocks."""

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        ask: Ask = os.statvfs,
        wait_s: float = WAIT_S,
        silent_s: float = SILENT_S,
        period_s: float = 10.0,
    ) -> None:
        super().__init__("mounts", "mounts_age_s", period_s)
        self._table = proc / "self/mountinfo"
        self._ask = ask
        self._wait_s = wait_s
        self._silent_s = silent_s
        # By path and device. A probe that has not come back outlives its mount and any close.
        self._probes: dict[tuple[str, str], Probe] = {}

    def read(self) -> Reading:
        """Ask every file system and wait for a moment; what does not come is told as not answering."""
        mounts = self._mounts()
        asked = [(mount, self._probe(mount)) for mount in mounts[:MAX_MOUNTS]]
        until_s = time.monotonic() + self._wait_s
        for _, probe in asked:
            probe.begin()
        for _, probe in asked:
            probe.wait(until_s)
        self._forget({(mount.path, mount.device) for mount, _ in asked})
        now_s = time.monotonic()
        holding = [each for mount, probe in asked for each in self._conditions(mount, probe, now_s)]
        reading = self.publish(self._values(asked, now_s), holding=holding, at_s=now_s)
        left_out = len(mounts) - len(asked)
        if left_out:
            reading.dropped["mounts.not_asked"] = left_out
        return reading

    def _mounts(self) -> list[Mount]:
        try:
            return data_mounts(self._table.read_text(errors="replace"))
        except OSError as error:
            raise SourceError(f"{self._table}: {error.strerror}") from error

    def _probe(self, mount: Mount) -> Probe:
        return self._probes.setdefault((mount.path, mount.device), Probe(mount.path, self._ask))

    def _forget(self, wanted: set[tuple[str, str]]) -> None:
        now_s = time.monotonic()
        for key in self._probes.keys() - wanted:
            if not self._probes[key].silent_s(now_s):
                del self._probes[key]

    def _values(self, asked: list[tuple[Mount, Probe]], now_s: float) -> dict[str, float]:
        silent = [probe.silent_s(now_s) for _, probe in asked]
        spaces = [(mount, space) for mount, probe in asked if (space := _space(probe, now_s)) is not None]
        took = [probe.answer.took_s for _, probe in asked if probe.answer and not probe.silent_s(now_s)]
        values = {
            "mounts_watched": float(len(asked)),
            "mounts_not_answering": float(sum(each >= self._silent_s for each in silent)),
            "file_systems_read_only": float(sum(mount.read_only for mount, _ in asked)),
            "file_systems_full": float(sum(_is_full(space) for _, space in spaces)),
        }
        if asked:
            values["mount_slowest_s"] = max([*silent, *took])
        local = [_used_percent(space) for mount, space in spaces if not mount.network]
        return values | ({"file_system_used_percent": max(local)} if local else {})

    def _conditions(self, mount: Mount, probe: Probe, now_s: float) -> Iterator[Condition]:
        silent_s = probe.silent_s(now_s)
        where = f"{mount.path} ({mount.kind} {mount.device})"[:120]
        if silent_s >= self._silent_s:
            yield Condition(
                name="mount_not_answering",
                where=mount.path[:120],
                severity=Severity.CRITICAL if silent_s >= CRITICAL_S else Severity.WARNING,
                since_s=time.time() - silent_s,
                text=f"{where} does not answer: what uses it hangs",
                fields={"type": mount.kind, "device": mount.device[:120]},
            )
        elif error := _error(probe):
            text = f"{where} fails: {error.strerror}"
            yield Condition(name="file_system_failed", where=mount.path[:120], text=text)
        if mount.read_only:
            yield Condition(
                name="file_system_read_only",
                where=mount.path[:120],
                severity=Severity.CRITICAL,
                text=f"the kernel made {where} read-only, as it does after an error",
            )
        space = _space(probe, now_s)
        if space is not None and _is_full(space) and not mount.read_only:
            text = f"{where} is full: no {'block' if space.f_bavail == 0 else 'inode'} is left for users"
            yield Condition(name="file_system_full", where=mount.path[:120], text=text)


def _space(probe: Probe, now_s: float) -> os.statvfs_result | None:
    return probe.answer.space if probe.answer and not probe.silent_s(now_s) else None


def _error(probe: Probe) -> OSError | None:
    error = probe.answer.error if probe.answer else None
    return None if error is None or error.errno in _NO_FAULT else error


def _is_full(space: os.statvfs_result) -> bool:
    return (space.f_blocks > 0 and space.f_bavail <= 0) or (space.f_files > 0 and space.f_favail <= 0)


def _used_percent(space: os.statvfs_result) -> float:
    """Return use as ``df`` reckons it: of what users can have; blocks or inodes, whichever is more."""
    used = space.f_blocks - space.f_bfree
    blocks = 100.0 * used / (used + space.f_bavail) if used + space.f_bavail > 0 else 0.0
    inodes = 100.0 * (space.f_files - space.f_ffree) / space.f_files if space.f_files > 0 else 0.0
    return max(blocks, inodes)
