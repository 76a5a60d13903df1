"""The one-line bars: where you are and how true it is, what wants you, and which keys work here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip
from textual.widget import Widget

from ringwatch_tui.actions import Action
from ringwatch_tui.state.text import width
from ringwatch_tui.views.lines import DIM, HEAD, STRONG, Line, Span, fit, spread
from ringwatch_tui.widgets.paint import strip_of


class Bar(Widget):
    """One line with a part at each end."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left: Line = ()
        self._right: Line = ()

    def show(self, left: Line, right: Line = ()) -> None:
        """Show other text."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    @property
    def text(self) -> str:
        """Return what is shown as plain text."""
        return "".join(span.text for span in (*self._left, *self._right))

    def redraw(self) -> None:
        """Draw again: looks have changed, values have not."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line; the right part is what matters when room is short."""
        cells = self.size.width
        if y:
            return Strip.blank(cells)
        room = cells - sum(width(span.text) for span in self._right) - 1
        left = self._left
        used = sum(width(span.text) for span in left)
        if used > room > 8 and self._right:
            left = fit(left, room)
        return strip_of(self, spread(left, self._right, cells), cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A key and what it does; ``refused`` names why it does not work now."""

    action: Action
    refused: bool = False


def key_line(hints: Sequence[Hint], cells: int) -> Line:
    """Return as many keys as fit, in their order, whole ones only."""
    spans: list[Span] = [Span(" ")]
    used = 1
    for hint in hints:
        key, title = hint.action.shown_key, hint.action.title
        need = width(key) + 1 + width(title) + 2
        if used + need > cells:
            continue
        used += need
        spans.extend(
            [Span(key, DIM if hint.refused else STRONG), Span(f" {title}  ", DIM if hint.refused else HEAD)]
        )
    return tuple(spans)
