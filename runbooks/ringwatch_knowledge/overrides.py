"""An operator's own words on what the catalogues say: a folder of JSON files laid over the product's data.

A file carries the name of the catalogue that it changes, and rows with the fields that differ, who changed
them and why: ``{"xids": [{"code": 63, "first_action": "none", "changed_by": "...", "because": "..."}]}``.
A row that does not fit is left out alone and told in ``troubles``. Standard library only.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_LOG: Final = logging.getLogger("ringwatch.knowledge")
FOLDER_VARIABLE: Final = "RINGWATCH_KNOWLEDGE"
DEFAULT_FOLDER: Final = Path("/etc/ringwatch/knowledge")
# Fields of an override that are about it, beside those that it changes.
BY: Final = "changed_by"
BECAUSE: Final = "because"
_LARGEST_BYTES: Final = 4 << 20

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a catalogue is laid out: the list of its rows, their key, and the fields whose words are closed."""

    name: str
    rows: str
    key: str
    closed: frozenset[str]
    expressions: frozenset[str] = frozenset()

    @property
    def file(self) -> str:
        """Return the name of the data file."""
        return f"{self.name}.json"

    def key_of(self, row: Mapping[str, Any]) -> str:
        """Return the key of a row as people write it."""
        return str(row.get(self.key, ""))


SHAPES: Final[tuple[Shape, ...]] = (
    Shape(
        name="xid",
        rows="xids",
        key="code",
        closed=frozenset({"severity", "origin", "role", "first_action", "fault_class"}),
    ),
    Shape(
        name="sxid",
        rows="sxids",
        key="code",
        closed=frozenset({"severity", "fatality", "first_action", "fault_class"}),
    ),
    Shape(name="nvlink5", rows="units", key="id", closed=frozenset({"fatal", "now", "investigate", "side"})),
    Shape(name="clock_events", rows="events", key="bit", closed=frozenset({"standing"})),
    Shape(
        name="kernel_log",
        rows="patterns",
        key="id",
        closed=frozenset({"kind", "severity"}),
        expressions=frozenset({"regex"}),
    ),
    Shape(
        name="line_signs",
        rows="signs",
        key="id",
        closed=frozenset({"role", "fault_class", "action"}),
        expressions=frozenset({"regex"}),
    ),
    Shape(
        name="fault_classes",
        rows="classes",
        key="fault_class",
        closed=frozenset({"severity", "action"}),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One row that an operator changed, and what the product says instead (empty for a row of their own)."""

    catalogue: str
    key: str
    changes: Row
    product: Row
    by: str
    reason: str
    file: str


_troubles: list[str] = []
_applied: dict[str, tuple[Override, ...]] = {}


def folder() -> Path:
    """Return the folder that overrides are read from."""
    return Path(os.environ.get(FOLDER_VARIABLE, "") or DEFAULT_FOLDER)


def troubles() -> tuple[str, ...]:
    """Return what was left out of the overrides read so far, and why."""
    return tuple(_troubles)


def applied(catalogue: str) -> tuple[Override, ...]:
    """Return the overrides in force for a catalogue that was read."""
    return _applied.get(catalogue, ())


def shape_of(name: str) -> Shape | None:
    """Return the layout of a catalogue by its name, None for no such catalogue."""
    return next((shape for shape in SHAPES if shape.name == name), None)


def laid_over(shape: Shape, document: Row, where: Path | None = None) -> Row:
    """Return the catalogue with the operator's rows over it; ``where`` None takes the folder in force."""
    path = (where or folder()) / shape.file
    found: list[Override] = []
    rows = {shape.key_of(row): row for row in document[shape.rows]}
    vocabulary = Vocabulary(shape, document[shape.rows])
    try:
        for override in _read(shape, path):
            wrong = vocabulary.wrong_with(override.changes, is_new=override.key not in rows)
            if wrong:
                _trouble(f"{path}: {shape.key} {override.key!r}: {'; '.join(wrong)}")
                continue
            before = rows.get(override.key, {})
            rows[override.key] = before | override.changes
            product = {name: before[name] for name in override.changes if name in before}
            found.append(
                Override(
                    catalogue=shape.name,
                    key=override.key,
                    changes=override.changes,
                    product=product,
                    by=override.by,
                    reason=override.reason,
                    file=str(path),
                )
            )
    except (OSError, ValueError) as error:
        _trouble(f"{path}: {error}")
    _applied[shape.name] = tuple(found)
    return document | {shape.rows: list(rows.values())}


def _trouble(text: str) -> None:
    if text not in _troubles:
        _troubles.append(text)
        _LOG.warning("left out of the knowledge: %s", text)


def _read(shape: Shape, path: Path) -> Iterator[Override]:
    """Yield the rows of one file; raise OSError or ValueError for a file that is none."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        return
    if len(data) > _LARGEST_BYTES:
        raise ValueError(f"more than {_LARGEST_BYTES >> 20} MiB")
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get(shape.rows), list):
        raise ValueError(f"needs a list {shape.rows!r}")
    for row in document[shape.rows]:
        if not isinstance(row, dict) or not shape.key_of(row):
            _trouble(f"{path}: a row without {shape.key!r}")
            continue
        yield Override(
            catalogue=shape.name,
            key=shape.key_of(row),
            changes={name: value for name, value in row.items() if name not in (BY, BECAUSE)},
            product={},
            by=str(row.get(BY, "")),
            reason=str(row.get(BECAUSE, "")),
            file=str(path),
        )


class Vocabulary:
    """What rows of one catalogue may hold, learned from the product's own rows."""

    def __init__(self, shape: Shape, rows: Sequence[Row]) -> None:
        self._shape = shape
        self.required = frozenset.intersection(*(frozenset(row) for row in rows))
        self.kinds: dict[str, set[type]] = {}
        self.words: dict[str, set[Any]] = {name: set() for name in shape.closed}
        for row in rows:
            for name, value in row.items():
                self.kinds.setdefault(name, set()).add(type(value))
                if name in shape.closed:
                    self.words[name].add(value)

    def wrong_with(self, row: Row, *, is_new: bool) -> list[str]:
        """Return what is wrong with a row, in words; empty when it fits."""
        wrong = [f"no field {name!r}" for name in row if name not in self.kinds]
        if is_new:
            wrong += [f"a new row needs {name!r}" for name in sorted(self.required - row.keys())]
        for name, value in row.items():
            if name in self.kinds:
                wrong += self._wrong_value(name, value)
        return wrong

    def _wrong_value(self, name: str, value: object) -> Iterator[str]:
        if type(value) not in self.kinds[name]:
            wanted = " or ".join(sorted(kind.__name__ for kind in self.kinds[name]))
            yield f"{name} is a {type(value).__name__}, not a {wanted}"
        elif name in self._shape.closed and value not in self.words[name]:
            yield f"{name}={value!r} is none of {', '.join(sorted(map(str, self.words[name])))}"
        elif name in self._shape.expressions:
            yield from wrong_expression(str(value))


# A group that is one repeated atom, repeated: (a+)+ tries every way to share the letters out.
_RUNS_AWAY: Final = re.compile(r"\((?:\?:)?(?:\\.|\[[^\]]*\]|[^\\()\[])[*+]\)[*+{]")


def wrong_expression(expression: str) -> Iterator[str]:
    """Yield why an expression must not be run over every line of a log."""
    try:
        re.compile(expression)
    except re.error as error:
        yield f"the expression does not compile: {error}"
    if _RUNS_AWAY.search(expression):
        yield "a repeat inside a repeat can take for ever"
