"""The one interface between the console and whatever answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from ringwatch_proto.errors import RingwatchError
from ringwatch_proto.recording import Kept
from ringwatch_proto.records import Incident
from ringwatch_tui.state.model import (
    Alert,
    AuditLog,
    Fleet,
    History,
    JobDetail,
    NodeDetail,
    Run,
    Runbook,
    Silence,
)


class RequestRefused(RingwatchError):
    """The collector answered no; the message is its sentence for a person."""


class Client(Protocol):
    """Asks a collector.

    Every method raises ``UnreachableError`` when nobody answers in time and ``RequestRefused`` when the
    collector says no. Nothing is tried again in here: the session owns back-off. ``follow`` yields a
    snapshot at once and then one a change, at most one in ``min_interval_s``, until the stream breaks.
    """

    @property
    def address(self) -> str:
        """Return where the answers come from, for the header."""
        ...

    def follow(self, min_interval_s: float) -> AsyncIterator[Fleet]:
        """Yield a snapshot now and one a change, until the stream breaks."""
        ...

    async def fleet(self) -> Fleet:
        """Return the fleet now."""
        ...

    async def incident(self, id: str) -> Incident:
        """Return one incident, open or closed."""
        ...

    async def incidents(self, *, include_closed: bool, limit: int) -> tuple[Incident, ...]:
        """Return incidents, also those closed long ago."""
        ...

    async def job(self, name: str, steps: int) -> JobDetail:
        """Return a job with its last steps."""
        ...

    async def node(self, name: str, seconds: float) -> NodeDetail:
        """Return a node with its last seconds."""
        ...

    async def act(
        self, incident: str, action: str, author: str, text: str, silence_s: float = 0.0
    ) -> Incident:
        """Say something about an incident; return it as it is then."""
        ...

    async def runbooks(self) -> tuple[Runbook, ...]:
        """Return every runbook."""
        ...

    async def start_run(self, incident: str, runbook: str, author: str) -> Run:
        """Start to walk a runbook."""
        ...

    async def run(self, id: str) -> Run:
        """Return a run as it is now."""
        ...

    async def answer(self, run: str, step: str, action: str, text: str, author: str) -> Run:
        """Answer the step that a run waits at."""
        ...

    async def audit(self, limit: int) -> AuditLog:
        """Return the newest records of what people did."""
        ...

    async def history(self, series: str, node: str, device: str, from_s: float) -> History:
        """Return a signal of a node from a time until now; no device means all of the node."""
        ...

    async def silences(self) -> tuple[Silence, ...]:
        """Return the silences by matcher, also those that ended."""
        ...

    async def put_silence(
        self, matchers: Sequence[str], author: str, reason: str, duration_s: float
    ) -> Silence:
        """Hold back for a time what all matchers (``field:pattern``) match."""
        ...

    async def end_silence(self, id: str, author: str, reason: str) -> Silence:
        """End a silence before its time."""
        ...

    async def alerts(self, limit: int) -> tuple[Alert, ...]:
        """Return what was told to whom, and what is still to be told."""
        ...

    async def recording(self, since_s: float, until_s: float) -> Sequence[Kept]:
        """Return the pictures of a window, oldest first; the newest are left out of one that is too long."""
        ...

    async def close(self) -> None:
        """Let go of the connection; safe to call twice."""
        ...
