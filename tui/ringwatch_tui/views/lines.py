"""The small language of screens: spans with a mark for their meaning, lines, sections and tables.

A mark says what a span means, never how it looks: ``fault`` is a letter or word that must be seen first,
``trouble`` is text about one, ``cell`` is a healthy place on the map. A theme turns marks into looks,
and the text twins drop them, which works because every meaning is also a word or a letter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, overload

from ringwatch_tui.state.text import clip, pad, width, wrap

PLAIN: Final = ""
DIM: Final = "dim"
STRONG: Final = "strong"
HEAD: Final = "head"
FAULT: Final = "fault"
TROUBLE: Final = "trouble"
CELL: Final = "cell"
WARN: Final = "warn"
INFO: Final = "info"
DRILL: Final = "drill"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text with one meaning."""

    text: str
    mark: str = PLAIN


Line = tuple[Span, ...]
Build = Callable[[int], Sequence[Line]]
BLANK: Final[Line] = ()


def line(*parts: str | Span) -> Line:
    """Return a line of parts; plain strings have no mark."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(content: Line) -> str:
    """Return the text of a line without its marks."""
    return "".join(span.text for span in content)


def labelled(label: str, text: str, cells: int, *, indent: int = 10, mark: str = PLAIN) -> list[Line]:
    """Return a label and its wrapped text beside it: ``CAUSE     the text``."""
    rows = wrap(text, cells - indent)
    first = line(Span(pad(label, indent), HEAD), Span(rows[0], mark))
    return [first, *(line(" " * indent, Span(row, mark)) for row in rows[1:])]


def paragraph(text: str, cells: int, mark: str = PLAIN, indent: str = "") -> list[Line]:
    """Return wrapped text as lines of one mark."""
    return [line(indent, Span(row, mark)) for row in wrap(text, cells - len(indent))]


def fit(content: Line, cells: int) -> Line:
    """Return the line clipped to so many cells."""
    out: list[Span] = []
    left = cells
    for span in content:
        if left <= 0:
            break
        text = clip(span.text, left)
        out.append(Span(text, span.mark))
        left -= width(text)
    return tuple(out)


def spread(left: Line, right: Line, cells: int) -> Line:
    """Return one line with a part at each end; the right part gives way first."""
    used = sum(width(span.text) for span in left)
    room = sum(width(span.text) for span in right)
    gap = cells - used - room
    if gap < 1:
        return fit(left, cells)
    return (*left, Span(" " * gap), *right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of a screen. ``build`` makes its lines for a width; ``hint`` names its keys."""

    key: str
    title: str
    build: Build
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    ``priority`` 0 stays to the last; higher numbers go first when the table is narrow. ``flex`` columns
    share the room that is left. ``cells`` is the width, for flex columns the least width.
    """

    key: str
    title: str
    cells: int
    align: str = "left"
    priority: int = 0
    flex: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: the id of its object, and a span or line a column."""

    id: str
    values: Mapping[str, Span | Line]
    fields: Mapping[str, str] = field(default_factory=dict)


class LazyRows(Sequence[Row]):
    """Rows that are made when they are looked at: a list of 10,000 shows forty. ``ids`` is known at once."""

    __slots__ = ("_build", "_made", "ids")

    def __init__(self, ids: Sequence[str], build: Callable[[int], Row]) -> None:
        self.ids = ids
        self._build = build
        self._made: dict[int, Row] = {}

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        """Return a row, made now if it was not before."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self.ids)))]
        at = range(len(self.ids))[place]
        if at not in self._made:
            self._made[at] = self._build(at)
        return self._made[at]


def ids_of(rows: Sequence[Row]) -> Sequence[str]:
    """Return the id of each row without making one."""
    return rows.ids if isinstance(rows, LazyRows) else [row.id for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table for any width. ``empty`` is said when there are no rows."""

    columns: tuple[Column, ...]
    rows: Sequence[Row]
    empty: Build = lambda _cells: ()


GAP: Final = 2


def columns_for(columns: Sequence[Column], cells: int) -> tuple[Column, ...]:
    """Return the columns that fit so many cells, flex columns grown; drops by priority, highest first."""
    kept = list(columns)
    while len(kept) > 1 and sum(each.cells + GAP for each in kept) - GAP > cells:
        worst = max(range(len(kept)), key=lambda index: (kept[index].priority, index))
        if kept[worst].priority == 0:
            break
        del kept[worst]
    spare = cells - (sum(each.cells + GAP for each in kept) - GAP)
    return tuple(_grown(kept, spare))


def _grown(columns: list[Column], spare: int) -> list[Column]:
    total = sum(each.flex for each in columns)
    if total == 0:
        return columns
    out = []
    for each in columns:
        share = spare * each.flex // total if each.flex else 0
        total -= each.flex
        spare -= share
        out.append(replace(each, cells=max(1, each.cells + share)))
        if total == 0:
            total = 1
    return out


def header_line(columns: Sequence[Column]) -> Line:
    """Return the titles of the columns."""
    return line(*_joined([Span(pad(each.title, each.cells, each.align), HEAD) for each in columns]))


def row_line(row: Row, columns: Sequence[Column]) -> Line:
    """Return the cells of a row for these columns."""
    cells: list[Line] = [_cell(row.values.get(each.key, Span("")), each) for each in columns]
    out: list[Span] = []
    for index, cell in enumerate(cells):
        out.extend([Span(" " * GAP)] if index else [])
        out.extend(cell)
    return tuple(out)


def _cell(value: Span | Line, column: Column) -> Line:
    if isinstance(value, Span):
        return (Span(pad(value.text, column.cells, column.align), value.mark),)
    fitted = fit(value, column.cells)
    gap = Span(" " * (column.cells - sum(width(span.text) for span in fitted)))
    return (gap, *fitted) if column.align == "right" else (*fitted, gap)


def _joined(spans: Sequence[Span]) -> list[Span]:
    out: list[Span] = []
    for index, span in enumerate(spans):
        out.extend([Span(" " * GAP)] if index else [])
        out.append(span)
    return out


def table_lines(table: Table, cells: int) -> list[Line]:
    """Return the whole table as lines: for documents and the text twins."""
    if not table.rows:
        return list(table.empty(cells))
    columns = columns_for(table.columns, cells)
    return [header_line(columns), *(row_line(row, columns) for row in table.rows)]


def document(sections: Sequence[Section]) -> Build:
    """Return one build that prints the sections below each other: for narrow screens and text."""

    def build(cells: int) -> list[Line]:
        out: list[Line] = []
        for section in sections:
            rows = list(section.build(cells))
            if not rows:
                continue
            if section.title:
                out.extend([BLANK] if out else [])
                rule = "─" * max(0, cells - width(section.title) - 1)
                out.append(line(Span(section.title, STRONG), Span(f" {rule}", DIM)))
            out.extend(rows)
        return out

    return build
