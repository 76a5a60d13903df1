"""Writes the shared ring of one training process; it only writes memory and never makes a system call.

The layout is that of ``ringwatch_proto.ring``. There is one writer; the recorder serialises the calls.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

from ringwatch_proto.ring import (
    HEADER_BYTES,
    RECORD,
    RING_BYTES,
    RING_MAGIC,
    RING_RECORDS,
    RING_VERSION,
    HeaderWord,
)

# The words behind STATE_LOCK, STEP to BEAT_NS, are written in one go.
_STATE: Final = struct.Struct("=10Q")
_STATE_OFFSET: Final = HeaderWord.STEP * 8
_RECORD_BYTES: Final = RECORD.size
_WRITTEN: Final = int(HeaderWord.WRITTEN)
_STATE_LOCK: Final = int(HeaderWord.STATE_LOCK)


class RingWriter:
    """A fresh ring in an anonymous file that another process can be given."""

    __slots__ = ("_lock_word", "_map", "_pack_record", "_pack_state", "_words", "_written", "fd")

    def __init__(self) -> None:
        self.fd = os.memfd_create("ringwatch-hook", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, RING_BYTES)
        self._map = mmap.mmap(self.fd, RING_BYTES)
        self._words = memoryview(self._map)[:HEADER_BYTES].cast("Q")
        self._words[HeaderWord.VERSION] = RING_VERSION
        self._words[HeaderWord.RECORDS] = RING_RECORDS
        self._words[HeaderWord.PID] = os.getpid()
        self._words[HeaderWord.MAGIC] = RING_MAGIC
        self._written = 0
        self._lock_word = 0
        self._pack_record = RECORD.pack_into
        self._pack_state = _STATE.pack_into

    def state(  # noqa: PLR0917  the hot path: keywords cost a microsecond
        self,
        step: int,
        phase: int,
        since_ns: int,
        launched: int,
        completed: int,
        communicator: int,
        slot: int,
        kind: int,
        size: int,
        now_ns: int,
    ) -> None:
        """Publish what the process does now, under the sequence lock."""
        lock = self._lock_word
        self._lock_word = lock + 2
        words = self._words
        words[_STATE_LOCK] = lock + 1
        self._pack_state(
            self._map, _STATE_OFFSET,
            step, phase, since_ns, launched, completed, communicator, slot, kind, size, now_ns,
        )  # fmt: skip
        words[_STATE_LOCK] = lock + 2

    def record(  # noqa: PLR0917  as above
        self,
        type_: int,
        kind: int,
        communicator: int,
        slot: int,
        begin_ns: int,
        end_ns: int,
        step: int,
        size: int,
        first: float,
        second: float,
        third: float,
        fourth: float,
    ) -> None:
        """Append one record; the oldest is overwritten when the reader is too slow."""
        index = self._written
        self._pack_record(
            self._map, HEADER_BYTES + index % RING_RECORDS * _RECORD_BYTES,
            index, type_, kind, communicator, slot, begin_ns, end_ns, step, size,
            first, second, third, fourth,
        )  # fmt: skip
        self._written = index + 1
        self._words[_WRITTEN] = index + 1

    def close_file(self) -> None:
        """Close the descriptor; the memory stays for as long as this object lives."""
        os.close(self.fd)
        self.fd = -1
