"""A line on a terminal that says how far a long reading is. Silent when nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

# A reading shorter than this needs no word; one later is told twice a second.
_QUIET_S = 1.0
_EVERY_S = 0.5
_WIDTH = 24
_CLEAR = "\r\x1b[K"


def size_of(paths: Iterable[Path]) -> int:
    """Return the bytes of these files, 0 when a folder or a stream is among them: its end is not known."""
    total = 0
    for path in paths:
        if not path.is_file() or path.suffix in {".gz", ".tgz"}:
            return 0
        total += path.stat().st_size
    return total


class Progress:
    """Writes to a terminal from the first second on; ``close`` leaves the line empty."""

    def __init__(self, stream: TextIO, total_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total = total_bytes
        self._clock = clock
        self._next_s = clock() + _QUIET_S
        self._written = False

    def __call__(self, read_bytes: int) -> None:
        """Say that so many bytes were read."""
        if self._clock() < self._next_s or not self._stream.isatty():
            return
        self._next_s = self._clock() + _EVERY_S
        self._written = True
        self._stream.write(f"{_CLEAR}{self._said(read_bytes)}")
        self._stream.flush()

    def _said(self, read_bytes: int) -> str:
        said = f"read {read_bytes / 1e6:.0f} MB"
        if not self._total:
            return said
        share = min(read_bytes / self._total, 1.0)
        bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
        return f"{said} of {self._total / 1e6:.0f} MB [{bar}] {share:.0%}"

    def close(self) -> None:
        """Leave the line as it was found."""
        if self._written:
            self._stream.write(_CLEAR)
            self._stream.flush()
