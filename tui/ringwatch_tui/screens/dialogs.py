"""What asks the operator before anything is said or done: a text, a typed target, a choice.

Keys that come right after a dialog opened are ignored: they were meant for what was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen
from textual.widgets import Input

from ringwatch_tui.views.lines import DIM, STRONG, WARN, Build, Line, Row, Span, Table, line
from ringwatch_tui.views.lines import Column as TableColumn
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.lines_view import LinesView
from ringwatch_tui.widgets.paint import set_frame
from ringwatch_tui.widgets.vtable import VTable

SETTLE_S = 0.3


class Dialog(ModalScreen[str | None]):
    """A box over the screen; esc gives no answer. ``clock`` is the console's monotonic clock."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "refuse", "cancel", show=False)]

    def __init__(self, title: str, build: Build, clock: Callable[[], float]) -> None:
        super().__init__()
        self._title = title
        self._build = build
        self._clock = clock
        self._opened_s = clock()

    def settled(self) -> bool:
        """Say whether the dialog has been there long enough for a key to be meant for it."""
        return self._clock() - self._opened_s >= SETTLE_S

    def on_mount(self) -> None:
        """Show what is asked."""
        view = self.query_one("#asked", LinesView)
        view.show(self._build)
        set_frame(self.query_one("#box"), self._title)
        view.styles.height = max(1, len(self._build(max(20, min(76, self.app.size.width - 8)))))

    def action_refuse(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Prompt(Dialog):
    """Asks for a text. With ``expected`` only that text is taken; with ``required`` it may not be empty."""

    def __init__(
        self,
        title: str,
        build: Build,
        clock: Callable[[], float],
        *,
        placeholder: str = "",
        expected: str | None = None,
        required: bool = False,
    ) -> None:
        super().__init__(title, build, clock)
        self._placeholder = placeholder
        self._expected = expected
        self._required = required

    def compose(self) -> ComposeResult:
        """Put the question over the field."""
        with Container(id="box"):
            yield LinesView(id="asked", focusable=False)
            yield Input(placeholder=self._placeholder, id="answer")
            yield Bar(id="hint")

    def on_mount(self) -> None:
        """Say how to answer."""
        self._hint("")
        self.query_one(Input).focus()

    def _hint(self, trouble: str) -> None:
        right: Line = (Span("enter", STRONG), Span(" send  ", DIM), Span("esc", STRONG), Span(" cancel", DIM))
        self.query_one("#hint", Bar).show(line(Span(trouble, WARN)), right)

    def on_key(self, event: events.Key) -> None:
        """Ignore what was typed before the dialog could be read."""
        if not self.settled() and event.key != "escape":
            event.stop()
            event.prevent_default()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the answer if it is one."""
        text = event.value.strip()
        if self._expected is not None and text != self._expected:
            self._hint("that is not the target; nothing was done")
        elif self._required and not text:
            self._hint("a reason is needed")
        else:
            self.dismiss(text)


class Choice(Dialog):
    """Asks for one of several things; returns its id."""

    def __init__(
        self,
        title: str,
        build: Build,
        options: Sequence[tuple[str, str]],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(title, build, clock)
        self._options = options

    def compose(self) -> ComposeResult:
        """Put the question over the options."""
        with Container(id="box"):
            yield LinesView(id="asked", focusable=False)
            yield VTable(id="options", header=False)
            yield Bar(id="hint")

    def on_mount(self) -> None:
        """Show the options."""
        columns = (
            TableColumn(key="key", title="", cells=2),
            TableColumn(key="text", title="", cells=20, flex=1),
        )
        rows = tuple(
            Row(id=id, values={"key": Span(str(index) if index < 10 else "", DIM), "text": Span(text)})
            for index, (id, text) in enumerate(self._options, 1)
        )
        table = self.query_one(VTable)
        table.show(Table(columns=columns, rows=rows))
        table.styles.height = min(12, max(1, len(rows)))
        table.focus()
        right: Line = (
            Span("enter", STRONG),
            Span(" choose  ", DIM),
            Span("esc", STRONG),
            Span(" cancel", DIM),
        )
        self.query_one("#hint", Bar).show(line(), right)

    def on_key(self, event: events.Key) -> None:
        """Choose by number, once the dialog can have been read."""
        if not event.character or not event.character.isdigit() or not self.settled():
            return
        place = int(event.character) - 1
        if 0 <= place < len(self._options):
            event.stop()
            self.dismiss(self._options[place][0])

    def on_vtable_opened(self, event: VTable.Opened) -> None:
        """Take the option, once the dialog can have been read."""
        if self.settled():
            self.dismiss(event.id)
