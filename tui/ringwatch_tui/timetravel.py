"""Going back in time: a second session over a recording, beside the live one that goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ringwatch_proto.recording import Kept
from ringwatch_proto.records import Incident
from ringwatch_tui.client.replay import ReplayClient
from ringwatch_tui.session import Clocks, Session
from ringwatch_tui.state.format import age
from ringwatch_tui.state.model import Runbook
from ringwatch_tui.state.reducer import ConsoleState

# What led to an incident is looked for in the time before it.
LEAD_S: Final = 60.0
_FAR_S: Final = 366 * 86400.0


def choices(incident: Incident | None, now_s: float) -> list[tuple[str, str]]:
    """Return the places to go back to, as seconds before now, and what they are called."""
    found = [("300", "5 minutes ago"), ("900", "15 minutes ago"), ("3600", "1 hour ago")]
    found.append((str(round(_FAR_S)), "the oldest picture that is kept"))
    if incident is not None:
        back_s = max(0.0, now_s - incident.onset_s) + LEAD_S
        found.insert(0, (f"{back_s:.0f}", f"a minute before {incident.id} began, {age(back_s)} ago"))
    return found


class TimeTravel:
    """The past that is looked at: ``session`` and ``client`` are None while it is now."""

    def __init__(self, clocks: Clocks, changed: Callable[[ConsoleState], None]) -> None:
        self._clocks = clocks
        self._changed = changed
        self._tasks: list[asyncio.Task[None]] = []
        self.client: ReplayClient | None = None
        self.session: Session | None = None

    def enter(self, frames: Sequence[Kept], books: Sequence[Runbook]) -> None:
        """Show these pictures, beginning with the first."""
        self.leave()
        self.client = ReplayClient(frames, "the collector's recording", books=books)
        self.session = Session(self.client, self._clocks, self._changed)
        self._tasks = [
            asyncio.create_task(self.session.follow(), name="replay"),
            asyncio.create_task(self.session.poll(), name="replay details"),
        ]

    def leave(self) -> None:
        """Go back to now."""
        for task in self._tasks:
            task.cancel()
        self._tasks, self.client, self.session = [], None, None
