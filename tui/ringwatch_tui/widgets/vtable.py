"""A table that draws only the rows in sight and holds its selection by object, never by row number."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ringwatch_tui.themes import SELECTED
from ringwatch_tui.views.lines import (
    GAP,
    INFO,
    STRONG,
    Column,
    Line,
    Row,
    Span,
    Table,
    columns_for,
    header_line,
    ids_of,
    row_line,
)
from ringwatch_tui.widgets.paint import base_style, looks_of, marker, set_frame, strip_of

_MARGIN = 2
_LETTERS = string.ascii_lowercase + string.ascii_uppercase
# Above this many changed cells one whole repaint costs less than a region each.
_REGIONS_AT_MOST = 50


class VTable(ScrollView, can_focus=True):
    """Shows a ``Table``; posts what was selected and what was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("g,home", "jump(0)", show=False),
        Binding("G,end", "jump(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Selected(Message):
        """The operator selected another row; a program that selects one is not told."""

        def __init__(self, table: VTable, id: str) -> None:
            super().__init__()
            self.table = table
            self.id = id

        @property
        def control(self) -> VTable:
            """Return the table that posted this."""
            return self.table

    class Opened(Selected):
        """A row was opened."""

    def __init__(self, *, id: str | None = None, classes: str | None = None, header: bool = True) -> None:
        super().__init__(id=id, classes=classes)
        self._table = Table(columns=(), rows=())
        self._header = 1 if header else 0
        self._ids: Sequence[str] = ()
        self._places: dict[str, int] = {}
        self._selected = ""
        self._marked: set[str] = set()
        # Letters before the rows in sight, while the next key jumps to one.
        self._letters: dict[str, str] = {}
        self._columns: Sequence[Column] = ()

    @property
    def selected(self) -> str:
        """Return the id of the selected object, empty when there is none."""
        return self._selected

    @property
    def marked(self) -> tuple[str, ...]:
        """Return the ids of the marked objects in the order of the rows."""
        return tuple(id for id in self._ids if id in self._marked) if self._marked else ()

    def toggle_mark(self) -> None:
        """Mark the selected object, or take its mark away, and go on to the next row."""
        if self._selected:
            self._marked ^= {self._selected}
            self.action_move(1)
            self.refresh()

    def clear_marks(self) -> bool:
        """Take every mark away; say whether there was one."""
        had, self._marked = bool(self._marked), set()
        if had:
            self.refresh()
        return had

    def offer_letters(self) -> None:
        """Put a letter before each row in sight; the next key selects that row, any other none."""
        top = self.scroll_offset.y
        shown = self._ids[top : top + max(0, self.scrollable_content_region.height - self._header)]
        self._letters = dict(zip(shown, _LETTERS, strict=False))
        self.focus()
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        """Take the letter of a row."""
        if not self._letters:
            return
        found = {letter: id for id, letter in self._letters.items()}.get(event.character or "")
        self._letters = {}
        event.stop()
        event.prevent_default()
        if found is not None:
            self._choose(found)
        self.refresh()

    @property
    def rows(self) -> Sequence[Row]:
        """Return the rows shown."""
        return self._table.rows

    def show(self, table: Table, *, title: str | None = None, hint: str | None = None) -> bool:
        """Show other rows; return whether the order of those there changed under the operator's hand."""
        before, after = self._ids, ids_of(table.rows)
        set_frame(self, title, hint)
        lost, old = self._index(), self._table
        self._table, self._ids = table, after
        self._places = {id: place for place, id in enumerate(after)}
        self._marked &= self._places.keys()
        if self._selected not in self._places:
            self._selected = after[min(lost, len(after) - 1)] if after else ""
        self._resize()
        if before == after and after and old.columns == table.columns:
            self._refresh_rows(old.rows, table.rows)
        else:
            self.refresh()
        return before != after and bool(before)

    def _refresh_rows(self, before: Sequence[Row], after: Sequence[Row]) -> None:
        """Paint only what changed in rows that stand where they stood: often no more than an age."""
        top = self.scroll_offset.y
        regions = [
            region
            for y in range(top, min(len(after), top + self.scrollable_content_region.height))
            if (was := before[y]) != (now := after[y])
            for region in self._changed(y, was, now)
        ]
        if len(regions) > _REGIONS_AT_MOST:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def _changed(self, row: int, was: Row, now: Row) -> Iterator[Region]:
        """Yield the places of the cells that differ, within the viewport."""
        y = row + self._header - self.scroll_offset.y
        if not self._header <= y < self.scrollable_content_region.height:
            return
        x = _MARGIN
        for column in self._columns:
            if was.values.get(column.key) != now.values.get(column.key):
                yield Region(x, y, column.cells + 1, 1)
            x += column.cells + GAP

    def select(self, id: str) -> bool:
        """Select an object if it is listed; say whether that changed anything."""
        if id == self._selected or id not in self._places:
            return False
        self._selected = id
        self._reveal()
        self.refresh()
        return True

    def _choose(self, id: str) -> None:
        """Select what the operator pointed at, and tell."""
        if self.select(id):
            self.post_message(self.Selected(self, id))

    def _index(self) -> int:
        return self._places.get(self._selected, 0)

    def _resize(self) -> None:
        cells = self.scrollable_content_region.width
        self._columns = columns_for(self._table.columns, cells - _MARGIN)
        self.virtual_size = Size(cells, len(self._table.rows) + self._header)

    def on_resize(self) -> None:
        """Choose the columns that fit."""
        self._resize()
        self.call_after_refresh(self._reveal)

    def on_focus(self) -> None:
        """Draw the selection as it is while keys come here."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw the selection as it is while keys go elsewhere."""
        self.refresh()

    def redraw(self) -> None:
        """Draw again: looks have changed, values have not."""
        self.refresh()

    def _reveal(self) -> None:
        row = self._index()
        self.scroll_to_region(Region(0, row, 1, 1 + self._header), animate=False, force=True)

    def action_move(self, by: int) -> None:
        """Select the row so many further."""
        self.action_jump(min(max(0, self._index() + by), max(0, len(self._table.rows) - 1)))

    def action_jump(self, index: int) -> None:
        """Select the row at this place; -1 is the last."""
        if self._table.rows:
            self._choose(self._ids[index])

    def action_page(self, by: int) -> None:
        """Select the row a page further."""
        self.action_move(by * max(1, self.scrollable_content_region.height - self._header - 1))

    def action_open(self) -> None:
        """Open the selected object."""
        if self._selected:
            self.post_message(self.Opened(self, self._selected))

    def on_click(self, event: events.Click) -> None:
        """Select the row under the mouse; open it on the second click."""
        index = event.y - self.gutter.top - self._header + self.scroll_offset.y
        if 0 <= index < len(self._table.rows):
            self._choose(self._ids[index])
            if event.chain > 1:
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """Return one line of the viewport; the header stays."""
        cells = self.scrollable_content_region.width
        if not self._table.rows:
            lines = list(self._table.empty(cells - _MARGIN))
            return self._text(lines[y], cells) if y < len(lines) else Strip.blank(cells, base_style(self))
        if y < self._header:
            return self._text(header_line(self._columns), cells)
        index = y - self._header + self.scroll_offset.y
        if index >= len(self._table.rows):
            return Strip.blank(cells, base_style(self))
        row = self._table.rows[index]
        chosen = row.id == self._selected
        under = looks_of(self)[SELECTED] if chosen and self.has_focus else None
        return self._text(row_line(row, self._columns), cells, id=row.id, chosen=chosen, under=under)

    def _text(
        self,
        content: Line,
        cells: int,
        *,
        id: str = "",
        chosen: bool = False,
        under: Style | None = None,
    ) -> Strip:
        start = Span(marker(chosen), "strong" if chosen else "")
        return strip_of(self, (*self._before(id, start), *content), cells, under=under)

    def _before(self, id: str, start: Span) -> Line:
        """Return what stands before a row: the cursor or the letter to press, and the mark."""
        letter = self._letters.get(id)
        first = Span(letter, INFO) if letter else start
        return first, Span("*" if id and id in self._marked else " ", STRONG)
