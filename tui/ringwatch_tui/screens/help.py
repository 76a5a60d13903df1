"""The keys that work on the screen below; enter runs the selected one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import ModalScreen

from ringwatch_tui.actions import Action, allowed
from ringwatch_tui.views.lines import DIM, STRONG, Column, Line, Row, Span, Table
from ringwatch_tui.views.marks import BEARING, LEGEND
from ringwatch_tui.views.run import STEP_LEGEND
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.lines_view import LinesView
from ringwatch_tui.widgets.paint import set_frame
from ringwatch_tui.widgets.vtable import VTable

_MOVES = "move: j k or arrows · g G first, last · pgup pgdn · tab next panel"


class Help(ModalScreen[str | None]):
    """A list of actions; returns the id of the one to run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "close", "close", show=False),
    ]

    def __init__(self, screen: str, actions: Iterable[Action], role: str) -> None:
        super().__init__()
        self._of = screen
        self._actions = tuple(actions)
        self._role = role

    def compose(self) -> ComposeResult:
        """Put the letters under the keys."""
        with Container(id="box", classes="tall"):
            yield VTable(id="keys-table")
            yield LinesView(id="letters", focusable=False)
            yield Bar(id="hint")

    def on_mount(self) -> None:
        """Show the keys."""
        columns = (
            Column(key="key", title="KEY", cells=5),
            Column(key="title", title="ACTION", cells=13),
            Column(key="help", title="WHAT IT DOES", cells=30, flex=1),
            Column(key="role", title="NEEDS", cells=8, priority=1),
        )
        table = Table(columns=columns, rows=tuple(self._row(each) for each in self._actions))
        self.query_one(VTable).show(table)
        self.query_one(VTable).focus()
        set_frame(self.query_one("#box"), f"Keys on this screen ({self._of})")
        self.query_one("#letters", LinesView).show(lambda _cells: letters())
        right: Line = (Span("enter", STRONG), Span(" run  ", DIM), Span("esc", STRONG), Span(" close", DIM))
        self.query_one("#hint", Bar).show((), right)

    def _row(self, action: Action) -> Row:
        may = allowed(action, self._role)
        return Row(
            id=action.id,
            values={
                "key": Span(action.shown_key, STRONG if may else DIM),
                "title": Span(action.title, "" if may else DIM),
                "help": Span(action.help, "" if may else DIM),
                "role": Span(action.role if action.changes else "", DIM),
            },
        )

    def on_vtable_opened(self, event: VTable.Opened) -> None:
        """Run the action."""
        self.dismiss(event.id)

    def action_close(self) -> None:
        """Close without running anything."""
        self.dismiss(None)


def letters() -> list[Line]:
    """Return what every letter means."""
    states: list[Span] = [Span("map: ", DIM)]
    for letter, word, mark in LEGEND:
        states.extend([Span(letter, mark), Span(f" {word}  ", DIM)])
    bearings = "  ".join(f"{glyph} {word}" for glyph, _, word in BEARING.values())
    return [
        tuple(states),
        (Span("evidence: " + bearings, DIM),),
        (Span("steps: " + STEP_LEGEND, DIM),),
        (Span(_MOVES, DIM),),
    ]
