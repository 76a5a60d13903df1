"""The pictures on disk: files of a few MiB, the oldest deleted first. It knows nothing of what is on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import IO, Final

from ringwatch_proto.errors import RecordingError
from ringwatch_proto.recording import SUFFIX, FrameWriter, Kept, kept_in

_FILE_BYTES: Final = 4 << 20


class Tape:
    """A folder of recordings, named by the nanosecond of their first picture.

    One process writes; ``window`` may be read at the same time.
    """

    def __init__(self, folder: Path, max_bytes: int, max_age_s: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._stream: IO[bytes] | None = None
        self._writer: FrameWriter | None = None
        # A write goes on in its thread when its task is cancelled: it must not open a new file.
        self._busy = Lock()
        self._closed = False

    def write(self, wall_ns: int, frame: bytes) -> None:
        """Append a picture; raise RecordingError when the disk refuses it, or after ``close``."""
        with self._busy:
            if self._closed:
                raise RecordingError(f"{self._folder}: closed")
            try:
                self._write(wall_ns, frame)
            except OSError as error:
                self._let_go()
                raise RecordingError(f"{self._folder}: {error.strerror}") from error

    def _write(self, wall_ns: int, frame: bytes) -> None:
        if self._writer is None or self._writer.bytes_written > _FILE_BYTES:
            self._begin(wall_ns)
            self._forget(wall_ns)
        assert self._writer is not None
        self._writer.write(wall_ns, frame)

    def _begin(self, wall_ns: int) -> None:
        self._let_go()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._stream = (self._folder / f"{wall_ns:020d}{SUFFIX}").open("wb")
        self._writer = FrameWriter(self._stream)

    def _forget(self, wall_ns: int) -> None:
        """Delete files beyond the bounds; the one being written stays."""
        files = self._files()[:-1]
        sizes = [path.stat().st_size for path in files]
        total = sum(sizes)
        # A file ends where the next one begins.
        ends = [_begin_of(path) for path in self._files()[1:]]
        for path, size, end_ns in zip(files, sizes, ends, strict=True):
            if total <= self._max_bytes - _FILE_BYTES and wall_ns - end_ns <= self._max_age_s * 1e9:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"[0-9]*{SUFFIX}"))

    def window(self, since_ns: int, until_ns: int) -> Iterator[Kept]:
        """Yield the pictures of a window, oldest first, and the one that was in force when it began."""
        files = self._files()
        before: Kept | None = None
        for place, path in enumerate(files, 1):
            if place < len(files) and _begin_of(files[place]) <= since_ns:
                continue
            for kept in _readable(path):
                if kept.wall_ns > until_ns:
                    return
                if kept.wall_ns < since_ns:
                    before = kept
                    continue
                if before is not None:
                    yield before
                    before = None
                yield kept
        if before is not None:
            yield before

    def close(self) -> None:
        """Write nothing any more; waits for the write that goes on. Safe to call twice."""
        with self._busy:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        stream, self._stream, self._writer = self._stream, None, None
        if stream is not None:
            try:
                os.fsync(stream.fileno())
            except OSError as error:
                raise RecordingError(f"{self._folder}: {error.strerror}") from error
            finally:
                stream.close()


def _begin_of(path: Path) -> int:
    return int(path.name.removesuffix(SUFFIX))


def _readable(path: Path) -> Iterator[Kept]:
    """Yield what a file holds; one that was deleted or never finished its head holds nothing."""
    try:
        yield from kept_in(path)
    except RecordingError:
        return
