"""The reader seam: lines or a whole document in, observations out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ringwatch_knowledge.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a text, without colours, tags of launchers and carriage returns.

    ``raw`` is what stands in the file. ``at_s`` is None when the line carries no time.
    """

    file: str
    number: int
    text: str
    raw: str
    node: str = ""
    rank: int = -1
    at_s: float | None = None


class LineReader(Protocol):
    """Reads a text line by line; one instance a file, so that it may remember the lines before."""

    @property
    def kind(self) -> str:
        """Name of the kind of evidence that it reads, as the documentation lists it."""
        ...

    def read(self, line: Line) -> Iterable[Observation]:
        """Return what this line tells. A line of another kind gives nothing; nothing raises."""
        ...


class DocumentReader(Protocol):
    """Reads a whole document that cannot be read by lines: XML, JSON, a pickle."""

    @property
    def kind(self) -> str:
        """Name of the kind of evidence that it reads."""
        ...

    def recognises(self, head: bytes) -> bool:
        """Say from the first bytes whether the document may be of this kind."""
        ...

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield what the document tells; raise EvidenceError when it is not of this kind after all."""
        ...


def observed(
    line: Line,
    kind: str,
    name: str,
    *,
    value: float = float("nan"),
    word: str = "",
    device: str = "",
    rank: int | None = None,
    fields: dict[str, str] | None = None,
) -> Observation:
    """Return an observation made on ``line``."""
    return Observation(
        kind=kind,
        name=name,
        text=line.raw,
        file=line.file,
        line=line.number,
        value=value,
        word=word,
        node=line.node,
        device=device,
        rank=line.rank if rank is None else rank,
        at_s=line.at_s,
        fields=fields or {},
    )
