"""HTTP/2 as a gRPC client that only streams needs it: frames out, frames in, windows. Knows no message.

A load generator on the same two cores as what it measures must cost next to nothing, which rules the
gRPC library out: this speaks the same wire (RFC 9113, gRPC over HTTP/2) and copies bytes.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES: Final = 9
# A gRPC message within a stream: one byte "not compressed", four of length.
MESSAGE_HEADER_BYTES: Final = 5
LARGEST_FRAME: Final = 16_384

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_INITIAL_WINDOW: Final = 65_535
_INITIAL_WINDOW_SETTING: Final = 4
# Acknowledgements are a few bytes each: a window that is never used up saves its upkeep.
_OWN_WINDOW: Final = 1 << 30
_TEXTS: Final = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "{path}"),
    (":authority", "bench"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """Return the nine bytes before a frame's payload."""
    return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, kind, flags, stream)


def data_frame(stream: int, message: bytes) -> bytes:
    """Return one gRPC message as one DATA frame."""
    length = len(message) + MESSAGE_HEADER_BYTES
    if length > LARGEST_FRAME:
        raise ValueError(f"a message of {len(message)} bytes does not fit one frame")
    return frame_header(length, _DATA, 0, stream) + struct.pack(">BI", 0, len(message)) + message


def opening(path: str, stream: int) -> bytes:
    """Return the HEADERS frame that begins a call."""
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in ((name, text.format(path=path)) for name, text in _TEXTS)
    )
    return frame_header(len(block), _HEADERS, _END_HEADERS, stream) + block


def greeting() -> bytes:
    """Return what a client sends first."""
    settings = struct.pack(">HI", _INITIAL_WINDOW_SETTING, _OWN_WINDOW)
    grow = struct.pack(">I", _OWN_WINDOW)
    return (
        PREFACE
        + frame_header(len(settings), _SETTINGS, 0, 0)
        + settings
        + frame_header(len(grow), _WINDOW_UPDATE, 0, 0)
        + grow
    )


class FrameReader:
    """Reads what the server sends on one connection and keeps its windows.

    ``on_message`` gets (stream, message); ``on_end`` a stream that the server ended.
    """

    def __init__(self, on_message: Callable[[int, bytes], None], on_end: Callable[[int], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._rest = b""
        self._parts: dict[int, bytes] = {}
        self._initial = _INITIAL_WINDOW
        self._spent: defaultdict[int, int] = defaultdict(int)
        self.window = _INITIAL_WINDOW
        # What has to be sent back: acknowledgements of settings and pings.
        self.replies = bytearray()

    def stream_window(self, stream: int) -> int:
        """Return how many bytes the stream may send now."""
        return self._initial - self._spent[stream]

    def sent(self, stream: int, size: int) -> None:
        """Take from the windows what a DATA frame used of them."""
        self.window -= size
        self._spent[stream] += size

    def feed(self, data: bytes) -> None:
        """Read what came."""
        data = self._rest + data
        at, end = 0, len(data)
        while end - at >= FRAME_HEADER_BYTES:
            high, low, kind, flags, stream = struct.unpack_from(">BHBBI", data, at)
            stop = at + FRAME_HEADER_BYTES + (high << 16 | low)
            if stop > end:
                break
            self._take(kind, flags, stream, data[at + FRAME_HEADER_BYTES : stop])
            at = stop
        self._rest = data[at:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._take_data(stream, payload)
        elif kind == _WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream:
                self._spent[stream] -= more
            else:
                self.window += more
        elif kind == _SETTINGS and not flags & _ACK:
            self._take_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self.replies += frame_header(8, _PING, _ACK, 0) + payload
        if kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            self._on_end(stream)

    def _take_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == _INITIAL_WINDOW_SETTING:
                self._initial = value
        self.replies += frame_header(0, _SETTINGS, _ACK, 0)

    def _take_data(self, stream: int, payload: bytes) -> None:
        held = self._parts.pop(stream, b"") + payload
        while len(held) >= MESSAGE_HEADER_BYTES:
            size = int.from_bytes(held[1:MESSAGE_HEADER_BYTES], "big") + MESSAGE_HEADER_BYTES
            if len(held) < size:
                break
            self._on_message(stream, held[MESSAGE_HEADER_BYTES:size])
            held = held[size:]
        if held:
            self._parts[stream] = held
