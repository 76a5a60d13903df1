"""Opens what an operator brings: files, folders, gzip, tar, a stream, within bounds of memory and depth."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ringwatch_proto.errors import EvidenceError

CHUNK_BYTES: Final = 1 << 20
# A document is read whole, so it has an end; a log is streamed and may be of any length.
LARGEST_DOCUMENT_BYTES: Final = 256 << 20
# A gzip stream cannot be smaller than 1:1032 by its format; evidence compresses far less than 1:400.
_LARGEST_RATIO: Final = 400
_RATIO_FREE_BYTES: Final = 64 << 20
_MOST_FILES: Final = 20_000
_DEEPEST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One piece of evidence: its name for the quote, its first bytes, and all its bytes as chunks."""

    name: str
    head: bytes
    chunks: Iterator[bytes]

    def whole(self) -> bytes:
        """Return all bytes; raise EvidenceError when they are more than a document has."""
        parts, size = [], 0
        for chunk in self.chunks:
            size += len(chunk)
            if size > LARGEST_DOCUMENT_BYTES:
                raise EvidenceError(
                    f"{self.name}: a document of more than {LARGEST_DOCUMENT_BYTES >> 20} MiB"
                )
            parts.append(chunk)
        return b"".join(parts)


Refusal = Callable[[str], None]


def _raw(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _inflated(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what gzip members hold, refusing a ratio that only a bomb has."""
    engine = zlib.decompressobj(wbits=31)
    taken = given = 0
    for chunk in chunks:
        taken += len(chunk)
        data = chunk
        while data:
            try:
                out = engine.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise EvidenceError(f"{name}: broken gzip: {error}") from error
            given += len(out)
            if given > _RATIO_FREE_BYTES and given > taken * _LARGEST_RATIO:
                raise EvidenceError(
                    f"{name}: gzip that grows {given // max(taken, 1)}-fold: refused as a bomb"
                )
            if out:
                yield out
            data = engine.unconsumed_tail
            if engine.eof:
                data = engine.unused_data.lstrip(b"\0")
                engine = zlib.decompressobj(wbits=31)


def _with_head(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= 65_536:
            break

    def everything() -> Iterator[bytes]:
        yield from held
        yield from chunks

    return b"".join(held)[:65_536], everything()


class _Stream(io.RawIOBase):
    """The chunks as a file that tarfile can read forward."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        out, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return out


def _unpacked(name: str, chunks: Iterator[bytes], refuse: Refusal, depth: int) -> Iterator[Opened]:
    head, rest = _with_head(chunks)
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar" or head[:4] == b"PK\x03\x04":
        if depth >= _DEEPEST:
            refuse(f"{name}: archives nested deeper than {_DEEPEST}")
            return
        if head[:2] == b"\x1f\x8b":
            yield from _unpacked(name, _inflated(name, rest), refuse, depth + 1)
        elif head[:4] == b"PK\x03\x04":
            refuse(f"{name}: a zip archive; give a tar or the files themselves")
        else:
            yield from _members(name, rest, refuse, depth)
        return
    yield Opened(name=name, head=head, chunks=rest)


def _members(name: str, chunks: Iterator[bytes], refuse: Refusal, depth: int) -> Iterator[Opened]:
    count = 0
    try:
        with tarfile.open(fileobj=_Stream(chunks), mode="r|", ignore_zeros=False) as archive:
            for member in archive:
                count += 1
                if count > _MOST_FILES:
                    refuse(f"{name}: more than {_MOST_FILES} members")
                    return
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield from _unpacked(f"{name}:{member.name}", _raw(content), refuse, depth + 1)
    except (tarfile.TarError, EOFError) as error:
        raise EvidenceError(f"{name}: broken tar: {error}") from error


def _under(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(path) / name for name in sorted(names))


def opened(paths: Iterable[Path], refuse: Refusal) -> Iterator[Opened]:
    """Yield every piece of evidence at ``paths``; what cannot be opened is told to ``refuse``."""
    for path in paths:
        try:
            if path.is_dir():
                for each in _under(path):
                    yield from _of_file(each, str(each.relative_to(path)), refuse)
            else:
                yield from _of_file(path, str(path), refuse)
        except OSError as error:
            refuse(f"{path}: {error.strerror or error}")


def _of_file(path: Path, name: str, refuse: Refusal) -> Iterator[Opened]:
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not str(path).startswith("/dev/"):
            refuse(f"{path}: not a regular file")
            return
        with path.open("rb") as stream:
            yield from _unpacked(name, _raw(stream), refuse, 0)
    except (OSError, EvidenceError) as error:
        refuse(str(error))


def stream(name: str, source: IO[bytes], refuse: Refusal) -> Iterator[Opened]:
    """Yield the evidence that a stream holds."""
    try:
        yield from _unpacked(name, _raw(source), refuse, 0)
    except EvidenceError as error:
        refuse(str(error))
