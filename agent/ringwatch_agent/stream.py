"""One life of the Report stream: Hello, Welcome, then batches out and acknowledgements back.

Ends by raising what ended it; ``uplink.py`` decides when to dial again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from ringwatch_agent.spool import Record, Spool
from ringwatch_proto.v1 import telemetry_pb2 as pb

_METHOD: Final = "/ringwatch.v1.Telemetry/Report"
# A stream that is this many batches behind is catching up.
_BEHIND: Final = 8


class StreamEndedError(Exception):
    """The stream is over; ``retry_after_s`` is what a refusal asked for."""

    def __init__(self, reason: str, *, refused: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.refused = refused
        self.retry_after_s = retry_after_s


@dataclass(slots=True, kw_only=True)
class StreamPorts:
    """What a stream reads and calls; owned by the uplink and kept from one stream to the next."""

    spool: Spool
    on_welcome: Callable[[pb.Welcome], None]
    on_ack: Callable[[int], None]
    on_request: Callable[[pb.VerbRequest], None]
    results: asyncio.Queue[pb.VerbResult]
    window: int
    answer_s: float
    catch_up_per_s: float
    sent: int = field(default=0)


class ReportStream:
    """A stream of one channel, used once."""

    def __init__(self, channel: grpc.aio.Channel, ports: StreamPorts) -> None:
        self._ports = ports
        self._spool = ports.spool
        # Payloads are serialised once, when they enter the spool.
        self._method = channel.stream_stream(
            _METHOD, request_serializer=None, response_deserializer=pb.CollectorMessage.FromString
        )
        self._call: Any = None
        self._writing = asyncio.Lock()
        self._schema_id = 0
        self._unacked = 0
        self._sent_sequence = 0
        self._room = asyncio.Event()
        self._heard_monotonic = time.monotonic()

    async def run(self) -> None:
        """Run until the stream ends.

        Raises:
            StreamEndedError: the collector ended, refused or neglected it.
            grpc.aio.AioRpcError: the connection is gone or was never there.
        """
        first = await self._spool.wait_after(0)
        self._call = self._method()
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._say_hello(first)
            await self._take_welcome()
            work = (self._send_batches(), self._send_results(), self._receive(), self._watch())
            tasks = [asyncio.create_task(each) for each in work]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, payload: bytes) -> None:
        async with self._writing:  # gRPC takes one message at a time
            try:
                await self._call.write(payload)
            except asyncio.InvalidStateError:
                await self._raise_ended()

    async def _take_welcome(self) -> None:
        try:
            message = await asyncio.wait_for(self._call.read(), self._ports.answer_s)
        except TimeoutError:
            raise StreamEndedError("the collector does not answer Hello") from None
        if message is grpc.aio.EOF:
            await self._raise_ended()
        self._raise_refusal(message)
        if message.WhichOneof("body") != "welcome":
            raise StreamEndedError("the collector did not begin with Welcome")
        self._ports.on_welcome(message.welcome)

    async def _say_hello(self, record: Record) -> None:
        if record.schema_id == self._schema_id:
            return
        hello = self._spool.hello(record.schema_id)
        if hello is None:
            raise StreamEndedError(f"no Hello for schema {record.schema_id}")
        self._schema_id = record.schema_id
        await self._write(hello)

    async def _send_batches(self) -> None:
        while True:
            while self._unacked >= self._ports.window:
                self._room.clear()
                await self._room.wait()
            record = await self._spool.wait_after(self._sent_sequence)
            await self._say_hello(record)
            self._unacked += 1
            self._sent_sequence = record.sequence
            await self._write(record.payload)
            self._ports.sent += 1
            if self._spool.last_sequence - record.sequence > _BEHIND:
                # A backlog goes in order, since an Ack covers all before it, but not all at once: a
                # fleet that was cut off comes back together, and this node has a job to run.
                await asyncio.sleep(1.0 / self._ports.catch_up_per_s)

    async def _send_results(self) -> None:
        while True:
            result = await self._ports.results.get()
            await self._write(pb.AgentMessage(verb_result=result).SerializeToString())

    async def _receive(self) -> None:
        while True:
            message = await self._call.read()
            if message is grpc.aio.EOF:
                await self._raise_ended()
            self._heard_monotonic = time.monotonic()
            self._raise_refusal(message)
            body = message.WhichOneof("body")
            if body == "ack":
                self._take_ack(message.ack.sequence)
            elif body == "verb_request":
                self._ports.on_request(message.verb_request)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._ports.answer_s / 4)
            if self._unacked and time.monotonic() - self._heard_monotonic > self._ports.answer_s:
                raise StreamEndedError("the collector does not acknowledge")

    def _take_ack(self, sequence: int) -> None:
        # A collector cannot acknowledge what it was not sent.
        sequence = min(sequence, self._sent_sequence)
        self._spool.ack(sequence)
        self._unacked = len(self._spool.between(0, self._sent_sequence))
        self._ports.on_ack(sequence)
        self._room.set()

    def _raise_refusal(self, message: pb.CollectorMessage) -> None:
        if message.WhichOneof("body") == "refusal":
            refusal = message.refusal
            raise StreamEndedError(
                f"refused: {refusal.reason}", refused=True, retry_after_s=refusal.retry_after_s
            )

    async def _raise_ended(self) -> NoReturn:
        code, details = await self._call.code(), await self._call.details()
        raise StreamEndedError(f"{code.name.lower()}: {details or 'the stream ended'}")
