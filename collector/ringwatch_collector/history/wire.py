"""Remote write bodies, laid out in columns: no object a series. It sends nothing.

One ``TimeSeries`` of one sample is, within a group of rows whose label bytes are equally long, the same
bytes but for labels and value, so that a group is one array of bytes with a row a series. The test of
this module holds it against the generated code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import Floats

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]

# Sample: tag and length; value with its tag; tag of the time stamp, six bytes until the year 2109.
_VALUE_AT = 3
_SAMPLE_BYTES = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """Rows of a table whose labels take equally many bytes."""

    rows: Rows
    labels: Bytes  # (rows, bytes)


def label(name: str, value: str) -> bytes:
    """Return a ``Label`` as a field of a ``TimeSeries``."""
    body = _field(0x0A, name.encode()) + _field(0x12, value.encode())
    return _field(0x0A, body)


def grouped(labels: Sequence[bytes]) -> list[RowGroup]:
    """Return rows grouped by the length of their labels; a row without labels is left out."""
    lengths = np.array([len(each) for each in labels], np.int64)
    groups = []
    for length in np.unique(lengths[lengths > 0]).tolist():
        rows = np.flatnonzero(lengths == length)
        packed = np.frombuffer(b"".join(labels[row] for row in rows.tolist()), np.uint8)
        groups.append(RowGroup(rows=rows, labels=packed.reshape(rows.size, length)))
    return groups


def series(
    metric: str, groups: Sequence[RowGroup], values: Floats, at_ms: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (how many series, their bytes) for one metric; absent values are no sample."""
    name = np.frombuffer(label("__name__", metric), np.uint8)
    for group in groups:
        mine = values[group.rows]
        present = ~np.isnan(mine)
        count = int(np.count_nonzero(present))
        if count:
            yield count, _laid_out(name, group.labels[present], mine[present], at_ms)


def one(labels: Sequence[tuple[str, str]], value: float, at_ms: int) -> bytes:
    """Return one series; ``labels`` are sorted by name and begin with ``__name__``."""
    body = b"".join(label(*pair) for pair in labels)
    return _field(0x0A, body + _sample(np.array([value], "<f8"), at_ms)[0].tobytes())


def _laid_out(name: Bytes, labels: Bytes, values: Floats, at_ms: int) -> bytes:
    count, width = labels.shape
    head = np.frombuffer(b"\x0a" + _varint(name.size + width + _SAMPLE_BYTES), np.uint8)
    ends = np.cumsum([head.size, name.size, width, _SAMPLE_BYTES])
    out = np.empty((count, int(ends[-1])), np.uint8)
    out[:, : ends[0]] = head
    out[:, ends[0] : ends[1]] = name
    out[:, ends[1] : ends[2]] = labels
    out[:, ends[2] :] = _sample(values.astype("<f8"), at_ms)
    return out.tobytes()


def _sample(values: NDArray[np.float64], at_ms: int) -> Bytes:
    out = np.empty((values.size, _SAMPLE_BYTES), np.uint8)
    time = _varint(at_ms)
    out[:, :_VALUE_AT] = np.frombuffer(b"\x12\x10\x09", np.uint8)
    out[:, _VALUE_AT : _VALUE_AT + 8] = values.view(np.uint8).reshape(values.size, 8)
    out[:, _VALUE_AT + 8 :] = np.frombuffer(b"\x10" + time, np.uint8)
    return out


def _field(tag: int, body: bytes) -> bytes:
    return bytes([tag]) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
