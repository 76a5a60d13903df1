"""Reads pieces of evidence with every reader of the table. Composes; recognises and judges nothing itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from ringwatch_agent.evidence import text
from ringwatch_agent.evidence.base import Line
from ringwatch_agent.evidence.all import DOCUMENT_READERS, LINE_READERS
from ringwatch_agent.evidence.files import Opened
from ringwatch_knowledge.observation import Observation
from ringwatch_proto.errors import EvidenceError


@dataclass(slots=True)
class Reading:
    """What was read so far: which kinds in which file, how much, and what was refused and why."""

    kinds: dict[str, set[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    bytes_read: int = 0
    lines_read: int = 0
    dated_lines: int = 0

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
            for seen in reader.read(piece.name, data):
                reading.note(piece.name, reader.kind)
                yield seen
            reading.note(piece.name, reader.kind)
            return
    encoding = text.encoding_of(piece.head)
    if encoding == "utf-8" and _is_binary(piece.head):
        raise EvidenceError(f"{piece.name}: binary data of no known kind")
    yield from _lines(piece, encoding, reading)


def _is_binary(head: bytes) -> bool:
    """Say whether these bytes are no text: control characters that no log has."""
    sample = head[:8192]
    odd = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in sample)
    return len(sample) > 0 and odd > len(sample) // 10


def _counted(piece: Opened, reading: Reading) -> Iterator[bytes]:
    for chunk in piece.chunks:
        reading.bytes_read += len(chunk)
        yield chunk


_SYSFS_FILE: Final = re.compile(r"[\w-]+/(?:ports/\d+/(?:(?:hw_)?counters/)?|net/)\w+$")


def _of_tree(name: str, lines: Iterator[Line]) -> Iterator[Line]:
    """Put the path before the value where a file is one value of a sysfs tree."""
    found = _SYSFS_FILE.search(name)
    for line in lines:
        yield replace(line, text=f"{found[0]}:{line.text}", raw=f"{name}:{line.raw}") if found else line


def _lines(piece: Opened, encoding: str, reading: Reading) -> Iterator[Observation]:
    readers = [make() for make in LINE_READERS]
    for line in _of_tree(piece.name, text.lines(piece.name, _counted(piece, reading), encoding)):
        reading.lines_read += 1
        reading.dated_lines += line.at_s is not None
        for reader in readers:
            for seen in reader.read(line):
                reading.note(piece.name, seen.name if seen.kind == "familiar" else reader.kind)
                yield seen
