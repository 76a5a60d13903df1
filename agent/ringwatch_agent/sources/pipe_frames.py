"""The form of what the agent and its NVML reader say to each other: JSON and numbers, nothing executable."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO, Final, NamedTuple

_LENGTHS: Final = struct.Struct("<II")
_MAX_BYTES: Final = 4 << 20

# Numbers, strings, None, lists and dicts of them.
Json = dict[str, Any]


class Frame(NamedTuple):
    """What is said in words, and packed float32 numbers behind it."""

    words: Json
    numbers: bytes = b""


def write_frame(pipe: BinaryIO, words: Json, numbers: bytes = b"") -> None:
    """Write one frame. Raise ValueError for NaN and what else JSON has no word for; OSError as pipes do."""
    said = json.dumps(words, allow_nan=False, separators=(",", ":")).encode()
    pipe.write(_LENGTHS.pack(len(said), len(numbers)) + said + numbers)
    pipe.flush()


def read_frame(pipe: BinaryIO) -> Frame | None:
    """Return the next frame, None at the end. Raise ValueError for anything that is not a frame."""
    head = pipe.read(_LENGTHS.size)
    if len(head) < _LENGTHS.size:
        return None
    said, numbered = _LENGTHS.unpack(head)
    if said + numbered > _MAX_BYTES:
        raise ValueError(f"a frame of {said + numbered} bytes")
    body = pipe.read(said + numbered)
    if len(body) < said + numbered:
        return None
    words = json.loads(body[:said])
    if not isinstance(words, dict):
        raise ValueError("a frame that is no object")
    return Frame(words, body[said:])
