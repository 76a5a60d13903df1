"""One thing that is wrong with a library. Finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: where it is, and what to do about it."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return the problem as compilers print theirs."""
        return f"{self.path}:{self.line}: {self.text}"


# (step id, or empty for the head of the file; sentence)
Found = Iterator[tuple[str, str]]
