"""The console: composes client, session and screens, and routes what operators want. It draws nothing."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import work
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from ringwatch_tui import actions, errands, operations, palettes, silencing, themes, told
from ringwatch_tui.client.base import Client
from ringwatch_tui.client.replay import ReplayClient
from ringwatch_tui.commands import ActionProvider, ObjectProvider
from ringwatch_tui.saved_views import ViewsBook, views_file
from ringwatch_tui.screens.alerting import Alerts, Silences
from ringwatch_tui.screens.audit import Audit
from ringwatch_tui.screens.base import Arrived, Open, RingScreen, Target, Wish
from ringwatch_tui.screens.dialogs import SETTLE_S, Choice, Prompt
from ringwatch_tui.screens.gpu import GpuDetail
from ringwatch_tui.screens.help import Help
from ringwatch_tui.screens.incident import IncidentDetail
from ringwatch_tui.screens.incidents import Incidents
from ringwatch_tui.screens.job import JobDetail
from ringwatch_tui.screens.jobs import Jobs
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.screens.node import NodeDetail
from ringwatch_tui.screens.nodes import Nodes
from ringwatch_tui.screens.overview import Overview
from ringwatch_tui.screens.run import RunWalk
from ringwatch_tui.screens.runbooks import RunbookDetail, Runbooks
from ringwatch_tui.screens.settings import Settings
from ringwatch_tui.session import Clocks, Session
from ringwatch_tui.state import events
from ringwatch_tui.state.reducer import ConsoleState, held_back
from ringwatch_tui.timetravel import TimeTravel
from ringwatch_tui.views.header import Operator
from ringwatch_tui.views.lines import Build
from ringwatch_tui.widgets.paint import ASCII_CLASS

# Ages and the clock move at least this often; what comes is drawn when it comes.
_DRAW_S = 1.0
# Answers that come together are drawn together.
_SOONEST_S = 0.2
_QUIT_S = 2.0
_DETAILS: dict[str, Callable[[str], RingScreen]] = {
    "incident": IncidentDetail,
    "job": JobDetail,
    "node": NodeDetail,
    "gpu": GpuDetail,
    "runbook": RunbookDetail,
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
        "runbooks": Runbooks,
        "audit": Audit,
        "silences": Silences,
        "alerts": Alerts,
        "settings": Settings,
    }
    DEFAULT_MODE = "overview"
    BINDINGS: ClassVar = [Binding("ctrl+c", "do_quit", show=False, priority=True)]

    def __init__(
        self,
        client: Client,
        *,
        role: str,
        user: str,
        theme: str = palettes.DEFAULT,
        ascii_only: bool = False,
        clocks: Clocks | None = None,
        draw_s: float = _DRAW_S,
        withheld: frozenset[str] = frozenset(),
        views: ViewsBook | None = None,
    ) -> None:
        super().__init__()
        self._views = views or ViewsBook(views_file(os.environ))
        self._withheld = withheld
        self._clocks = clocks or Clocks(monotonic=time.monotonic, wall=time.time)
        self._role = role
        self._user = user
        self._ascii = ascii_only
        self._draw_s = draw_s
        self._quit_asked_s = float("-inf")
        self._held: ConsoleState | None = None
        self._drawing = False
        self._drawn_s = float("-inf")
        self.session = Session(client, self._clocks, self._changed)
        self._travel = TimeTravel(self._clocks, lambda _state: self._draw_soon())
        # A recording that the console was started with has no now to go back to.
        self._recorded = client if isinstance(client, ReplayClient) else None
        for each in themes.themes():
            self.register_theme(each)
        self.theme = theme
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Begin to follow the collector."""
        self.run_worker(self.session.follow(), name="follow", exclusive=False)
        self.run_worker(self.session.poll(), name="poll", exclusive=False)
        self.set_interval(self._draw_s, self._draw_ages)
        # What was loaded stays: later collections need not look through it.
        gc.freeze()
        gc.enable()

    async def on_unmount(self) -> None:
        """Close the connection."""
        self._travel.leave()
        await self.session.client.close()

    @property
    def watched(self) -> Session:
        """Return the session that is shown: the live one, or that of the past."""
        return self._travel.session or self.session

    @property
    def replay(self) -> ReplayClient | None:
        """Return the recording that is looked at."""
        return self._travel.client or self._recorded

    def _changed(self, state: ConsoleState) -> None:
        if not state.paused:
            self._held = None
        elif self._held is None:
            self._held = state
        self._draw_soon()

    def _draw_soon(self) -> None:
        """Draw what came, together with what comes right after it."""
        if not self._drawing and self.is_running:
            self._drawing = True
            wait_s = max(0.001, self._drawn_s + _SOONEST_S - time.monotonic())
            self.set_timer(wait_s, self.draw)

    def _draw_ages(self) -> None:
        """Draw for the clock's sake, unless what came lately was drawn."""
        if time.monotonic() - self._drawn_s >= 0.9 * self._draw_s:
            self.draw()

    def draw(self) -> None:
        """Draw the visible screen from the newest state or the held one; ask for what it shows."""
        self._drawing = False
        top = self.top
        if top is None:
            return
        self._drawn_s = time.monotonic()
        self.watched.want(top.want)
        operator = Operator(user=self._user, role=self._role, wall_s=self._clocks.wall())
        crumbs = tuple(screen.crumb for screen in self.screen_stack if isinstance(screen, RingScreen))
        top.show(self.shown_state(), self._clocks.monotonic(), operator, crumbs)

    def shown_state(self) -> ConsoleState:
        """Return the state that is drawn: held while paused, but for what is said and asked for since."""
        if self._travel.session is not None:
            return self._travel.session.state
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
        if name in self._withheld:
            self.watched.say(f"{action.title} is not to be had here", "warn")
        elif not actions.allowed(action, self._role):
            self.watched.say(
                f"{action.title} needs the role {action.role}; this console is {self._role}", "warn"
            )
        elif action.changes and self.replay is not None:
            self.watched.say(f"{action.title}: this is the past; L goes back to now", "warn")
        elif action.changes and self.session.state.frozen:
            self.session.say(f"{action.title}: not while disconnected", "warn")
        elif action.changes and self._clocks.monotonic() - top.moved_s < SETTLE_S:
            self.session.say(f"the list has just moved: press {action.shown_key} again", "warn")
        elif name in silencing.OPERATIONS:
            self._silence(name, top.target())
        elif name in operations.ALL:
            self._operate(name, top.target(), top.marked())
        elif name in errands.ERRANDS:
            self._run_errand(name, top.target())
        elif not top.local(name):
            self._navigate(name, top)
        self.draw()

    def _navigate(self, name: str, top: RingScreen) -> None:
        match name:
            case _ if name in self.MODES:
                self.switch_mode(name)
            case "ascii":
                self._ascii = not self._ascii
                top.set_class(self._ascii, ASCII_CLASS)
                top.redraw()
            case "back":
                if len(self.screen_stack) > 1:
                    self.pop_screen()
            case "earlier" | "later" | "play" | "now":
                self._in_time(name)
            case "pause":
                self.session.dispatch(events.PauseToggled())
            case "theme":
                self.theme = themes.after(self.theme)
                top.redraw()
            case "palette":
                self.action_command_palette()
            case "help":
                self._help(top.SCREEN)
            case "open":
                top.action_open_selected()
            case "quit":
                self.action_do_quit()

    def _in_time(self, name: str) -> None:
        """Move in the past, or come back from it."""
        replay = self.replay
        if name == "now" and self._travel.client is not None:
            self._travel.leave()
        elif replay is None:
            self.session.say("this is now; H goes back in time")
        elif name == "play":
            replay.play()
        elif name in ("earlier", "later"):
            replay.step(-1 if name == "earlier" else 1)
            self.watched.look_again()

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
    async def _run_errand(self, name: str, target: Target | None) -> None:
        if name == "history" and self._recorded is not None:
            self.watched.say("this is a recording: , and . step through it")
            return
        await errands.ERRANDS[name](
            errands.Errand(
                live=self.session,
                watched=self.watched,
                travel=self._travel,
                ask=self,
                clocks=self._clocks,
                open=self.open_object,
                target=target,
                listing=self.top if isinstance(self.top, Listing) else None,
                views=self._views,
                clipboard=self.copy_to_clipboard,
                show=self.push_screen_wait,
            )
        )
        self.draw()

    def _desk(self) -> operations.Desk:
        return operations.Desk(session=self.session, ask=self, user=self._user, open=self.open_object)

    @work
    async def _silence(self, name: str, target: Target | None) -> None:
        await silencing.OPERATIONS[name](self._desk(), target.id if target is not None else "")
        self.draw()

    @work
    async def _operate(self, name: str, target: Target | None, marked: tuple[str, ...]) -> None:
        desk = self._desk()
        state = self.session.state
        several = [found for id in marked if (found := state.incident(id)) is not None]
        if target is None:
            self.session.say("nothing is selected", "warn")
        elif len(several) > 1 and name in operations.INCIDENT_OPERATIONS:
            self.session.say(f"{name}: one at a time; esc takes the marks away", "warn")
        elif name in operations.SEVERAL_OPERATIONS and (found := state.incident(target.id)) is not None:
            await operations.SEVERAL_OPERATIONS[name](desk, several or [found])
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

    def facts(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Return how this console was started, by topic: for the settings."""
        return told.facts(
            collector=self.watched.client.address,
            user=self._user,
            role=self._role,
            theme=self.theme,
            ascii_only=self._ascii,
            withheld=self._withheld,
            views=self._views.path,
            state=self.shown_state(),
        )

    def palette_actions(self) -> tuple[actions.Action, ...]:
        """Return what can be done here, for the palette."""
        top = self.top
        found = actions.actions_on(top.SCREEN) if top is not None else ()
        return tuple(each for each in found if actions.allowed(each, self._role) and each.id != "palette")

    def palette_state(self) -> ConsoleState:
        """Return the state whose objects the palette finds."""
        return self.watched.state
