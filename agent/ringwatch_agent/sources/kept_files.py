"""Files of procfs and sysfs that are read again and again: opened once, read from the start each time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 16


class KeptFile:
    """One file; ``keep`` False opens it anew for each read, for where descriptors are short."""

    __slots__ = ("_fd", "_keep", "_path")

    def __init__(self, path: Path, *, keep: bool = True) -> None:
        self._path = os.fspath(path)
        self._keep = keep
        self._fd = -1

    def read(self) -> bytes | None:
        """Return what the file says now; None when it is not there or does not say."""
        data = self._pread() if self._fd >= 0 else None
        if data:
            return data
        # The descriptor of a device that went and came again fails or reads as empty: look once more.
        self.close()
        with contextlib.suppress(OSError):
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            data = self._pread()
            if data is None or not self._keep:
                self.close()
        return data

    def _pread(self) -> bytes | None:
        try:
            return _whole(self._fd)
        except OSError:
            return None

    def number(self) -> int | None:
        """Return the whole number that the file holds, None when there is none."""
        data = self.read()
        try:
            return int(data) if data else None
        except ValueError:
            return None

    def word(self) -> str:
        """Return the text without its end of line, empty when there is none."""
        data = self.read()
        return data.decode(errors="replace").strip() if data else ""

    def close(self) -> None:
        """Let go of the descriptor; the next read opens it again."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1


def _whole(fd: int) -> bytes:
    data = os.pread(fd, _CHUNK, 0)
    # A seq_file gives a page at a time, so a short answer is no end; an empty one is.
    while data and (more := os.pread(fd, _CHUNK, len(data))):
        data += more
    return data


def pairs(data: bytes | None) -> dict[str, int]:
    """Return the ``key number`` lines of a procfs file, whatever stands behind the number left out."""
    found: dict[str, int] = {}
    for line in (data or b"").splitlines():
        words = line.split(None, 2)
        if len(words) >= 2 and words[1].isdigit():
            found[words[0].rstrip(b":").decode(errors="replace")] = int(words[1])
    return found


def numbers(data: bytes | None, names: Iterable[str]) -> dict[str, int]:
    """Return the numbers behind some names of a procfs file, without cutting up its other lines."""
    text = b"\n" + (data or b"")
    found: dict[str, int] = {}
    for name in names:
        key = b"\n" + name.encode()
        at = max(text.find(key + b" "), text.find(key + b":"))
        words = text[at + len(key) + 1 : at + len(key) + 40].split(None, 1) if at >= 0 else []
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def read_number(path: Path) -> int | None:
    """Return the whole number in a file that is seldom read; None when there is none."""
    return KeptFile(path, keep=False).number()


def read_word(path: Path) -> str:
    """Return the text of a file that is seldom read, empty when there is none."""
    return KeptFile(path, keep=False).word()


def children(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name; nothing when there is no such folder."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError:
        return []
