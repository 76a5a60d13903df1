"""What the three lists share: a table, a filter that is kept and shown, and opening a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.widget import Widget
from textual.widgets import Input

from ringwatch_tui.screens.base import Open, Target
from ringwatch_tui.screens.rows import RowsScreen
from ringwatch_tui.state.query import Term, parse
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.fleet import no_answer
from ringwatch_tui.views.lines import DIM, INFO, Build, Span, Table, line
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.vtable import VTable


class Listing(RowsScreen):
    """A list of objects of one kind. ``count`` is the number before the filter."""

    KIND: ClassVar[str] = ""
    AUTO_FOCUS = "VTable"

    def body(self) -> Iterable[Widget]:
        """Return filter and table."""
        yield Input(placeholder="word  field:word  !word  sev:>=warn", id="filter", compact=True)
        yield Bar(id="count")
        yield VTable(classes="panel")

    def on_mount(self) -> None:
        """Show the filter only while it is typed."""
        self.query_one(Input).display = False

    @property
    def noun(self) -> str:
        """Return what the rows are, for their number."""
        return self.crumb.lower()

    @property
    def terms(self) -> tuple[Term, ...]:
        """Return the conditions of the filter."""
        return parse(self.query_one(Input).value)

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the filtered table and how many rows there are without the filter."""
        raise NotImplementedError

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw the table and what the filter hides."""
        if state.fleet is None:
            waiting = Table(columns=(), rows=(), empty=lambda _cells: no_answer(state))
            self.query_one(VTable).show(waiting, title=self.crumb)
            return
        table, total = self.table(state, monotonic_s, self.terms)
        if self.query_one(VTable).show(table, title=self.crumb):
            self.moved_s = monotonic_s
        text = self.query_one(Input).value
        left = line(Span(f" / {text}", INFO), Span("   esc clears", DIM)) if text else line()
        shown = f"{len(table.rows):,} of {total:,} {self.noun} " if text else f"{total:,} {self.noun} "
        self.query_one("#count", Bar).show(left, line(Span(shown, DIM)))

    def nothing(self, total: int, otherwise: Build) -> Build:
        """Return what an empty table says: the filter in full when it is to blame."""
        text = self.query_one(Input).value
        if not text or not total:
            return otherwise
        return lambda _cells: [
            line(Span(f"Nothing matches  {text}", INFO)),
            line(Span(f"{total:,} hidden; esc clears the filter", DIM)),
        ]

    @property
    def filter_text(self) -> str:
        """Return the filter as it was typed."""
        return self.query_one(Input).value

    def use_filter(self, text: str) -> None:
        """Filter by a text as if it had been typed."""
        self.query_one(Input).value = text
        self._close()

    def local(self, action: str) -> bool:
        """Type a filter; esc clears it before it leaves."""
        if super().local(action):
            return True
        field = self.query_one(Input)
        if action == "filter":
            field.display = True
            field.focus()
            return True
        if action == "back" and (field.value or field.display):
            field.value = ""
            self._close()
            return True
        return False

    def _close(self) -> None:
        self.query_one(Input).display = False
        self.query_one(VTable).focus()
        self.again()

    def on_input_changed(self) -> None:
        """Filter while it is typed."""
        self.again()

    def on_input_submitted(self) -> None:
        """Keep the filter and go back to the table."""
        self._close()

    def target(self) -> Target | None:
        """Return the selected object."""
        selected = self.query_one(VTable).selected
        return Target(kind=self.KIND, id=selected) if selected else None

    def on_vtable_opened(self, event: VTable.Opened) -> None:
        """Open the object, if objects of this list have a screen."""
        if self.KIND:
            self.post_message(Open(self.KIND, event.id))
