"""The list of nodes, the worst first."""

from __future__ import annotations

from typing import ClassVar

from ringwatch_tui.screens.base import keys_of
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.state.query import Term
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.fleet import first_steps
from ringwatch_tui.views.lines import Table
from ringwatch_tui.views.node import node_table


class Nodes(Listing):
    """Every node that the collector knows."""

    SCREEN = "nodes"
    KIND = "node"
    BINDINGS: ClassVar = keys_of("nodes")

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the nodes."""
        del monotonic_s
        nodes = state.fleet.nodes if state.fleet is not None else ()
        return node_table(nodes, terms=terms, empty=self.nothing(len(nodes), first_steps)), len(nodes)
