"""Takes a path or a paste, and shows what diagnose says about it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.widgets import TextArea

from ringwatch_tui.state.text import wrap
from ringwatch_tui.views.lines import DIM, STRONG, Line, Span, line
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.lines_view import LinesView
from ringwatch_tui.widgets.paint import set_frame


class Evidence(ModalScreen[str | None]):
    """Asks for what the operator has; a paste may have many lines, so enter does not send it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "cancel", show=False),
        Binding("ctrl+s", "send", "diagnose", show=False, priority=True),
    ]

    def compose(self) -> ComposeResult:
        """Put the field over the hint."""
        with Container(id="box", classes="tall"):
            yield TextArea(id="evidence")
            yield Bar(id="hint")

    def on_mount(self) -> None:
        """Say what can be given."""
        set_frame(self.query_one("#box"), "Diagnose: a path, or paste a log, a dump, the output of a tool")
        right: Line = (
            Span("ctrl+s", STRONG),
            Span(" diagnose  ", DIM),
            Span("esc", STRONG),
            Span(" cancel", DIM),
        )
        self.query_one("#hint", Bar).show(line(Span("nothing leaves this machine", DIM)), right)
        self.query_one(TextArea).focus()

    def action_send(self) -> None:
        """Take what was given."""
        text = self.query_one(TextArea).text
        self.dismiss(text if text.strip() else None)

    def action_refuse(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Opinion(ModalScreen[str | None]):
    """What diagnose said."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "close", "close", show=False)]

    def __init__(self, said: str) -> None:
        super().__init__()
        self._said = said

    def compose(self) -> ComposeResult:
        """Put the text over the hint."""
        with Container(id="box", classes="tall"):
            yield LinesView(id="said")
            yield Bar(id="hint")

    def on_mount(self) -> None:
        """Show it."""
        set_frame(self.query_one("#box"), "Diagnosis")
        self.query_one("#said", LinesView).show(self._lines)
        self.query_one("#said", LinesView).focus()
        self.query_one("#hint", Bar).show(line(), (Span("esc", STRONG), Span(" close", DIM)))

    def _lines(self, cells: int) -> list[Line]:
        rows = (row for text in self._said.splitlines() for row in wrap(text, cells) or [""])
        return [line(Span(row)) for row in rows]

    def action_close(self) -> None:
        """Close."""
        self.dismiss(None)
