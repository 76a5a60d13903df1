"""What the detail screens share: a headline, panels when there is room, one document when there is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.containers import Container
from textual.widget import Widget

from ringwatch_tui.screens.base import RingScreen
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.lines import DIM, WARN, Line, Section, Span, document, line
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.lines_view import LinesView


class Detail(RingScreen):
    """One object. ``PANELS`` names the sections that have a panel of their own."""

    PANELS: ClassVar[tuple[str, ...]] = ()
    AUTO_FOCUS = "#document"

    def body(self) -> Iterable[Widget]:
        """Return the headline, the panels and the document."""
        yield Bar(id="headline")
        yield Container(*(LinesView(id=key, classes="panel") for key in self.PANELS), id="panels")
        yield LinesView(id="document")

    def content(self, state: ConsoleState, monotonic_s: float) -> tuple[Line, Sequence[Section]] | None:
        """Return headline and sections, None while the object is not known."""
        raise NotImplementedError

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw whichever of panels and document the size calls for."""
        found = self.content(state, monotonic_s)
        whole = self.query_one("#document", LinesView)
        one = self.compact or found is None
        self.query_one("#panels").display = not one
        whole.display = one
        if found is None:
            self.query_one("#headline", Bar).show(line(" ", Span(self.object_id, DIM)))
            whole.show(lambda _cells: [self._absent(state)])
            return
        headline, sections = found
        self.query_one("#headline", Bar).show((Span(" "), *headline))
        if one:
            whole.show(document(sections))
            if self.focused is None:
                whole.focus()
            return
        for section in sections:
            if section.key in self.PANELS:
                self.query_one(f"#{section.key}", LinesView).show(
                    section.build, title=section.title, hint=section.hint
                )
        if self.focused is None or self.focused is whole:
            self.query_one(f"#{self.PANELS[0]}").focus()

    def _absent(self, state: ConsoleState) -> Line:
        reason = state.missing.get((self.wants, self.object_id))
        if reason is not None:
            return line(Span(f"{self.object_id}: {reason}", WARN))
        return line(Span(f"Asking for {self.object_id} ...", DIM))
