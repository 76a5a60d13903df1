"""Shapes of log lines beyond the GPU driver's own codes, and what each speaks for. Reads no log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from ringwatch_knowledge import data_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One shape of line.

    ``role`` is ``root`` (reports a fault itself), ``effect`` (follows one), ``mixed`` (either),
    ``benign`` (looks like a fault and is none) or ``context`` (speaks only together with others).
    """

    id: str
    fault_class: str
    role: str
    anchors: tuple[str, ...]
    regex: re.Pattern[str] | None
    action: str = ""

    def fields_of(self, line: str) -> dict[str, str] | None:
        """Return the named parts of a line of this shape, None for any other line."""
        if self.regex is None:
            return {}
        found = self.regex.search(line)
        if found is None:
            return None
        return {name: value for name, value in found.groupdict().items() if value is not None}


@cache
def signs() -> tuple[Sign, ...]:
    """Return every sign, in the order of the data file."""
    return tuple(
        Sign(
            id=row["id"],
            fault_class=row["fault_class"],
            role=row["role"],
            anchors=tuple(row["anchors"]),
            regex=re.compile(row["regex"]) if "regex" in row else None,
            action=row.get("action", ""),
        )
        for row in data_files.read("line_signs.json")["signs"]
    )


@cache
def by_id() -> dict[str, Sign]:
    """Return the signs by their id."""
    return {sign.id: sign for sign in signs()}


def anchors() -> Iterable[str]:
    """Return every literal of which a line must hold one to be any sign."""
    return {anchor for sign in signs() for anchor in sign.anchors}


# Digits of numbers, hexadecimal ones too: lines that differ in numbers only are of one shape.
VARYING: Final = b"0123456789abcdef"


def shape_of(text: str) -> bytes:
    """Return a text without what varies from line to line; an anchor in a text is still in its shape so."""
    return text.encode("utf-8", "replace").translate(None, VARYING)


@cache
def _by_anchor() -> tuple[tuple[bytes, str, Sign], ...]:
    return tuple((shape_of(anchor), anchor, sign) for sign in signs() for anchor in sign.anchors)


@lru_cache(maxsize=4096)
def _possible(shape: bytes) -> tuple[tuple[str, Sign], ...]:
    """Return the anchors that a line of this shape may hold: a log has few shapes and many lines."""
    return tuple((anchor, sign) for stripped, anchor, sign in _by_anchor() if stripped in shape)


def match(line: str) -> Iterator[tuple[Sign, dict[str, str]]]:
    """Yield each sign that a line shows, with its named parts."""
    for sign in dict.fromkeys([sign for anchor, sign in _possible(shape_of(line)) if anchor in line]):
        fields = sign.fields_of(line)
        if fields is not None:
            yield sign, fields
