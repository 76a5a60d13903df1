"""How this console was started, what it may do, and what is kept where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol, cast

from textual.widget import Widget

from ringwatch_tui.screens.base import RingScreen, keys_of
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.lines import BLANK, DIM, HEAD, Line, Span, labelled, line, paragraph
from ringwatch_tui.widgets.lines_view import LinesView

_LABEL = 14


class Told(Protocol):
    """What this screen needs of the app."""

    def facts(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Return settings by topic, each with its value in words."""
        ...


class Settings(RingScreen):
    """One page of what holds for this console."""

    SCREEN = "settings"
    AUTO_FOCUS = "#document"
    BINDINGS: ClassVar = keys_of("settings")

    def body(self) -> Iterable[Widget]:
        """Return the page."""
        yield LinesView(id="document", classes="panel")

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw the page."""
        del state, monotonic_s
        facts = cast("Told", self.app).facts()
        self.query_one("#document", LinesView).show(lambda cells: _page(facts, cells), title="Settings")


def _page(facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...], cells: int) -> list[Line]:
    out: list[Line] = []
    for topic, rows in facts:
        out.extend([BLANK] if out else [])
        out.append(line(Span(topic.upper(), HEAD)))
        for label, text in rows:
            out.extend(labelled(label, text, cells, indent=_LABEL))
    tail = "Set when the console starts: ringwatch console --help lists the options."
    return [*out, BLANK, *paragraph(tail, cells, DIM)]
