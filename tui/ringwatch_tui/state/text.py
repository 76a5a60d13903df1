"""How text that came from elsewhere is made safe and fitted to cells. No colours, no widgets.

Names of hosts, jobs and devices, log lines and notes are written by machines and people that we do not
control. Before any of it reaches a terminal, escapes, control characters, line breaks and characters
that reorder or hide text are replaced by a visible mark.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

from rich.cells import cell_len, set_cell_size

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS: Final = "…"
# Cc control, Cf format (bidi overrides, zero width), Cs surrogates, Co private use, Cn unassigned,
# Zl and Zp line separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# More combining marks than this on one character only serve to draw over the neighbours.
_MAX_MARKS: Final = 2


def clean(text: str) -> str:
    """Return the text with everything that a terminal could act on replaced by a visible mark."""
    if text.isascii() and text.isprintable():
        return text
    return _clean(text)


@lru_cache(maxsize=4096)
def _clean(text: str) -> str:
    out: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MAX_MARKS:
            continue
        safe = " " if category == "Zs" else character
        out.append(REPLACEMENT if category in _UNSAFE else safe)
    return "".join(out)


def width(text: str) -> int:
    """Return how many terminal cells the cleaned text takes."""
    cleaned = clean(text)
    return len(cleaned) if cleaned.isascii() else cell_len(cleaned)


def clip(text: str, cells: int) -> str:
    """Return the cleaned text in at most so many cells, with an ellipsis where it was cut."""
    cleaned = clean(text)
    if cells <= 0:
        return ""
    if width(cleaned) <= cells:
        return cleaned
    return set_cell_size(cleaned, cells - 1).rstrip() + ELLIPSIS


def pad(text: str, cells: int, align: str = "left") -> str:
    """Return the cleaned text clipped and filled to exactly so many cells."""
    clipped = clip(text, cells)
    gap = " " * (cells - width(clipped))
    return gap + clipped if align == "right" else clipped + gap


def wrap(text: str, cells: int) -> list[str]:
    """Return the cleaned text broken at spaces into lines of at most so many cells; at least one line."""
    cells = max(2, cells)
    lines: list[str] = []
    line = ""
    for word in clean(text).split():
        joined = f"{line} {word}" if line else word
        if width(joined) <= cells:
            line = joined
            continue
        lines.extend([line] if line else [])
        *whole, line = _pieces(word, cells)
        lines.extend(whole)
    return [*lines, line] if line or not lines else lines


def _pieces(word: str, cells: int) -> list[str]:
    """Return a word in pieces of at most so many cells."""
    pieces: list[str] = []
    start = taken = 0
    for index, character in enumerate(word):
        need = cell_len(character)
        if taken + need > cells:
            pieces.append(word[start:index])
            start, taken = index, 0
        taken += need
    return [*pieces, word[start:]]


@cache
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which n9 comes before n10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part)
