"""One job: how long its steps take, which rank the others wait for, and where the traffic goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ringwatch_tui.screens.base import Open, keys_of
from ringwatch_tui.screens.detail import Detail
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.incident import device_names
from ringwatch_tui.views.job import headline, sections
from ringwatch_tui.views.lines import Line, Section


class JobDetail(Detail):
    """A job with steps, waits, ranks and flows."""

    SCREEN = "job"
    PANELS = ("steps", "waits", "ranks", "flows")
    wants = "job"
    BINDINGS: ClassVar = keys_of("job")
    _incidents: tuple[str, ...] = ()

    def content(self, state: ConsoleState, monotonic_s: float) -> tuple[Line, Sequence[Section]] | None:
        """Return the job, once it is known."""
        del monotonic_s
        detail = state.jobs.get(self.object_id)
        if detail is None:
            return None
        self._incidents = detail.incidents
        return headline(detail.summary), sections(
            detail, device_names(state.fleet, {each.node for each in detail.ranks})
        )

    def local(self, action: str) -> bool:
        """Open the job's incident."""
        if action != "incident":
            return False
        if self._incidents:
            self.post_message(Open("incident", self._incidents[0]))
        return True
