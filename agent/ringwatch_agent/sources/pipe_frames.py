"""The form of what the agent and its NVML reader say to each other: length and JSON, nothing executable."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, Final

_LENGTH: Final = struct.Struct("<I")
_MAX_BYTES: Final = 4 << 20

# The values of a frame are JSON: numbers, strings, None, lists and dicts of them.
Frame = dict[str, Any]


def write_frame(pipe: BinaryIO, frame: Frame) -> None:
    """Write one frame. Raise ValueError for NaN and what else JSON has no word for; OSError as pipes do."""
    body = json.dumps(frame, allow_nan=False, separators=(",", ":")).encode()
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def read_frame(pipe: BinaryIO) -> Frame | None:
    """Return the next frame, None at the end. Raise ValueError for anything that is not a frame."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _MAX_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    body = pipe.read(length)
    if len(body) < length:
        return None
    frame = json.loads(body)
    if not isinstance(frame, dict):
        raise ValueError("a frame that is no object")
    return frame
