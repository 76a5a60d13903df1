"""The overview: the fleet's map, what is wrong with it, and how far "nothing" can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget

from ringwatch_tui.screens.base import Open, Target, keys_of
from ringwatch_tui.screens.rows import RowsScreen
from ringwatch_tui.state.model import Fleet
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.fleet import (
    attention_section,
    first_steps,
    fleet_section,
    health_line,
    no_answer,
    no_incidents,
    summary_lines,
)
from ringwatch_tui.views.incident import device_names, incident_table
from ringwatch_tui.widgets.heatmap import HeatMap
from ringwatch_tui.widgets.lines_view import LinesView
from ringwatch_tui.widgets.paint import set_frame
from ringwatch_tui.widgets.vtable import VTable


class Overview(RowsScreen):
    """Lands the operator on the incident list, with the map above it."""

    SCREEN = "overview"
    AUTO_FOCUS = "#incidents"
    BINDINGS: ClassVar = keys_of("overview")
    _pictured: tuple[Fleet, bool] | None = None

    def body(self) -> Iterable[Widget]:
        """Return map, fleet, jobs and incidents."""
        yield _Top()
        yield LinesView(id="summary", focusable=False)
        yield VTable(id="incidents", classes="panel")
        yield LinesView(id="health", focusable=False)

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw the four panels."""
        fleet = state.fleet
        if fleet is None:
            self.query_one(HeatMap).show((), lambda _cells: no_answer(state))
            return
        if self._pictured is None or self._pictured[0] is not fleet or self._pictured[1] != self.compact:
            self._pictured = (fleet, self.compact)
            self._draw_fleet(fleet)
        self._draw_incidents(fleet, state, monotonic_s)

    def _draw_fleet(self, fleet: Fleet) -> None:
        """Draw what only another picture changes; over a large fleet it is most of the work."""
        heat = self.query_one(HeatMap)
        gpus = sum(len(node.gpus) for node in fleet.nodes)
        set_frame(heat, f"Fleet map · {gpus:,} GPUs", "tab to enter · m metric · n next bad")
        heat.show(fleet.nodes, first_steps)
        if self.compact:
            self.query_one("#summary", LinesView).show(lambda cells: summary_lines(fleet, cells))
            return
        for section in (fleet_section(fleet), attention_section(fleet)):
            self.query_one(f"#{section.key}", LinesView).show(section.build, title=section.title)

    def _draw_incidents(self, fleet: Fleet, state: ConsoleState, monotonic_s: float) -> None:
        table = incident_table(
            state.open_incidents,
            state.now_s(monotonic_s),
            runs=fleet.runs,
            devices=device_names(fleet),
            empty=lambda _cells: no_incidents(state, monotonic_s),
        )
        if self.query_one(VTable).show(table, title="Open incidents"):
            self.moved_s = monotonic_s
        behind_s = state.behind_s(monotonic_s)
        self.query_one("#health", LinesView).show(lambda _cells: [health_line(fleet, behind_s)])

    def target(self) -> Target | None:
        """Return the selected incident."""
        selected = self.query_one(VTable).selected
        return Target(kind="incident", id=selected) if selected else None

    def local(self, action: str) -> bool:
        """Move on the map."""
        heat = self.query_one(HeatMap)
        if action == "metric":
            heat.next_metric()
        elif action == "grouping":
            heat.next_grouping()
        elif action in ("zoom_in", "zoom_out"):
            heat.zoom(1 if action == "zoom_in" else -1)
        elif action in ("next_bad", "previous_bad"):
            heat.focus()
            heat.next_bad(1 if action == "next_bad" else -1)
        else:
            return super().local(action)
        return True

    def on_vtable_opened(self, event: VTable.Opened) -> None:
        """Open the incident."""
        self.post_message(Open("incident", event.id))

    def on_heat_map_opened(self, event: HeatMap.Opened) -> None:
        """Open the node."""
        self.post_message(Open("node", event.node))


class _Top(Container):
    """The map beside the two small panels."""

    def compose(self) -> ComposeResult:
        yield HeatMap(id="map", classes="panel")
        with Vertical(id="side"):
            yield LinesView(id="fleet", classes="panel", focusable=False)
            yield LinesView(id="attention", classes="panel")
