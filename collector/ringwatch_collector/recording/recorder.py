"""Puts a picture of the fleet on the tape every few seconds, and serves what is on it."""

# ruff: noqa: N802  (gRPC names its methods)

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc

from ringwatch_collector.clock import Clock
from ringwatch_collector.recording.settings import RecordingConfig
from ringwatch_collector.recording.tape import Tape
from ringwatch_collector.rpc import Context
from ringwatch_proto.errors import RecordingError
from ringwatch_proto.v1 import recording_pb2, recording_pb2_grpc

_LOG: Final = logging.getLogger("ringwatch.recording")
# A picture may take so much of the time until the next one.
_SHARE: Final = 1 / 50
_END_NS: Final = 2**63 - 1


class Recorder:
    """The task that records. ``trouble`` is what keeps it from recording, empty while it does."""

    def __init__(
        self,
        settings: RecordingConfig,
        tape: Tape,
        picture: Callable[[], recording_pb2.Frame],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._tape = tape
        self._picture = picture
        self._clock = clock
        self.trouble = ""

    async def run(self) -> None:
        """Record until cancelled; a disk that refuses is said once and tried again."""
        while True:
            began_s = self._clock.monotonic_s()
            frame = self._picture()
            data = frame.SerializeToString()
            cost_s = self._clock.monotonic_s() - began_s
            await self._keep(frame.wall_ns, data)
            await asyncio.sleep(max(self._settings.interval_s, cost_s / _SHARE))

    async def _keep(self, wall_ns: int, data: bytes) -> None:
        try:
            await asyncio.to_thread(self._tape.write, wall_ns, data)
        except RecordingError as error:
            if not self.trouble:
                _LOG.error("not recording: %s", error)
            self.trouble = f"the past is not being recorded: {error}"
            return
        self.trouble = ""


class RecordingService(recording_pb2_grpc.RecordingServicer):  # type: ignore[misc]  # generated without types
    """Serves ``ringwatch.v1.Recording``."""

    def __init__(self, tape: Tape | None) -> None:
        self._tape = tape

    async def Frames(
        self, request: recording_pb2.FramesRequest, context: Context
    ) -> AsyncIterator[recording_pb2.Frame]:
        """Yield the pictures of a window, oldest first."""
        if self._tape is None:
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                "this collector keeps no pictures: recording.max_mib is 0",
            )
        window = self._tape.window(request.since_ns, request.until_ns or _END_NS)
        while (kept := await asyncio.to_thread(next, window, None)) is not None:
            try:
                yield await asyncio.to_thread(kept.frame)
            except RecordingError as error:
                _LOG.warning("a picture is left out: %s", error)
