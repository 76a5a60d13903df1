"""A collector that is only looked at: what would change something is refused before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ringwatch_proto.records import Incident
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.state.model import Run, Silence


class ReadOnlyClient(LiveClient):
    """For consoles that others may reach, whatever the token of this machine allows."""

    async def act(
        self, incident: str, action: str, author: str, text: str, silence_s: float = 0.0
    ) -> Incident:
        """Refuse."""
        del author, text, silence_s
        _refuse(f"{action} {incident}")

    async def start_run(self, incident: str, runbook: str, author: str) -> Run:
        """Refuse."""
        del author
        _refuse(f"start {runbook} for {incident}")

    async def answer(self, run: str, step: str, action: str, text: str, author: str) -> Run:
        """Refuse."""
        del text, author
        _refuse(f"{action} {step} of {run}")

    async def put_silence(
        self, matchers: Sequence[str], author: str, reason: str, duration_s: float
    ) -> Silence:
        """Refuse."""
        del author, reason, duration_s
        _refuse(f"silence {' '.join(matchers)}")

    async def end_silence(self, id: str, author: str, reason: str) -> Silence:
        """Refuse."""
        del author, reason
        _refuse(f"end silence {id}")


def _refuse(what: str) -> NoReturn:
    raise RequestRefused(f"{what}: this console is read-only")
