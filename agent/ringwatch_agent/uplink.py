"""Keeps a stream to the collector up: dials, waits with jitter, runs the verbs that come back.

Never decides what a verb does, and never loses what the collector did not acknowledge.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio

from ringwatch_agent.backoff import Backoff
from ringwatch_agent.channel import Line, Tls
from ringwatch_agent.spool import Spool
from ringwatch_agent.stream import ReportStream, StreamEndedError, StreamPorts
from ringwatch_proto.v1 import telemetry_pb2 as pb

_log = logging.getLogger(__name__)

OnVerb = Callable[[pb.VerbRequest], Awaitable[pb.VerbResult]]
_MAX_RESULTS: Final = 64
_REFUSALS_OF_ONE_BATCH: Final = 3


@dataclass(slots=True, kw_only=True)
class UplinkState:
    """What the uplink is doing, for the metrics page and for people."""

    connected: bool = False
    collector: str = ""
    reason: str = "not dialled yet"
    since_monotonic: float = 0.0
    streams: int = 0
    refusals: int = 0
    acked_sequence: int = 0
    verb_results_dropped: int = 0


class Uplink:
    """One node's stream. ``channel`` may be shared by many; then the caller closes it."""

    def __init__(
        self,
        address: str,
        spool: Spool,
        on_verb: OnVerb,
        *,
        channel: grpc.aio.Channel | None = None,
        tls: Tls | None = None,
        allow_plaintext: bool = False,
        window: int = 64,
        answer_s: float = 15.0,
        catch_up_per_s: float = 250.0,
        backoff: Backoff | None = None,
        dice: random.Random | None = None,
    ) -> None:
        """Raise ConfigError when ``address`` may not be dialled this way.

        ``window`` is how many batches may wait for their Ack; ``answer_s`` how long the collector
        may take to say anything that it owes; ``catch_up_per_s`` how many batches of a backlog go
        out in a second: ten minutes' worth is gone in three seconds, and then all is live.
        """
        self.state = UplinkState()
        self._address = address
        self._spool = spool
        self._on_verb = on_verb
        self._shared = channel
        self._line = Line(address, tls=tls, allow_plaintext=allow_plaintext) if channel is None else None
        self._backoff = backoff or Backoff()
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not a secret
        self._verbs: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._refusals_at = (0, 0)  # sequence of the oldest batch, and how often it met a refusal
        self._ports = StreamPorts(
            spool=spool,
            on_welcome=self._up,
            on_ack=self._acked,
            on_request=self._start_verb,
            results=asyncio.Queue(_MAX_RESULTS),
            window=window,
            answer_s=answer_s,
            catch_up_per_s=catch_up_per_s,
        )

    @property
    def sent(self) -> int:
        """Return how many batches were sent, those sent twice counted twice."""
        return self._ports.sent

    async def run(self) -> None:
        """Keep a stream up until ``stop``; return then."""
        self._running = asyncio.current_task()
        failures = 0
        while not self._stopping.is_set():
            acked, retry_after_s = self.state.acked_sequence, 0.0
            try:
                await ReportStream(await self._dial(), self._ports).run()
            except StreamEndedError as ended:
                retry_after_s = ended.retry_after_s
                if ended.refused:
                    self._refused()
                self._down(str(ended))
            except asyncio.CancelledError:
                if not self._stopping.is_set():
                    raise
            except grpc.aio.AioRpcError as error:
                self._down(f"{error.code().name.lower()}: {error.details()}")
            except Exception as error:  # noqa: BLE001 - whatever a collector sends must not end the agent
                self._down(f"{type(error).__name__}: {error}")
            failures = 0 if self.state.acked_sequence > acked else failures + 1
            await self._pause(self._backoff.wait_s(failures, retry_after_s, self._dice))

    async def _dial(self) -> grpc.aio.Channel:
        return await self._line.channel() if self._line is not None else self._shared

    async def stop(self) -> None:
        """End the stream and let go of the channel. Safe to call twice and before ``run``."""
        self._stopping.set()
        running = [task for task in (*self._verbs, self._running) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._running = None
        if self._line is not None:
            await self._line.close()

    async def drain(self, within_s: float) -> bool:
        """Wait until everything is acknowledged; return whether it was within the time."""
        deadline = time.monotonic() + within_s
        while len(self._spool) and self.state.connected and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return not len(self._spool)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _refused(self) -> None:
        """Count a refusal; what is refused time and again is given up, or nothing behind it would pass."""
        self.state.refusals += 1
        first = self._spool.next_after(0)
        if first is None or not self.state.connected:  # refused at Hello: not the batch's fault
            return
        self._refusals_at = (
            first.sequence,
            self._refusals_at[1] + 1 if self._refusals_at[0] == first.sequence else 1,
        )
        if self._refusals_at[1] >= _REFUSALS_OF_ONE_BATCH:
            _log.warning("batch %d was refused %d times and is given up", *self._refusals_at)
            self._spool.give_up_first()

    def _up(self, welcome: pb.Welcome) -> None:
        _log.info("connected to collector %s at %s", welcome.collector, self._address)
        self.state.connected, self.state.collector, self.state.reason = True, welcome.collector, ""
        self.state.since_monotonic = time.monotonic()
        self.state.streams += 1

    def _down(self, reason: str) -> None:
        if self.state.connected or self.state.reason != reason:
            _log.warning("no stream to %s: %s", self._address, reason)
        if self.state.connected:
            self.state.since_monotonic = time.monotonic()
        self.state.connected, self.state.reason = False, reason

    def _acked(self, sequence: int) -> None:
        self.state.acked_sequence = max(self.state.acked_sequence, sequence)

    def _start_verb(self, request: pb.VerbRequest) -> None:
        task = asyncio.create_task(self._answer(request))
        self._verbs.add(task)
        task.add_done_callback(self._verbs.discard)

    async def _answer(self, request: pb.VerbRequest) -> None:
        result = await self._on_verb(request)
        result.id = request.id
        results = self._ports.results
        if results.full():
            results.get_nowait()
            self.state.verb_results_dropped += 1
        results.put_nowait(result)
