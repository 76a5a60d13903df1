"""Silences by matcher, and what was told to whom."""

from __future__ import annotations

from typing import ClassVar

from ringwatch_tui.screens.base import Open, Target, keys_of
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.session import Want
from ringwatch_tui.state.query import Term
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.alerting import alert_table, silence_table
from ringwatch_tui.views.lines import DIM, STRONG, WARN, Build, Line, Span, Table, line, paragraph
from ringwatch_tui.widgets.vtable import VTable


def _said(*sentences: str) -> Build:
    """Return the first sentence loud and the others low."""

    def build(cells: int) -> list[Line]:
        first, *others = sentences
        return [
            *paragraph(first, cells, STRONG),
            *(row for each in others for row in paragraph(each, cells, DIM)),
        ]

    return build


def _waiting(state: ConsoleState, kind: str) -> Build:
    """Return what stands there until the answer came, or why none will."""
    reason = state.missing.get((kind, ""))
    return lambda _cells: [line(Span(reason or "Asking the collector ...", WARN if reason else DIM))]


class Silences(Listing):
    """What is held back for a time, and until when."""

    SCREEN = "silences"
    KIND = "silence"
    BINDINGS: ClassVar = keys_of("silences")

    @property
    def want(self) -> Want | None:
        """Return the silences: they are asked for while they are shown."""
        return Want(kind="silences", id="")

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the silences."""
        found = state.silences or ()
        none = _said("Nothing is held back.", "S holds back what matches, for a time: maintenance of a node.")
        empty = self.nothing(len(found), none if state.silences is not None else _waiting(state, "silences"))
        now_s = state.now_s(monotonic_s)
        return silence_table(found, now_s, terms=terms, empty=empty), len(found)

    def on_vtable_opened(self, event: VTable.Opened) -> None:
        """Open the first incident that it holds."""
        found = self._drawn[0].silences if self._drawn is not None else None
        silence = next((each for each in found or () if each.id == event.id), None)
        if silence is not None and silence.incidents:
            self.post_message(Open("incident", silence.incidents[0]))


class Alerts(Listing):
    """What waits, was sent, or was given up, on every channel."""

    SCREEN = "alerts"
    BINDINGS: ClassVar = keys_of("alerts")

    @property
    def want(self) -> Want | None:
        """Return the alerts: they are asked for while they are shown."""
        return Want(kind="alerts", id="")

    @property
    def noun(self) -> str:
        """Return what the rows are."""
        return "alerts, the newest"

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the alerts."""
        found = state.alerts or ()
        none = _said("Nobody was told anything.", "Channels are set in the collector's [alerts] section.")
        empty = self.nothing(len(found), none if state.alerts is not None else _waiting(state, "alerts"))
        now_s = state.now_s(monotonic_s)
        return alert_table(found, now_s, terms=terms, empty=empty), len(found)

    def target(self) -> Target | None:
        """Return the incident that the selected alert is about."""
        table = self.query_one(VTable)
        row = next((each for each in table.rows if each.id == table.selected), None)
        return Target(kind="incident", id=row.fields["incident"]) if row is not None else None

    def on_vtable_opened(self, event: VTable.Opened) -> None:
        """Open the incident."""
        del event
        self.action_open_selected()
