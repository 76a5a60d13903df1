"""Writes the shared ring of one training process; it only writes memory and never makes a system call.

The layout is that of ``ringwatch_proto.ring``. There is one writer; the recorder serialises the calls.
"""

from __future__ import annotations

import mmap
import os
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

_RECORD_BYTES: Final = RECORD.size
_WRITTEN: Final = int(HeaderWord.WRITTEN)


class RingWriter:
    """A fresh ring in an anonymous file that another process can be given.

    ``words`` are the header's; the state words are the recorder's to write.
    """

    __slots__ = ("_map", "_pack_record", "_written", "fd", "words")

    def __init__(self) -> None:
        self.fd = os.memfd_create("ringwatch-hook", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, RING_BYTES)
        self._map = mmap.mmap(self.fd, RING_BYTES)
        self.words = memoryview(self._map)[:HEADER_BYTES].cast("Q")
        self.words[HeaderWord.VERSION] = RING_VERSION
        self.words[HeaderWord.RECORDS] = RING_RECORDS
        self.words[HeaderWord.PID] = os.getpid()
        self.words[HeaderWord.MAGIC] = RING_MAGIC
        self._written = 0
        self._pack_record = RECORD.pack_into

    def record(  # noqa: PLR0917  the hot path: keywords cost a microsecond
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
        self.words[_WRITTEN] = index + 1

    def close_file(self) -> None:
        """Close the descriptor; the memory stays for as long as this object lives."""
        os.close(self.fd)
        self.fd = -1
