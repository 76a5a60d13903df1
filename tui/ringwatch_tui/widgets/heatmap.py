"""The fleet as a map: a letter where something is wrong, a ramp where nothing is. The worst wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ringwatch_tui.state.model import Node
from ringwatch_tui.state.text import clip, width
from ringwatch_tui.views.heat import BY_ITSELF, BY_NOTHING, METRICS, ZOOMS, Cell, Map, groupings, lay_out
from ringwatch_tui.views.lines import DIM, INFO, Build, Line, Span, line
from ringwatch_tui.views.marks import LEGEND, RAMP
from ringwatch_tui.widgets.paint import base_style, strip_of

# Above this many changed cells one whole repaint costs less than a region each.
_REGIONS_AT_MOST = 50


class HeatMap(Widget, can_focus=True):
    """Shows nodes; the cursor is held by object. Posts the node that was opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,right", "move(1, 0)", show=False),
        Binding("h,left", "move(-1, 0)", show=False),
        Binding("j,down", "move(0, 1)", show=False),
        Binding("k,up", "move(0, -1)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """A node was opened on the map."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._shown_nodes: Sequence[Node] = ()
        self._metric = 0
        self._by = BY_ITSELF
        self._zoom = 0
        # The first line of the map that is shown: one with a grain that was asked for may not fit.
        self._top = 0
        self._map = Map(rows=(), grain="")
        self._placed: tuple[tuple[int, int, Cell], ...] = ()
        self._cursor = 0
        self._empty: Build = lambda _cells: ()

    def show(self, nodes: Sequence[Node], empty: Build) -> None:
        """Show the nodes as they are now; repaints only cells that changed while those are few."""
        self._shown_nodes, self._empty = nodes, empty
        self._lay_out(whole=False)

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._lay_out(whole=True)

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.refresh()

    def redraw(self) -> None:
        """Draw again: looks have changed, values have not."""
        self.refresh()

    @property
    def _map_rows(self) -> int:
        height = self.content_size.height
        return max(1, height - (3 if height > 12 else 2 if height > 8 else 1))

    def _lay_out(self, *, whole: bool) -> None:
        size = self.content_size
        if size.width <= 0 or size.height <= 0:
            return
        before, held = self._placed, self.selected
        self._map = lay_out(
            self._shown_nodes,
            size.width,
            self._map_rows,
            METRICS[self._metric],
            by=self._by,
            zoom=ZOOMS[self._zoom],
        )
        self._placed = self._map.placed()
        if held is not None:
            same = (index for index, (_, _, cell) in enumerate(self._placed) if cell.title == held.title)
            near = (index for index, (_, _, cell) in enumerate(self._placed) if cell.node == held.node)
            self._cursor = next(same, next(near, 0))
        whole = self._follow_cursor() or whole
        changed = [now for now, was in zip(self._placed, before, strict=False) if now != was]
        if whole or len(before) != len(self._placed) or len(changed) > _REGIONS_AT_MOST:
            self.refresh()
        elif changed:
            shown = ((x, y - self._top) for y, x, _ in changed)
            cells = (Region(x, y, 1, 1) for x, y in shown if 0 <= y < self._map_rows)
            self.refresh(*cells, self._legend_region())

    def _follow_cursor(self) -> bool:
        """Scroll so that the cursor's line is in sight; say whether that moved anything."""
        y = self._placed[self._cursor][0] if self._cursor < len(self._placed) else 0
        last = max(0, len(self._map.rows) - self._map_rows)
        top = min(max(self._top, y - self._map_rows + 1), y, last)
        moved, self._top = top != self._top, top
        return moved

    def _moved(self) -> None:
        self._follow_cursor()
        self.refresh()

    def _legend_region(self) -> Region:
        return Region(
            0, self._map_rows, self.content_size.width, max(1, self.content_size.height - self._map_rows)
        )

    @property
    def selected(self) -> Cell | None:
        """Return the cell under the cursor."""
        return self._placed[self._cursor][2] if 0 <= self._cursor < len(self._placed) else None

    def next_metric(self) -> None:
        """Show another number in the healthy cells."""
        self._metric = (self._metric + 1) % len(METRICS)
        self._lay_out(whole=True)

    def next_grouping(self) -> str:
        """Part the map in another way; return which."""
        ways = groupings(self._shown_nodes)
        self._by = ways[(ways.index(self._by) + 1) % len(ways)] if self._by in ways else BY_ITSELF
        self._lay_out(whole=True)
        return self._by

    def zoom(self, by: int) -> None:
        """Let a cell stand for less or more: GPU, node, group, or whatever fits."""
        self._zoom = (self._zoom + by) % len(ZOOMS)
        self._lay_out(whole=True)

    def next_bad(self, by: int) -> bool:
        """Move to the next cell that is not ok; say whether there is one."""
        count = len(self._placed)
        for distance in range(1, count + 1):
            index = (self._cursor + by * distance) % count
            if self._placed[index][2].rank:
                self._cursor = index
                self._moved()
                return True
        return False

    def action_move(self, right: int, down: int) -> None:
        """Move the cursor by cells, or to the nearest cell of another line."""
        if not self._placed:
            return
        y, x, _ = self._placed[self._cursor]
        if right:
            self._cursor = min(len(self._placed) - 1, max(0, self._cursor + right))
        else:
            rows = sorted({row for row, _, _ in self._placed if (row > y if down > 0 else row < y)})
            if rows:
                target = rows[0] if down > 0 else rows[-1]
                in_row = [index for index, place in enumerate(self._placed) if place[0] == target]
                self._cursor = min(in_row, key=lambda index: abs(self._placed[index][1] - x))
        self._moved()

    def action_open(self) -> None:
        """Open the node under the cursor."""
        if self.selected is not None:
            self.post_message(self.Opened(self.selected.node))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the cell under the mouse; open its node on the second click."""
        at = (event.y - self.gutter.top + self._top, event.x - self.gutter.left)
        for index, (y, x, _) in enumerate(self._placed):
            if (y, x) == at:
                self._cursor = index
                self.refresh()
                if event.chain > 1:
                    self.action_open()

    def render_line(self, y: int) -> Strip:
        """Return one line: of the map, or of the legend at the bottom."""
        cells = self.content_size.width
        if not self._shown_nodes:
            lines = list(self._empty(cells))
            return strip_of(self, lines[y], cells) if y < len(lines) else Strip.blank(cells, base_style(self))
        if y >= self._map_rows:
            legend = self._legend(cells)
            place = y - self._map_rows - max(0, self.content_size.height - self._map_rows - len(legend))
            return strip_of(self, legend[place] if 0 <= place < len(legend) else (), cells)
        if y + self._top >= len(self._map.rows):
            return Strip.blank(cells, base_style(self))
        return self._row(y + self._top, cells)

    def _row(self, y: int, cells: int) -> Strip:
        items = self._map.rows[y].items
        spans = tuple(Span(item.glyph, item.mark) if isinstance(item, Cell) else item for item in items)
        strip = strip_of(self, spans, cells)
        if not self.has_focus or self.selected is None or self._placed[self._cursor][0] != y:
            return strip
        x = self._placed[self._cursor][1]
        parts = list(strip.divide([x, x + 1, cells]))
        return Strip.join([parts[0], parts[1].apply_style(Style(reverse=True, bold=True)), *parts[2:]])

    def _parted(self) -> str:
        """Return how the map is parted, when that was asked for, and which lines of it are shown."""
        by = f", by {self._by}" if self._by not in (BY_ITSELF, BY_NOTHING) else ""
        count = len(self._map.rows)
        last = min(count, self._top + self._map_rows)
        return by + (f", lines {self._top + 1}-{last} of {count}" if count > self._map_rows else "")

    def _legend(self, cells: int) -> list[Line]:
        metric = METRICS[self._metric]
        ramp = f"{RAMP} {metric.title} {metric.low:.0f}..{metric.high:.0f} {metric.unit}"
        letters = [
            part for letter, word, mark in LEGEND for part in (Span(letter, mark), Span(f" {word}  ", DIM))
        ]
        here = self.selected.title if self.selected is not None and self.has_focus else ""
        grain = line(Span(self._map.grain + self._parted(), DIM), Span(f"   {here}" if here else "", INFO))
        if self.content_size.height <= 8:
            return [grain]
        room = max(0, cells - sum(width(span.text) for span in grain))
        return [line(*grain, Span(clip(f"   {ramp}" if room else "", room), DIM)), line(*letters)]
