"""The list of incidents: open ones first, then those closed in the last hour."""

from __future__ import annotations

from typing import ClassVar

from ringwatch_tui.screens.base import keys_of
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.state.query import Term
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.fleet import no_incidents
from ringwatch_tui.views.incident import device_names, incident_table
from ringwatch_tui.views.lines import Table


class Incidents(Listing):
    """Every incident that the collector still tells about."""

    SCREEN = "incidents"
    KIND = "incident"
    BINDINGS: ClassVar = keys_of("incidents")

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the incidents."""
        fleet = state.fleet
        every = fleet.incidents if fleet is not None else ()
        runs = fleet.runs if fleet is not None else ()
        empty = self.nothing(len(every), lambda _cells: no_incidents(state, monotonic_s))
        table = incident_table(
            every,
            state.now_s(monotonic_s),
            runs=runs,
            devices=device_names(fleet),
            terms=terms,
            empty=empty,
        )
        return table, len(every)
