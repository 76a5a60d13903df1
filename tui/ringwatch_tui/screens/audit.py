"""Who did what, when and why, as the collector keeps it; and whether its chain is whole."""

from __future__ import annotations

from typing import ClassVar

from ringwatch_tui.screens.base import keys_of
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.session import Want
from ringwatch_tui.state.query import Term
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.lines import DIM, FAULT, Span, Table, line
from ringwatch_tui.views.record import audit_table
from ringwatch_tui.widgets.bars import Bar


class Audit(Listing):
    """The newest records of the audit log."""

    SCREEN = "audit"
    BINDINGS: ClassVar = keys_of("audit")

    @property
    def want(self) -> Want | None:
        """Return the log: it is asked for while it is shown."""
        return Want(kind="audit", id="")

    @property
    def noun(self) -> str:
        """Return what the rows are."""
        return "records, the newest"

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the records."""
        del monotonic_s
        records = state.audit.records
        empty = self.nothing(len(records), lambda _cells: [line(Span("Nobody has done anything yet.", DIM))])
        return audit_table(records, terms=terms, empty=empty), len(records)

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw the list, and over it a chain that does not hold."""
        super().draw(state, monotonic_s)
        if not state.audit.intact:
            broken = "the audit log's chain is broken: ringwatch audit verify says where"
            self.query_one("#count", Bar).show(line(Span(f" {broken}", FAULT)))
