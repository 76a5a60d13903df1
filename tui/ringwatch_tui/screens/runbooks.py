"""Every runbook of the collector, and one of them as written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ringwatch_tui.screens.base import keys_of
from ringwatch_tui.screens.detail import Detail
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.state.query import Term
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.lines import DIM, STRONG, Line, Section, Span, Table, line
from ringwatch_tui.views.record import runbook_table
from ringwatch_tui.views.run import book_lines


class Runbooks(Listing):
    """The library."""

    SCREEN = "runbooks"
    KIND = "runbook"
    BINDINGS: ClassVar = keys_of("runbooks")

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the runbooks."""
        del monotonic_s
        books = state.runbooks
        empty = self.nothing(
            len(books), lambda _cells: [line(Span("This collector tells no runbooks.", DIM))]
        )
        return runbook_table(books, terms=terms, empty=empty), len(books)


class RunbookDetail(Detail):
    """A runbook as written; it is walked from an incident."""

    SCREEN = "runbook_page"
    PANELS = ("book",)
    wants = "runbook"
    BINDINGS: ClassVar = keys_of("runbook_page")

    def content(self, state: ConsoleState, monotonic_s: float) -> tuple[Line, Sequence[Section]] | None:
        """Return the runbook, once the library is known."""
        del monotonic_s
        book = next((each for each in state.runbooks if each.id == self.object_id), None)
        if book is None:
            return None
        head = line(Span(book.id, STRONG), Span(f"  revision {book.revision}  {book.title_zh}", DIM))
        return head, (Section(key="book", title="As written", build=lambda cells: book_lines(book, cells)),)
