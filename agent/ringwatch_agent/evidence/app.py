"""Reads pieces of evidence with every reader of the table. Composes; recognises and judges nothing itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Final

from ringwatch_agent.evidence import stamps, text
from ringwatch_agent.evidence.all import (
    DOCUMENT_READERS,
    LINE_READERS,
    STREAM_ANCHORS,
    STREAM_READERS,
)
from ringwatch_agent.evidence.base import DocumentReader, Line, LineReader
from ringwatch_agent.evidence.files import Opened
from ringwatch_agent.evidence.sieve import Sieve
from ringwatch_knowledge.observation import Observation
from ringwatch_proto.errors import EvidenceError

# Up to this many chunks a text may be the output of a tool and is read by every reader; more is a log.
SMALL_CHUNKS: Final = 4


@dataclass(slots=True)
class Reading:
    """What was read so far: which kinds in which file, how much, and what was refused and why."""

    kinds: dict[str, set[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    bytes_read: int = 0
    lines_read: int = 0
    logs: int = 0
    progress: Callable[[int], None] | None = None

    def refuse(self, why: str) -> None:
        """Note that a piece of evidence was not read."""
        self.refused.append(why)

    def note(self, file: str, kind: str) -> None:
        """Note that a file holds evidence of a kind."""
        self.kinds.setdefault(file, set()).add(kind)


def observations(pieces: Iterable[Opened], reading: Reading) -> Iterator[Observation]:
    """Yield everything that the pieces of evidence tell."""
    for piece in pieces:
        reading.kinds.setdefault(piece.name, set())
        try:
            yield from _read(piece, reading)
        except EvidenceError as error:
            reading.refuse(str(error))


def _read(piece: Opened, reading: Reading) -> Iterator[Observation]:
    for reader in DOCUMENT_READERS:
        if reader.recognises(piece.head):
            data = piece.whole()
            reading.bytes_read += len(data)
            for seen in _document(reader, piece.name, data):
                reading.note(piece.name, reader.kind)
                yield seen
            reading.note(piece.name, reader.kind)
            return
    encoding = text.encoding_of(piece.head)
    if encoding == "utf-8" and _is_binary(piece.head):
        raise EvidenceError(f"{piece.name}: binary data of no known kind")
    yield from _lines(piece, encoding, reading)


# What a reader of somebody else's document runs into when its values are not of the types they should be.
_MALFORMED: Final = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def _document(reader: DocumentReader, name: str, data: bytes) -> Iterator[Observation]:
    try:
        yield from reader.read(name, data)
    except _MALFORMED as error:
        raise EvidenceError(f"{name}: a malformed document of kind {reader.kind}: {error}") from error


def _is_binary(head: bytes) -> bool:
    """Say whether these bytes are no text: control characters that no log has."""
    sample = head[:8192]
    odd = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in sample)
    broken = sample.decode("utf-8", "replace").count("\ufffd")
    return odd * 20 > len(sample) or broken * 5 > len(sample)


def _counted(piece: Opened, reading: Reading) -> Iterator[bytes]:
    for chunk in piece.chunks:
        reading.bytes_read += len(chunk)
        if reading.progress is not None:
            reading.progress(reading.bytes_read)
        yield chunk


_SYSFS_FILE: Final = re.compile(r"[\w-]{1,64}/(?:ports/\d+/(?:(?:hw_)?counters/)?|net/)\w+$")


def _of_tree(name: str, lines: Iterable[Line]) -> Iterator[Line]:
    """Put the path before the value where a file is one value of a sysfs tree."""
    found = _SYSFS_FILE.search(name)
    for line in lines:
        yield replace(line, text=f"{found[0]}:{line.text}", raw=f"{name}:{line.raw}") if found else line


# A time of day or the level of a logging library: what a log has of a form whose date we cannot read.
_LOG_LINE: Final = re.compile(r"\b\d\d:\d\d:\d\d\b|\b(?:INFO|WARNING|WARN|ERROR|DEBUG)\b")


def _is_log(head: bytes) -> bool:
    """Say whether at least a third of the first lines look like a log's."""
    rows = [row for row in head.decode("utf-8", "replace").splitlines()[:100] if row.strip()]
    logged = [row for row in rows if stamps.read(row).at_s is not None or _LOG_LINE.search(row[:200])]
    return bool(rows) and 3 * len(logged) >= len(rows)


def _lines(piece: Opened, encoding: str, reading: Reading) -> Iterator[Observation]:
    reading.logs += _is_log(piece.head)
    chunks = _counted(piece, reading)
    if encoding != "utf-8":
        yield from _by_all(piece.name, text.lines(piece.name, chunks, encoding), LINE_READERS, reading)
        return
    first = list(islice(chunks, SMALL_CHUNKS))
    rest = next(chunks, b"")
    if not rest:
        yield from _by_all(piece.name, text.lines(piece.name, first, encoding), LINE_READERS, reading)
        return
    counted = [0]
    sifted = Sieve(STREAM_ANCHORS).lines(chain(first, [rest], chunks), counted)
    lines = (text.clean(piece.name, number, raw.decode("utf-8", "replace")) for number, raw in sifted)
    yield from _by_all(piece.name, lines, STREAM_READERS, reading)
    reading.lines_read += counted[0]


def _by_all(
    name: str,
    lines: Iterable[Line],
    makers: Iterable[Callable[[], LineReader]],
    reading: Reading,
) -> Iterator[Observation]:
    readers = [make() for make in makers]
    for line in _of_tree(name, lines):
        reading.lines_read += 1
        for reader in readers:
            for seen in reader.read(line):
                reading.note(name, seen.name if seen.kind == "familiar" else reader.kind)
                yield seen
