"""A panel of lines that scrolls. Its content is rebuilt for its width whenever either changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ringwatch_tui.views.lines import Build, Line
from ringwatch_tui.widgets.paint import base_style, set_frame, strip_of


class LinesView(ScrollView):
    """Shows what a build returns for the width that there is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", show=False),
        Binding("k,up", "scroll_up", show=False),
        Binding("g,home", "scroll_home", show=False),
        Binding("G,end", "scroll_end", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("pageup", "page_up", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None, focusable: bool = True) -> None:
        super().__init__(id=id, classes=classes)
        self.can_focus = focusable
        self._build: Build = lambda _cells: ()
        self._lines: Sequence[Line] = ()

    def show(self, build: Build, *, title: str | None = None, hint: str | None = None) -> None:
        """Show other content; the place scrolled to stays."""
        self._build = build
        set_frame(self, title, hint)
        self._rebuild()

    def _rebuild(self) -> None:
        cells = self.scrollable_content_region.width
        if cells <= 0:
            return
        lines = self._build(cells)
        size = Size(cells, len(lines))
        if size == self.virtual_size and list(lines) == list(self._lines):
            return
        self._lines = lines
        self.virtual_size = size
        self.refresh()

    def on_resize(self) -> None:
        """Rebuild for the new width."""
        self._rebuild()

    def redraw(self) -> None:
        """Draw again: looks have changed, values have not."""
        self.refresh()

    @property
    def text(self) -> str:
        """Return what is shown as plain text."""
        return "\n".join("".join(span.text for span in each) for each in self._lines)

    def render_line(self, y: int) -> Strip:
        """Return one line of the viewport."""
        index = y + self.scroll_offset.y
        cells = self.scrollable_content_region.width
        if index >= len(self._lines):
            return Strip.blank(cells, base_style(self))
        return strip_of(self, self._lines[index], cells)
