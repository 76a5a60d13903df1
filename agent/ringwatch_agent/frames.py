"""The form of a spool on disk: framed records with checksums. Reads and writes bytes, not files."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from ringwatch_agent.spool import Record

_CHECK: Final = struct.Struct("<II")  # length of the payload; CRC-32 of head and payload
_HEAD: Final = struct.Struct("<BBHIQ")  # kind, lean, events, schema id, sequence
_HELLO: Final = 1
_BATCH: Final = 2
_MAX_PAYLOAD: Final = 16 << 20


@dataclass(slots=True, kw_only=True)
class Parsed:
    """What a segment holds; ``torn`` when it ends in, or breaks off at, something else."""

    records: list[Record] = field(default_factory=list)
    hellos: dict[int, bytes] = field(default_factory=dict)
    torn: bool = False


def batch_frame(record: Record) -> bytes:
    """Return the frame of a batch."""
    head = _HEAD.pack(_BATCH, record.lean, min(record.events, 0xFFFF), record.schema_id, record.sequence)
    return _frame(head, record.payload)


def hello_frame(schema_id: int, payload: bytes) -> bytes:
    """Return the frame of a Hello, which comes before the first batch that needs it."""
    return _frame(_HEAD.pack(_HELLO, 0, 0, schema_id, 0), payload)


def parse(data: bytes) -> Parsed:
    """Read frames until the end or the first that is torn: what lies behind it cannot be trusted."""
    parsed = Parsed()
    at = 0
    while at < len(data):
        begin = at + _CHECK.size
        if begin + _HEAD.size > len(data):
            parsed.torn = True
            return parsed
        length, checksum = _CHECK.unpack_from(data, at)
        end = begin + _HEAD.size + length
        if length > _MAX_PAYLOAD or end > len(data) or zlib.crc32(data[begin:end]) != checksum:
            parsed.torn = True
            return parsed
        _keep(parsed, data[begin:end])
        at = end
    return parsed


def _frame(head: bytes, payload: bytes) -> bytes:
    body = head + payload
    return _CHECK.pack(len(payload), zlib.crc32(body)) + body


def _keep(parsed: Parsed, body: bytes) -> None:
    kind, lean, events, schema_id, sequence = _HEAD.unpack_from(body)
    payload = body[_HEAD.size :]
    if kind == _HELLO:
        parsed.hellos[schema_id] = payload
    else:
        parsed.records.append(
            Record(sequence=sequence, schema_id=schema_id, events=events, lean=bool(lean), payload=payload)
        )
