"""Cuts a TFRecord file into records and checks them. Knows nothing of what is in a record.

The framing is length, masked CRC-32C of the length, data, masked CRC-32C of the data; see
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Final

from ringwatch_agent.sources.followed_files import Chunk

_HEADER: Final = struct.Struct("<QI")
_FOOTER: Final = struct.Struct("<I")
_POLYNOMIAL: Final = 0x82F63B78
_MASK: Final = 0xA282EAD8
# Scalars are some hundred bytes; pictures, graphs and histograms are passed over unread.
LARGEST_READ: Final = 16 << 10
_LARGEST: Final = 1 << 31


def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901 - the usual form
        rows.append(value)
    return tuple(rows)


_TABLE: Final = _table()


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of ``data`` as TFRecord masks it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


class TfRecords:
    """The records of one file as it grows."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._rest = b""
        self._passing = 0
        self._lost = False

    def take(self, chunk: Chunk, dropped: Counter[str]) -> list[bytes]:
        """Return the whole, small records; count what is torn or wrong.

        A wrong length leaves nothing to go by: the file is not read on until it begins anew. A record with
        wrong data is left out and those behind it are read.
        """
        if chunk.anew:
            dropped[f"{self._kind}.torn"] += bool(self._rest)
            self._rest, self._passing, self._lost = b"", 0, False
        if self._lost:
            return []
        data = self._rest + chunk.data
        records, at = [], 0
        while not self._lost:
            at, more = self._pass(data, at)
            if more or len(data) - at < _HEADER.size:
                break
            length, crc = _HEADER.unpack_from(data, at)
            if length > _LARGEST or masked_crc(data[at : at + 8]) != crc:
                dropped[f"{self._kind}.broken"] += 1
                self._lost = True
                break
            if length > LARGEST_READ:
                self._passing = _HEADER.size + length + _FOOTER.size
                continue
            end = at + _HEADER.size + length
            if len(data) < end + _FOOTER.size:
                break
            record = data[at + _HEADER.size : end]
            if masked_crc(record) == _FOOTER.unpack_from(data, end)[0]:
                records.append(record)
            else:
                dropped[f"{self._kind}.bad_crc"] += 1
            at = end + _FOOTER.size
        self._rest = b"" if self._lost else data[at:]
        return records

    def _pass(self, data: bytes, at: int) -> tuple[int, bool]:
        """Pass over what is left of a large record; return where it went and whether more is to come."""
        step = min(self._passing, len(data) - at)
        self._passing -= step
        return at + step, self._passing > 0
