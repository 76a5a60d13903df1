"""One incident: what we think, how sure we are, what it is not, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ringwatch_proto.records import Incident
from ringwatch_tui.screens.base import Open, Target, keys_of
from ringwatch_tui.screens.detail import Detail
from ringwatch_tui.state.model import Run, RunBrief
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.incident import device_names, headline, nodes_of, sections
from ringwatch_tui.views.lines import Line, Section


class IncidentDetail(Detail):
    """An incident with cause, evidence, runbooks, reasons and notes."""

    SCREEN = "incident"
    PANELS = ("cause", "evidence", "runbooks", "why", "notes")
    wants = "incident"
    BINDINGS: ClassVar = [*keys_of("incident"), ("enter", "culprit", "culprit")]
    _incident: Incident | None = None

    def content(self, state: ConsoleState, monotonic_s: float) -> tuple[Line, Sequence[Section]] | None:
        """Return the incident, once it is known."""
        self._incident = incident = state.incident(self.object_id)
        if incident is None:
            return None
        books = {book.id: book for book in state.runbooks}
        parts = sections(
            incident,
            runbooks=books,
            devices=device_names(state.fleet, nodes_of(incident)),
            run=run_of(state, incident),
        )
        return headline(incident, state.now_s(monotonic_s)), parts

    def target(self) -> Target | None:
        """Return the incident."""
        return Target(kind="incident", id=self.object_id)

    def action_open_selected(self) -> None:
        """Open the culprit."""
        self.action_culprit()

    def action_culprit(self) -> None:
        """Open the job or node that is blamed."""
        culprit = self._incident.culprit if self._incident is not None else None
        if culprit is None:
            return
        if culprit.kind in ("rank", "job") and culprit.job:
            self.post_message(Open("job", culprit.job))
        elif culprit.node:
            self.post_message(Open("node", culprit.node))


def run_of(state: ConsoleState, incident: Incident) -> Run | RunBrief | None:
    """Return the run of an incident, as far as it is known."""
    if not incident.run:
        return None
    brief = (
        next((each for each in state.fleet.runs if each.id == incident.run), None) if state.fleet else None
    )
    return (
        brief
        or state.runs.get(incident.run)
        or RunBrief(id=incident.run, runbook="", incident=incident.id, state="ended")
    )
