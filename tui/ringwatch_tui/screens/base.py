"""What all screens share: the bars, keys from the registry, and the way state comes in and wishes go out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from ringwatch_tui import actions
from ringwatch_tui.session import Want
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.state.text import clean, width
from ringwatch_tui.views.header import Operator, header_right, message_line
from ringwatch_tui.views.lines import DIM, HEAD, INFO, STRONG, Line, Span
from ringwatch_tui.widgets.bars import Bar, Hint, key_line
from ringwatch_tui.widgets.paint import FROZEN_CLASS


def keys_of(screen: str) -> list[BindingType]:
    """Return the bindings of a screen from the registry."""
    return [
        Binding(each.key, f"do('{each.id}')", each.title, show=False, id=each.id)
        for each in actions.actions_on(screen)
        if not each.by_widget
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The object that an action is about: kind is incident, job, node or run."""

    kind: str
    id: str


_WIDTHS = [(0, "-tiny"), (80, "-small"), (100, "-normal"), (160, "-wide")]
_HEIGHTS = [(0, "-short"), (24, "-low"), (30, "-tall")]


class Wish(Message):
    """The operator wants an action done, about the screen's target."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action


class Open(Message):
    """The operator wants to see an object."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__()
        self.kind = kind
        self.id = id


class Arrived(Message):
    """A screen became visible."""

    def __init__(self, screen: RingScreen) -> None:
        super().__init__()
        self.screen = screen


class RingScreen(Screen[None]):
    """A screen over the console's state.

    ``draw`` gets the state and the monotonic time; ``target`` says what an action is about; ``local``
    does actions that only change what is looked at, and says whether it knew the action.
    """

    SCREEN: ClassVar[str] = ""
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    wants: ClassVar[str] = ""

    def __init__(self, id: str = "") -> None:
        super().__init__()
        self.object_id = id
        self._drawn: tuple[ConsoleState, float] | None = None
        # Composed and mounted: only then is there something to draw on.
        self.ready = False
        # When rows last changed places under the operator's hand.
        self.moved_s = float("-inf")

    def compose(self) -> ComposeResult:
        """Put the bars around the body."""
        yield Bar(id="header")
        yield from self.body()
        yield Bar(id="message")
        yield Bar(id="keys")

    def on_mount(self) -> None:
        """Say that there is something to draw on."""
        self.ready = True
        self.post_message(Arrived(self))

    def body(self) -> Iterable[Widget]:
        """Return the widgets between the bars."""
        return ()

    @property
    def want(self) -> Want | None:
        """Return the detail that has to be kept fresh while this screen is visible."""
        return Want(kind=self.wants, id=self.object_id) if self.wants else None

    @property
    def crumb(self) -> str:
        """Return how the header names this screen."""
        return actions.BY_ID[self.SCREEN].title if not self.wants else self.object_id or "(no name)"

    @property
    def compact(self) -> bool:
        """Say whether there is no room for panels side by side."""
        return self.size.width < 100 or self.size.height < 30

    def target(self) -> Target | None:
        """Return the object under the operator's hand."""
        return None

    def marked(self) -> tuple[str, ...]:
        """Return the ids of the objects that were marked."""
        return ()

    def clear_marks(self) -> bool:
        """Take the marks away; say whether there were any."""
        return False

    def fits(self, action: str) -> bool:
        """Say whether an action makes sense for what is shown now; the key bar dims it otherwise."""
        del action
        return True

    def local(self, action: str) -> bool:
        """Do an action that only changes the view; say whether it was one."""
        del action
        return False

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw the body."""

    def show(
        self, state: ConsoleState, monotonic_s: float, operator: Operator, crumbs: tuple[str, ...]
    ) -> None:
        """Draw everything from the state."""
        self._drawn = (state, monotonic_s)
        if self.has_class(FROZEN_CLASS) != state.frozen:
            self.set_class(state.frozen, FROZEN_CLASS)
            self.redraw()
        self.set_class(self.compact, "-compact")
        right = header_right(state, monotonic_s, operator)
        room = self.size.width - sum(width(span.text) for span in right) - 1
        self.query_one("#header", Bar).show(self._crumb_line(crumbs, room), right)
        self.query_one("#message", Bar).show(message_line(state, monotonic_s))
        self._show_keys(state, operator)
        self.draw(state, monotonic_s)

    def _show_keys(self, state: ConsoleState, operator: Operator) -> None:
        cells = self.size.width
        always = Span("1-9 screens  : go to  ? help " if cells >= 100 else "1-9 : ? help ", DIM)
        hints = key_line(self._hints(state, operator), cells - width(always.text) - 1)
        self.query_one("#keys", Bar).show(hints, (always,))

    def redraw(self) -> None:
        """Draw every widget again: looks have changed."""
        for widget in self.query("*"):
            again = getattr(widget, "redraw", None)
            if callable(again):
                again()

    def again(self) -> None:
        """Draw the body again from the same state, after the view changed."""
        if self._drawn is not None:
            self.draw(*self._drawn)

    def on_resize(self) -> None:
        """Let the app draw for the new size."""
        self.post_message(Arrived(self))

    def on_screen_resume(self) -> None:
        """Let the app draw what has happened meanwhile."""
        self.post_message(Arrived(self))

    def action_open_selected(self) -> None:
        """Open what is selected: from the help and the palette, where no widget has the focus."""
        found = self.target()
        if found is not None:
            self.post_message(Open(found.kind, found.id))

    def _crumb_line(self, crumbs: tuple[str, ...], room: int) -> Line:
        """Return where one is; crumbs in the middle give way first, then those before the last."""
        kept = list(crumbs)
        while len(kept) > 1 and sum(width(each) + 3 for each in kept) + 12 > room:
            del kept[-2]
        spans = [Span(" ringwatch", INFO), Span(" │ ", DIM)]
        if len(kept) < len(crumbs):
            spans.append(Span("… › ", DIM))
        for index, crumb in enumerate(kept):
            spans.extend([Span(" › ", DIM)] if index else [])
            spans.append(Span(clean(crumb), STRONG if index == len(kept) - 1 else HEAD))
        return tuple(spans)

    def _hints(self, state: ConsoleState, operator: Operator) -> list[Hint]:
        return [
            Hint(
                action=each,
                refused=not actions.allowed(each, operator.role)
                or (each.changes and (state.frozen or state.replaying))
                or not self.fits(each.id),
            )
            for each in sorted(actions.actions_on(self.SCREEN), key=lambda each: not each.in_past)
            if each.weight < 55 and (state.replaying or not each.in_past)
        ]

    def action_do(self, action: str) -> None:
        """Do an action of the registry."""
        if not self.local(action):
            self.post_message(Wish(action))
