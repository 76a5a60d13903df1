"""The walk through a runbook: the steps, the one that waits for you, its checks, and what it printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.containers import Container
from textual.widget import Widget

from ringwatch_tui.screens.base import Open, RingScreen, Target, Wish, keys_of
from ringwatch_tui.state.model import Run, RunStep
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.incident import device_names, named
from ringwatch_tui.views.lines import DIM, WARN, Section, Span, document, line
from ringwatch_tui.views.run import STEP_LEGEND, fits, headline, sections, step_strip, step_table
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.lines_view import LinesView
from ringwatch_tui.widgets.vtable import VTable


class RunWalk(RingScreen):
    """A run. The view follows the open step until another one is looked at."""

    SCREEN = "run"
    AUTO_FOCUS = "#walk"
    wants = "run"
    BINDINGS: ClassVar = [*keys_of("run"), ("enter", "answer", "answer")]

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self._run: Run | None = None
        self._looked_at = ""

    def body(self) -> Iterable[Widget]:
        """Return headline, steps, the step looked at, its output, and the document for small screens."""
        yield Bar(id="headline")
        yield Bar(id="strip")
        yield Container(
            VTable(id="walk", classes="panel", header=False),
            Container(
                LinesView(id="step", classes="panel"), LinesView(id="output", classes="panel"), id="right"
            ),
            id="panels",
        )
        yield LinesView(id="document")

    @property
    def crumb(self) -> str:
        """Return the run with its runbook's title once that is known."""
        return f"run {self.object_id}" if self._run is None else self._run.title or self._run.runbook

    def step(self) -> RunStep | None:
        """Return the step that is looked at: the operator's choice, else where the run is or ended."""
        if self._run is None:
            return None
        taken = self._run.path[-1] if self._run.path else ""
        wanted = self._looked_at or self._run.current or taken
        return next((each for each in self._run.steps if each.id == wanted), None)

    def draw(self, state: ConsoleState, monotonic_s: float) -> None:
        """Draw the run, once it is known."""
        del monotonic_s
        run = state.runs.get(self.object_id)
        whole, panels = self.query_one("#document", LinesView), self.query_one("#panels")
        one = self.compact or run is None
        panels.display, whole.display = not one, one
        self.query_one("#strip").display = self.compact
        if run is None:
            reason = state.missing.get(("run", self.object_id))
            text = (
                Span(f"run {self.object_id}: {reason}", WARN)
                if reason
                else Span("Asking for the run ...", DIM)
            )
            whole.show(lambda _cells: [line(text)])
            return
        if self._run is not None and run.current != self._run.current:
            self._looked_at = ""
        self._run = run
        self.query_one("#headline", Bar).show(
            (Span(" "), *headline(run, named(run.target, device_names(state.fleet, {run.target.node}))))
        )
        parts = sections(run, self.step())
        if one:
            self.query_one("#strip", Bar).show((Span(" "), *step_strip(run)))
            whole.show(document(parts))
            whole.focus()
            return
        self._draw_panels(run, parts)

    def _draw_panels(self, run: Run, parts: tuple[Section, ...]) -> None:
        walk = self.query_one("#walk", VTable)
        step = self.step()
        walk.show(step_table(run), title="Steps", hint="[ ] other steps")
        if step is not None:
            walk.select(step.id)
        for section in parts:
            legend = STEP_LEGEND if section.key == "step" else None
            self.query_one(f"#{section.key}", LinesView).show(section.build, title=section.title, hint=legend)
        if self.focused is None or self.focused.id == "document":
            walk.focus()

    def target(self) -> Target | None:
        """Return the run."""
        return Target(kind="run", id=self.object_id)

    def fits(self, action: str) -> bool:
        """Say whether the open step can be told this."""
        return self._run is None or fits(action, self._run)

    def local(self, action: str) -> bool:
        """Look at other steps, or at the incident."""
        if action in ("next_step", "previous_step"):
            self._look(1 if action == "next_step" else -1)
        elif action == "incident" and self._run is not None:
            self.post_message(Open("incident", self._run.incident))
        else:
            return False
        return True

    def _look(self, by: int) -> None:
        if self._run is None or not self._run.steps:
            return
        ids = [each.id for each in self._run.steps]
        step = self.step()
        place = ids.index(step.id) if step is not None else 0
        self._looked_at = ids[min(len(ids) - 1, max(0, place + by))]
        self.again()

    def on_vtable_selected(self, event: VTable.Selected) -> None:
        """Look at the step that was selected."""
        if self._run is not None and event.id and event.id != self._looked_at:
            self._looked_at = event.id
            self.again()

    def on_vtable_opened(self) -> None:
        """Answer the open step."""
        self.action_answer()

    def action_answer(self) -> None:
        """Answer the open step."""
        self.post_message(Wish("answer"))
