"""Files that jobs write and this agent reads as they grow: new bytes only, through rotation and truncation.

Nothing but regular files is opened, never through a link in the last place: a path may be a user's.
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Of one file at one read, so that a backlog never holds up what is live for long.
CHUNK_BYTES: Final = 1 << 20
MOST_FILES: Final = 256
_LONGEST_LINE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """New bytes of a file; ``anew`` means that they do not follow on the ones before."""

    data: bytes
    anew: bool = False


class FollowedFile:
    """One path. What is renamed away is read to its end before what took its place."""

    def __init__(self, path: Path, *, skip_to_last_bytes: int | None = None) -> None:
        self.path = path
        self._skip = skip_to_last_bytes
        self._fd = -1
        self._at = 0
        self._anew = True

    def read(self) -> Chunk:
        """Return what was added since the last read, at most ``CHUNK_BYTES``; nothing is no error."""
        if self._fd < 0 and not self._open():
            return Chunk(data=b"")
        try:
            size = os.fstat(self._fd).st_size
            if size < self._at:
                self._at, self._anew = 0, True
            data = os.pread(self._fd, CHUNK_BYTES, self._at)
        except OSError:
            self.close()
            return Chunk(data=b"")
        self._at += len(data)
        anew, self._anew = self._anew, self._anew and not data
        if not data and self._was_replaced():
            self.close()
            return self.read() if self._open() else Chunk(data=b"")
        return Chunk(data=data, anew=anew and bool(data))

    def close(self) -> None:
        """Let go of the file; the next read opens what is at its path then, from its begin."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd, self._at, self._anew = -1, 0, True

    def _open(self) -> bool:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        try:
            fd = os.open(self.path, flags)
        except OSError:
            return False
        told = os.fstat(fd)
        if not stat.S_ISREG(told.st_mode):
            os.close(fd)
            return False
        self._fd, self._anew = fd, True
        self._at = max(0, told.st_size - self._skip) if self._skip is not None else 0
        self._skip = None  # what takes the place of this file is new from its begin
        return True

    def _was_replaced(self) -> bool:
        try:
            now, ours = self.path.lstat(), os.fstat(self._fd)
        except OSError:
            return False
        return (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)


class Lines:
    """Cuts chunks into whole lines; the end of a line that is not there yet waits for the next chunk."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def take(
        self, chunk: Chunk, dropped: Counter[str], kind: str, *, first_is_torn: bool = False
    ) -> list[bytes]:
        """Return the whole lines; count the lines that were cut off, under ``kind``."""
        if chunk.anew:
            dropped[kind] += bool(self._rest)
            self._rest, self._skipping = b"", first_is_torn
        *lines, self._rest = (self._rest + chunk.data).split(b"\n")
        if self._skipping and lines:
            lines, self._skipping = lines[1:], False
        if len(self._rest) > _LONGEST_LINE:
            dropped[kind] += 1
            self._rest, self._skipping = b"", True
        return [line for line in lines if line.strip()]


def matching(patterns: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> list[tuple[str, Path]]:
    """Return (job, file) for the files that fit the patterns, the newest ``MOST_FILES`` of each."""
    found: list[tuple[str, Path]] = []
    for job, pattern in patterns:
        paths = [Path(name) for name in glob.iglob(pattern, recursive=True)]
        files = [(path, _changed_s(path)) for path in paths]
        newest = sorted((file for file in files if file[1] > 0), key=lambda file: file[1])[-MOST_FILES:]
        found += [(job, path) for path, _ in newest]
    return found


def _changed_s(path: Path) -> float:
    """Return when a regular file changed, 0 for anything else."""
    try:
        told = path.lstat()
    except OSError:
        return 0.0
    return told.st_mtime if stat.S_ISREG(told.st_mode) else 0.0
