"""The console: composes client, session and screens, and routes what operators want. It draws nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual import work
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from ringwatch_tui import actions, operations, themes
from ringwatch_tui.client.base import Client
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.commands import ActionProvider, ObjectProvider, best
from ringwatch_tui.screens.base import Arrived, Open, RingScreen, Target, Wish
from ringwatch_tui.screens.dialogs import SETTLE_S, Choice, Prompt
from ringwatch_tui.screens.help import Help
from ringwatch_tui.screens.incident import IncidentDetail
from ringwatch_tui.screens.incidents import Incidents
from ringwatch_tui.screens.job import JobDetail
from ringwatch_tui.screens.jobs import Jobs
from ringwatch_tui.screens.node import NodeDetail
from ringwatch_tui.screens.nodes import Nodes
from ringwatch_tui.screens.overview import Overview
from ringwatch_tui.screens.run import RunWalk
from ringwatch_tui.session import Clocks, Session
from ringwatch_tui.state import events
from ringwatch_tui.state.reducer import ConsoleState, held_back
from ringwatch_tui.terminal import end_with_terminal
from ringwatch_tui.views.header import Operator
from ringwatch_tui.views.lines import DIM, Build, Line, Span, line
from ringwatch_tui.widgets.paint import ASCII_CLASS

_DRAW_S = 0.5
_QUIT_S = 2.0
_DETAILS: dict[str, Callable[[str], RingScreen]] = {
    "incident": IncidentDetail,
    "job": JobDetail,
    "node": NodeDetail,
    "run": RunWalk,
}


class Ringwatch(App[None]):
    """The console of one collector."""

    TITLE = "ringwatch"
    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {ActionProvider, ObjectProvider}  # noqa: RUF012 - Textual declares it so
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        "overview": Overview,
        "jobs": Jobs,
        "nodes": Nodes,
        "incidents": Incidents,
    }
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar = [Binding("ctrl+c", "do_quit", show=False, priority=True)]

    def __init__(
        self,
        client: Client,
        *,
        role: str,
        user: str,
        theme: str = themes.DEFAULT,
        ascii_only: bool = False,
        clocks: Clocks | None = None,
        draw_s: float = _DRAW_S,
    ) -> None:
        super().__init__()
        self._clocks = clocks or Clocks(monotonic=time.monotonic, wall=time.time)
        self._role = role
        self._user = user
        self._ascii = ascii_only
        self._draw_s = draw_s
        self._quit_asked_s = float("-inf")
        self._held: ConsoleState | None = None
        self.session = Session(client, self._clocks, self._changed)
        for each in themes.themes():
            self.register_theme(each)
        self.theme = theme
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Begin to follow the collector."""
        self.run_worker(self.session.follow(), name="follow", exclusive=False)
        self.run_worker(self.session.poll(), name="poll", exclusive=False)
        self.set_interval(self._draw_s, self.draw)

    async def on_unmount(self) -> None:
        """Close the connection."""
        await self.session.client.close()

    def _changed(self, state: ConsoleState) -> None:
        if not state.paused:
            self._held = None
        elif self._held is None:
            self._held = state

    def draw(self) -> None:
        """Draw the visible screen from the newest state or the held one; ask for what it shows."""
        top = self.top
        if top is None:
            return
        self.session.want(top.want)
        operator = Operator(user=self._user, role=self._role, wall_s=self._clocks.wall())
        crumbs = tuple(screen.crumb for screen in self.screen_stack if isinstance(screen, RingScreen))
        top.show(self.shown_state(), self._clocks.monotonic(), operator, crumbs)

    def shown_state(self) -> ConsoleState:
        """Return the state that is drawn: held while paused, but for what is said and asked for since."""
        now, held = self.session.state, self._held
        return now if held is None else held_back(held, now)

    @property
    def top(self) -> RingScreen | None:
        """Return the uppermost screen that is not a dialog."""
        if not self.is_running:
            return None
        screens = [each for each in self.screen_stack if isinstance(each, RingScreen) and each.ready]
        return screens[-1] if screens and screens[-1].is_attached else None

    def on_arrived(self, event: Arrived) -> None:
        """Draw a screen that has just become visible."""
        event.screen.set_class(self._ascii, ASCII_CLASS)
        self.draw()

    def on_open(self, event: Open) -> None:
        """Show an object."""
        self.open_object(event.kind, event.id)

    def on_wish(self, event: Wish) -> None:
        """Do what a key asked for."""
        self.wish(event.action)

    def open_object(self, kind: str, id: str) -> None:
        """Show an object on top of the current screens; a second time is once."""
        top = self.top
        if top is None or top.want is None or (top.want.kind, top.want.id) != (kind, id):
            self.push_screen(_DETAILS[kind](id))

    def wish(self, name: str) -> None:
        """Do an action of the registry, if the role and the connection allow it."""
        top = self.top
        action = actions.BY_ID[name]
        if top is None:
            return
        if not actions.allowed(action, self._role):
            self.session.say(
                f"{action.title} needs the role {action.role}; this console is {self._role}", "warn"
            )
        elif action.changes and self.session.state.frozen:
            self.session.say(f"{action.title}: not while disconnected", "warn")
        elif action.changes and self._clocks.monotonic() - top.moved_s < SETTLE_S:
            self.session.say(f"the list has just moved: press {action.shown_key} again", "warn")
        elif name in operations.INCIDENT_OPERATIONS or name in operations.RUN_OPERATIONS:
            self._operate(name, top.target())
        elif not top.local(name):
            self._navigate(name, top)
        self.draw()

    def _navigate(self, name: str, top: RingScreen) -> None:
        match name:
            case "overview" | "jobs" | "nodes" | "incidents":
                self.switch_mode(name)
            case "back":
                if len(self.screen_stack) > 1:
                    self.pop_screen()
            case "pause":
                self.session.dispatch(events.PauseToggled())
            case "theme":
                self.theme = themes.after(self.theme)
                top.redraw()
            case "palette":
                self.action_command_palette()
            case "help":
                self._help(top.SCREEN)
            case "goto":
                self._go_to()
            case "open":
                top.action_open_selected()
            case "quit":
                self.action_do_quit()

    def action_do_quit(self) -> None:
        """Leave at the second press."""
        now_s = self._clocks.monotonic()
        if now_s - self._quit_asked_s <= _QUIT_S:
            self.exit()
            return
        self._quit_asked_s = now_s
        self.session.say("press q again to leave; runs go on in the collector")
        self.draw()

    @work
    async def _help(self, screen: str) -> None:
        chosen = await self.push_screen_wait(Help(screen, actions.actions_on(screen), self._role))
        if chosen is not None:
            self.wish(chosen)

    @work
    async def _go_to(self) -> None:
        def told(_cells: int) -> list[Line]:
            return [line(Span("an incident, a job, a node or a run, by any part of its name", DIM))]

        words = await self.text("Go to", told, placeholder="I-3   llm-70b   n011")
        found = best(self.session.state, words, 1) if words else []
        if found:
            self.open_object(found[0].kind, found[0].id)
        elif words:
            self.session.say(f"nothing is called {words}", "warn")

    @work
    async def _operate(self, name: str, target: Target | None) -> None:
        desk = operations.Desk(session=self.session, ask=self, user=self._user, open=self.open_object)
        state = self.session.state
        if target is None:
            self.session.say("nothing is selected", "warn")
        elif name in operations.INCIDENT_OPERATIONS and (incident := state.incident(target.id)) is not None:
            await operations.INCIDENT_OPERATIONS[name](desk, incident)
        elif name in operations.RUN_OPERATIONS and (run := state.runs.get(target.id)) is not None:
            if run.open_step is None or run.ended:
                self.session.say("this run has ended" if run.ended else "no step is open", "warn")
            else:
                await operations.RUN_OPERATIONS[name](desk, run, run.open_step)
        self.draw()

    async def text(
        self,
        title: str,
        build: Build,
        *,
        placeholder: str = "",
        expected: str | None = None,
        required: bool = False,
    ) -> str | None:
        """Ask for a text; None when the operator turned away."""
        return await self.push_screen_wait(
            Prompt(
                title,
                build,
                self._clocks.monotonic,
                placeholder=placeholder,
                expected=expected,
                required=required,
            )
        )

    async def choice(self, title: str, build: Build, options: Sequence[tuple[str, str]]) -> str | None:
        """Ask for one of several; None when the operator turned away."""
        return await self.push_screen_wait(Choice(title, build, options, self._clocks.monotonic))

    def palette_actions(self) -> tuple[actions.Action, ...]:
        """Return what can be done here, for the palette."""
        top = self.top
        found = actions.actions_on(top.SCREEN) if top is not None else ()
        return tuple(each for each in found if actions.allowed(each, self._role) and each.id != "palette")

    def palette_state(self) -> ConsoleState:
        """Return the state whose objects the palette finds."""
        return self.session.state


def theme_for(environment: Mapping[str, str], wanted: str = "") -> str:
    """Return the theme: the one asked for, mono under NO_COLOR or on a dumb terminal, else dark."""
    if wanted:
        return next((name for name in themes.NAMES if name.endswith(f"-{wanted}")), themes.DEFAULT)
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return themes.MONO if plain else themes.DEFAULT


def run_console(
    address: str, role: str = actions.VIEWER, user: str = "", *, theme: str = "", ascii_only: bool = False
) -> int:
    """Run the console over the collector at an address until the operator leaves; return 0."""
    chosen = theme_for(os.environ, theme)
    # Textual would answer NO_COLOR with greys; the mono theme uses no colour at all.
    os.environ.pop("NO_COLOR", None)
    app = Ringwatch(
        LiveClient(address),
        role=role,
        user=user or os.environ.get("USER") or "operator",
        theme=chosen,
        ascii_only=ascii_only,
    )
    end_with_terminal()
    app.run()
    return app.return_code or 0
