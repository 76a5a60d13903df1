"""A recording as a back end: the same questions, answered from the picture that the operator has moved to.

Nothing can be changed in the past: what would act is refused.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

from ringwatch_proto.codec import incident_from_message
from ringwatch_proto.errors import RecordingError
from ringwatch_proto.recording import Kept, kept_in
from ringwatch_proto.records import Incident, IncidentState
from ringwatch_proto.v1.recording_pb2 import Frame
from ringwatch_tui.client import decode
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.gpu_view import GpuViews
from ringwatch_tui.state.model import (
    Alert,
    AuditLog,
    Fleet,
    History,
    JobDetail,
    NodeDetail,
    ReplayMark,
    Run,
    Runbook,
    Silence,
)

_NS: Final = 1_000_000_000
SPEEDS: Final = (1.0, 4.0, 16.0)
# Between two pictures a collector may have been down; nobody wants to watch that.
_LONGEST_WAIT_S: Final = 5.0


def frames_of(path: Path) -> tuple[Kept, ...]:
    """Return the pictures of a file; raise RecordingError when it holds none."""
    found = tuple(kept_in(path))
    if not found:
        raise RecordingError(f"{path}: no picture in it")
    return found


class ReplayClient:
    """Answers from one picture of a recording at a time. ``frames`` are oldest first and at least one."""

    def __init__(
        self,
        frames: Sequence[Kept],
        name: str,
        *,
        books: Sequence[Runbook] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not frames:
            raise RecordingError(f"{name}: no picture in it")
        self._frames = frames
        self._times = [kept.wall_ns for kept in frames]
        self._name = name
        self._books = tuple(books)
        self._sleep = sleep
        self._place = 0
        self._decoded: tuple[int, Frame] | None = None
        self._speed = 0.0
        self._moved = asyncio.Event()

    @property
    def address(self) -> str:
        """Return the name of the recording."""
        return self._name

    @property
    def mark(self) -> ReplayMark:
        """Return where in the recording the operator is."""
        return ReplayMark(
            at_s=self._times[self._place] / _NS,
            first_s=self._times[0] / _NS,
            last_s=self._times[-1] / _NS,
            speed=self._speed,
        )

    def seek(self, at_s: float) -> None:
        """Go to the picture that was in force at a time; the first or the last for one outside."""
        self._go(bisect.bisect_right(self._times, round(at_s * _NS)) - 1)

    def step(self, pictures: int) -> None:
        """Go so many pictures on or, below zero, back; playing stops."""
        self._speed = 0.0
        self._go(self._place + pictures)

    def play(self) -> None:
        """Go on by itself: a further time faster, then stop."""
        faster = (0.0, *SPEEDS)
        self._speed = faster[(faster.index(self._speed) + 1) % len(faster)]
        self._moved.set()

    def _go(self, place: int) -> None:
        self._place = max(0, min(place, len(self._frames) - 1))
        self._moved.set()

    def _frame(self) -> Frame:
        if self._decoded is None or self._decoded[0] != self._place:
            try:
                self._decoded = (self._place, self._frames[self._place].frame())
            except RecordingError as error:
                raise RequestRefused(str(error)) from error
        return self._decoded[1]

    async def follow(self, min_interval_s: float) -> AsyncIterator[Fleet]:
        """Yield the picture and each one that is moved to, by hand or while it plays."""
        del min_interval_s
        while True:
            self._moved.clear()
            yield await self.fleet()
            await self._next_move()

    async def _next_move(self) -> None:
        """Wait until the operator moves, or until the next picture is due."""
        if not self._speed or self._place + 1 >= len(self._frames):
            self._speed = 0.0
            await self._moved.wait()
            return
        gap_s = (self._times[self._place + 1] - self._times[self._place]) / _NS
        due = asyncio.ensure_future(self._sleep(min(gap_s / self._speed, _LONGEST_WAIT_S)))
        moved = asyncio.ensure_future(self._moved.wait())
        _, pending = await asyncio.wait((due, moved), return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        if not moved.done():
            self._go(self._place + 1)

    async def fleet(self) -> Fleet:
        """Return the fleet of the picture."""
        return replace(decode.fleet(self._frame().fleet, look=GpuViews), replay=self.mark)

    async def incident(self, id: str) -> Incident:
        """Return an incident as it was then."""
        for each in self._frame().fleet.incidents:
            if each.id == id:
                return incident_from_message(each)
        raise RequestRefused(f"{id} is not in this picture")

    async def incidents(self, *, include_closed: bool, limit: int) -> tuple[Incident, ...]:
        """Return the incidents of the picture."""
        found = (await self.fleet()).incidents
        kept = [each for each in found if include_closed or each.state is not IncidentState.RESOLVED]
        return tuple(kept[:limit])

    async def job(self, name: str, steps: int) -> JobDetail:
        """Return a job's detail; only those of culprits are recorded."""
        del steps
        for each in self._frame().jobs:
            if each.summary.job == name:
                return decode.job_detail(each)
        raise RequestRefused("its detail was not recorded: nothing was open on it at this time")

    async def node(self, name: str, seconds: float) -> NodeDetail:
        """Return a node's detail; only those of culprits are recorded."""
        del seconds
        for each in self._frame().nodes:
            if each.summary.node == name:
                return decode.node_detail(each)
        raise RequestRefused("its detail was not recorded: nothing was open on it at this time")

    async def runbooks(self) -> tuple[Runbook, ...]:
        """Return the runbooks that came with the recording."""
        return self._books

    async def run(self, id: str) -> Run:
        """Return a run as it was then."""
        for each in self._frame().runs:
            if each.id == id:
                return decode.run(each)
        raise RequestRefused(f"the run {id} is not in this picture")

    async def act(
        self, incident: str, action: str, author: str, text: str, silence_s: float = 0.0
    ) -> Incident:
        """Refuse."""
        del author, text, silence_s
        self._refuse(f"{action} {incident}")

    async def start_run(self, incident: str, runbook: str, author: str) -> Run:
        """Refuse."""
        del author
        self._refuse(f"start {runbook} for {incident}")

    async def answer(self, run: str, step: str, action: str, text: str, author: str) -> Run:
        """Refuse."""
        del text, author
        self._refuse(f"{action} {step} of {run}")

    def _refuse(self, what: str) -> NoReturn:
        raise RequestRefused(f"{what}: this is the past, nothing can be changed in it")

    async def audit(self, limit: int) -> AuditLog:
        """Refuse: what people did is on the collector, and is not part of a picture."""
        del limit
        raise RequestRefused("the audit log is not part of a recording; L goes back to now")

    async def history(self, series: str, node: str, device: str, from_s: float) -> History:
        """Refuse: a picture holds the minutes before it."""
        del node, device, from_s
        raise RequestRefused(f"{series}: a recording holds the minutes before each picture only")

    async def silences(self) -> tuple[Silence, ...]:
        """Refuse."""
        raise RequestRefused("silences are not part of a recording; L goes back to now")

    async def put_silence(
        self, matchers: Sequence[str], author: str, reason: str, duration_s: float
    ) -> Silence:
        """Refuse."""
        del author, reason, duration_s
        self._refuse(f"silence {' '.join(matchers)}")

    async def end_silence(self, id: str, author: str, reason: str) -> Silence:
        """Refuse."""
        del author, reason
        self._refuse(f"end silence {id}")

    async def alerts(self, limit: int) -> tuple[Alert, ...]:
        """Refuse."""
        del limit
        raise RequestRefused("alerts are not part of a recording; L goes back to now")

    async def recording(self, since_s: float, until_s: float) -> tuple[Kept, ...]:
        """Return the pictures of a window."""
        return tuple(kept for kept in self._frames if since_s <= kept.wall_ns / _NS <= until_s)

    async def close(self) -> None:
        """Stop playing."""
        self._speed = 0.0
