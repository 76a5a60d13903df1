"""Reads the ring of one training process; trusts nothing that is in it.

The file belongs to the process that is watched, which may be hostile: it is read with ``pread``, never
mapped, and only when it is memory (a memfd), so that no read can block or fault.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.errors import LayoutError
from ringwatch_proto.ring import (
    HEADER_BYTES,
    RECORD,
    RING_BYTES,
    RING_MAGIC,
    RING_RECORDS,
    RING_VERSION,
    HeaderWord,
)

_HEADER: Final = struct.Struct("=16Q")
_WORD: Final = struct.Struct("=Q")
# The writer holds the lock for about a microsecond. One that was stopped meanwhile holds it for as long
# as it is stopped; then the words as they stand tell more than old ones.
_LOCK_TRIES: Final = 4

RingRecord = tuple[int, int, int, int, int, int, int, int, int, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RingState:
    """What the process was last seen to do; all numbers as they stand in the ring."""

    step: int
    phase: int
    phase_since_ns: int
    launched: int
    completed: int
    inflight_communicator: int
    inflight_slot: int
    inflight_kind: int
    beat_ns: int


class RingReader:
    """The reading end of one ring. Owns the descriptor."""

    def __init__(self, fd: int) -> None:
        """Take over ``fd``; raise LayoutError, with ``fd`` still open, when it is no ring."""
        _require_memory(fd)
        self._fd = fd
        self._next = 0
        self.lost = 0
        self._check(self._header())

    def state(self) -> RingState:
        """Return the state words; raise LayoutError when the file is no ring any more."""
        words = self._header()
        for _ in range(_LOCK_TRIES):
            lock = words[HeaderWord.STATE_LOCK]
            if lock % 2 == 0 and self._word(HeaderWord.STATE_LOCK) == lock:
                break
            words = self._header()
        self._check(words)
        return RingState(
            step=words[HeaderWord.STEP],
            phase=words[HeaderWord.PHASE],
            phase_since_ns=words[HeaderWord.PHASE_SINCE_NS],
            launched=words[HeaderWord.LAUNCHED],
            completed=words[HeaderWord.COMPLETED],
            inflight_communicator=words[HeaderWord.INFLIGHT_COMMUNICATOR],
            inflight_slot=words[HeaderWord.INFLIGHT_SLOT],
            inflight_kind=words[HeaderWord.INFLIGHT_KIND],
            beat_ns=words[HeaderWord.BEAT_NS],
        )

    def records(self) -> list[RingRecord]:
        """Return the records since the last call, oldest first; what was overwritten is counted as lost."""
        written = self._word(HeaderWord.WRITTEN)
        if written < self._next:
            raise LayoutError(f"the ring went back from record {self._next} to {written}")
        first = max(self._next, written - RING_RECORDS)
        raw = self._span(first, written)
        # What the writer has begun to overwrite since is torn.
        intact = max(first, self._word(HeaderWord.WRITTEN) + 1 - RING_RECORDS) if raw else first
        found = list(RECORD.iter_unpack(raw[(intact - first) * RECORD.size :]))
        valid = [record for at, record in enumerate(found, start=intact) if record[0] == at]
        self.lost += written - self._next - len(valid)
        self._next = written
        return valid

    def close(self) -> None:
        """Close the descriptor; twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _span(self, first: int, end: int) -> bytes:
        """Return the bytes of the records ``first`` to ``end``, which may go round the corner."""
        parts = []
        while first < end:
            at = first % RING_RECORDS
            count = min(end - first, RING_RECORDS - at)
            parts.append(self._pread(count * RECORD.size, HEADER_BYTES + at * RECORD.size))
            first += count
        return b"".join(parts)

    def _header(self) -> tuple[int, ...]:
        return _HEADER.unpack(self._pread(_HEADER.size, 0))

    def _word(self, word: HeaderWord) -> int:
        value: int = _WORD.unpack(self._pread(_WORD.size, word * _WORD.size))[0]
        return value

    def _pread(self, size: int, offset: int) -> bytes:
        try:
            data = os.pread(self._fd, size, offset)
        except OSError as error:
            raise LayoutError(f"the ring cannot be read: {error}") from error
        if len(data) != size:
            raise LayoutError("the ring was cut short")
        return data

    @staticmethod
    def _check(words: tuple[int, ...]) -> None:
        if words[HeaderWord.MAGIC] != RING_MAGIC:
            raise LayoutError("not a ring")
        version, records = words[HeaderWord.VERSION], words[HeaderWord.RECORDS]
        if (version, records) != (RING_VERSION, RING_RECORDS):
            raise LayoutError(f"a ring of version {version} with {records} records")


def _require_memory(fd: int) -> None:
    """Raise LayoutError unless ``fd`` is a file in memory of at least a ring's size."""
    try:
        status = os.fstat(fd)
        # Only files in memory know seals; a pipe, a device or a file on a network would block us.
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise LayoutError(f"not a memfd: {error}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size < RING_BYTES:
        raise LayoutError(f"a memfd of {status.st_size} bytes, not of {RING_BYTES}")
