"""The file that pictures of a fleet are kept in: append-only, compressed, readable up to where it is torn."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from google.protobuf.message import DecodeError

from ringwatch_proto.errors import RecordingError
from ringwatch_proto.v1.recording_pb2 import Frame

MAGIC: Final = b"RINGWATCH-RECORDING 1\n"
SUFFIX: Final = ".rwrec"
# Length and CRC-32 of the compressed frame, and the frame's time, Unix nanoseconds.
_HEAD: Final = struct.Struct("<IIq")
# A picture of 100,000 GPUs is about 12 MB; more than this is no picture.
LARGEST_FRAME_BYTES: Final = 64 << 20
_LEVEL: Final = 1


class FrameWriter:
    """Writes frames to a stream that it does not own."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.bytes_written = stream.write(MAGIC)

    def write(self, wall_ns: int, frame: bytes) -> int:
        """Append a serialised frame and flush; return the bytes that it took."""
        return self.append(Kept(wall_ns=wall_ns, body=zlib.compress(frame, _LEVEL)))

    def append(self, kept: Kept) -> int:
        """Append a frame as it lies in another file and flush; return the bytes that it took."""
        head = _HEAD.pack(len(kept.body), zlib.crc32(kept.body), kept.wall_ns)
        taken = self._stream.write(head + kept.body)
        self._stream.flush()
        self.bytes_written += taken
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A frame as it lies in a file: its time and its compressed body."""

    wall_ns: int
    body: bytes

    def serialised(self) -> bytes:
        """Return the serialised frame; raise RecordingError when it is larger than any picture."""
        engine = zlib.decompressobj()
        try:
            data = engine.decompress(self.body, LARGEST_FRAME_BYTES)
        except zlib.error as error:
            raise RecordingError(f"the frame of {self.wall_ns} ns cannot be read: {error}") from error
        if engine.unconsumed_tail:
            raise RecordingError(f"the frame of {self.wall_ns} ns holds more than any picture")
        return data

    def frame(self) -> Frame:
        """Return the frame; raise RecordingError when it cannot be read."""
        try:
            return Frame.FromString(self.serialised())
        except DecodeError as error:
            raise RecordingError(f"the frame of {self.wall_ns} ns cannot be read: {error}") from error


def kept(frame: Frame) -> Kept:
    """Return a frame as it lies in a file."""
    return Kept(wall_ns=frame.wall_ns, body=zlib.compress(frame.SerializeToString(), _LEVEL))


def written(path: Path, frames: Iterable[Kept]) -> int:
    """Write a recording of these frames and return its bytes; raise RecordingError when the disk refuses."""
    try:
        with path.open("wb") as stream:
            return _write_all(stream, frames)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error


def as_bytes(frames: Iterable[Kept]) -> bytes:
    """Return a recording of these frames as the bytes of its file."""
    stream = io.BytesIO()
    _write_all(stream, frames)
    return stream.getvalue()


def _write_all(stream: IO[bytes], frames: Iterable[Kept]) -> int:
    writer = FrameWriter(stream)
    for each in frames:
        writer.append(each)
    return writer.bytes_written


def kept_in(path: Path) -> Iterator[Kept]:
    """Yield the frames of a file, oldest first; it ends at the first one that is torn or damaged.

    Raises RecordingError when the file cannot be opened or is no recording.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    with stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise RecordingError(f"{path}: not a recording")
        while True:
            head = stream.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return
            length, crc, wall_ns = _HEAD.unpack(head)
            body = stream.read(length) if length <= LARGEST_FRAME_BYTES else b""
            if len(body) < length or zlib.crc32(body) != crc:
                return
            yield Kept(wall_ns=wall_ns, body=body)
