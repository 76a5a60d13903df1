"""The Telemetry service: takes agents' streams, checks every message, and says what is durable.

What is valid goes to an intake: into the fleet of this process, or onto the bus. It judges no reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from ringwatch_collector.access.callers import caller_of
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.intake import Intake
from ringwatch_collector.pace import Pace
from ringwatch_collector.rpc import Context
from ringwatch_collector.sessions import Outbox, Sessions
from ringwatch_collector.store.store import Store
from ringwatch_collector.streams import Acknowledgements, Ledger, Stream
from ringwatch_collector.turnstile import Turnstile
from ringwatch_collector.validate import BadMessage, check_batch, check_hello, clean
from ringwatch_proto.v1 import telemetry_pb2 as wire

_LOG: Final = logging.getLogger("ringwatch.collector.ingest")
# About two milliseconds of work between two looks at who wants to be accepted.
_MESSAGES_A_TURN: Final = 16
# How long a stream that ends may take to send its last acknowledgement or refusal.
_LAST_WORDS_S: Final = 1.0
_SERVICE: Final = "ringwatch.v1.Telemetry"


class TelemetryService:
    """Serves ``Telemetry.Report``. Messages come as raw bytes, so that meaningless ones are counted."""

    def __init__(
        self,
        *,
        config: CollectorConfig,
        clock: Clock,
        intake: Intake,
        store: Store,
        sessions: Sessions,
        broker: ActionBroker,
        counters: Counters,
        name: str,
    ) -> None:
        self._config = config
        self._clock = clock
        self._intake = intake
        self._store = store
        self._sessions = sessions
        self._broker = broker
        self._counters = counters
        self._name = name
        self._ledger = Ledger()
        self._turnstile = Turnstile(_MESSAGES_A_TURN)
        self._acknowledgements = Acknowledgements(clock.monotonic_s, lambda: self._streams)
        self._admission = Pace(config.hellos_per_s, int(config.hellos_per_s), clock.monotonic_s)
        self._streams = 0

    def restore(self, node: str, spool: str, sequence: int) -> None:
        """Remember what an earlier collector had taken of a spool."""
        self._ledger.restore(node, spool, sequence)

    def note_progress(self) -> None:
        """Hand the store how far each spool was taken since it was last told."""
        moved = ((mark.node, mark.spool, mark.applied) for mark in self._ledger.moved())
        self._store.note_all_progress(moved, self._clock.now_s())

    async def run(self) -> None:
        """Acknowledge what waits for it, until cancelled."""
        await self._acknowledgements.run()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a server is given."""
        report = grpc.stream_stream_rpc_method_handler(
            self.report,
            request_deserializer=None,
            response_serializer=wire.CollectorMessage.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(_SERVICE, {"Report": report})

    async def report(self, _requests: object, context: Context) -> None:
        """Serve one stream until either end has enough of it."""
        self._counters.streams_opened += 1
        self._streams += 1
        stream = Stream(proven_node=caller_of(context).node)
        reader = asyncio.create_task(self._read_all(stream, context))
        writer = asyncio.create_task(_write_all(stream.outbox, context))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if not writer.done():
                await self._say_last_words(stream, writer)
        finally:
            self._streams -= 1
            self._close(stream)
            tasks = [task for task in (reader, writer, stream.reading) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _say_last_words(self, stream: Stream, writer: asyncio.Task[None]) -> None:
        """Send what is still to be said; a client that reads nothing does not keep us."""
        waiting = [durable for _, durable in stream.pending if durable is not None]
        if waiting and not stream.outbox.ended:
            await asyncio.wait(waiting, timeout=_LAST_WORDS_S)
            stream.settle()
        stream.outbox.end()
        await asyncio.wait({writer}, timeout=_LAST_WORDS_S)

    def _close(self, stream: Stream) -> None:
        if stream.hello is not None and self._sessions.close(stream.hello.node, stream.outbox):
            self._intake.connected(stream.hello.node, connected=False)

    async def _read_all(self, stream: Stream, context: Context) -> None:
        pace = Pace(self._config.stream_messages_per_s, self._config.stream_burst, self._clock.monotonic_s)
        while not stream.outbox.ended:
            data = await self._read(stream, context)
            if data is None:
                return
            wait_s = pace.take()
            if wait_s:
                self._counters.throttled += 1
                await asyncio.sleep(wait_s)
            if stream.hello is not None and (turn := self._turnstile.take()) is not None:
                await turn
            try:
                other = self._take(stream, data)
                if other is not None:
                    await other
            except BadMessage as error:
                self._refuse(stream, error.reason, str(error))
            except Exception:  # noqa: BLE001  (a bug met by one message must not reach the other streams)
                _LOG.exception("a message was not taken because of an error of the collector")
                self._refuse(stream, "internal_error", "the collector failed on this message")

    async def _read(self, stream: Stream, context: Context) -> bytes | None:
        try:
            if stream.hello is None:
                data = await self._first(stream, context)
            else:
                data = await context.read()
        except grpc.aio.UsageError:
            return None
        except grpc.RpcError:
            self._counters.refused["stream_broken"] += 1
            return None
        return data if isinstance(data, bytes) else None  # grpc.aio.EOF

    async def _first(self, stream: Stream, context: Context) -> object:
        stream.reading = asyncio.ensure_future(context.read())
        # Not wait_for: to cancel a read is to cancel the call, and the reason would not get out.
        await asyncio.wait({stream.reading}, timeout=self._config.hello_timeout_s)
        if not stream.reading.done():
            self._refuse(stream, "no_hello", "no Hello came in time")
            return None
        return await stream.reading

    def _refuse(self, stream: Stream, reason: str, sentence: str, retry_after_s: float = 0.0) -> None:
        self._counters.refused[reason] += 1
        stream.outbox.refuse(clean(sentence, 500), retry_after_s)

    def _take(self, stream: Stream, data: bytes) -> Coroutine[None, None, None] | None:
        """Take a message; return what is still to be waited for, which is rare."""
        self._counters.bytes_taken += len(data)
        try:
            message = wire.AgentMessage.FromString(data)
        except DecodeError as error:
            raise BadMessage("undecodable", "a message is not an AgentMessage") from error
        body = message.WhichOneof("body")
        if body == "batch":
            self._take_batch(stream, message.batch, data)
            return (
                self._until_disk(stream) if len(stream.pending) > self._config.most_unacknowledged else None
            )
        if body == "hello":
            return self._take_hello(stream, message.hello, data)
        if body is None:
            raise BadMessage("empty", "a message holds nothing that this collector knows")
        if stream.hello is None:
            raise BadMessage("no_hello", f"{body} came before Hello")
        if not self._broker.take_result(stream.hello.node, message.verb_result):
            self._counters.dropped["verb_result_nobody_waits_for"] += 1
        return None

    async def _until_disk(self, stream: Stream) -> None:
        """Stop reading while too much of the stream waits for the disk."""
        while len(stream.pending) > self._config.most_unacknowledged:
            await asyncio.wait([each for _, each in stream.pending if each is not None][:1])
            stream.settle()

    async def _take_hello(self, stream: Stream, hello: wire.Hello, data: bytes) -> None:
        schema = check_hello(hello)
        if stream.proven_node not in (None, hello.node):
            raise BadMessage("foreign_node", f"node {stream.proven_node!r} speaks for {hello.node!r}")
        first = stream.hello is None
        if not first and (stream.hello.node, stream.hello.spool_id) != (hello.node, hello.spool_id):  # type: ignore[union-attr]
            raise BadMessage("hello_changed_node", "a stream speaks for one node and one spool")
        if first:
            wait_s = self._admission.take()
            if wait_s:
                await asyncio.sleep(wait_s)
        await self._intake.idle()
        if first:
            if not self._intake.knows(hello.node) and len(self._intake) >= self._config.most_nodes:
                self._refuse(stream, "too_many_nodes", f"{self._config.most_nodes} nodes are the limit", 60.0)
                return
            if self._sessions.open(hello.node, stream.outbox):
                self._counters.streams_replaced += 1
                _LOG.warning("node %s: a newer stream replaced the one that was up", hello.node)
        elif not self._sessions.is_current(hello.node, stream.outbox):
            return
        stream.node = self._intake.hello(hello, data)
        stream.hello, stream.schema = hello, schema
        stream.mark = self._ledger.mark(hello.node, hello.spool_id)
        self._intake.connected(hello.node, connected=True)
        if first:
            welcome = wire.Welcome(collector=self._name, wall_ns=round(self._clock.now_s() * 1e9))
            stream.outbox.put(wire.CollectorMessage(welcome=welcome))

    def _take_batch(self, stream: Stream, batch: wire.Batch, data: bytes) -> None:
        hello, schema, node, mark = stream.hello, stream.schema, stream.node, stream.mark
        if hello is None or schema is None or node is None or mark is None:
            raise BadMessage("no_hello", "a batch came before Hello")
        if not self._sessions.is_current(mark.node, stream.outbox):
            return
        for reason in check_batch(batch, schema):
            self._counters.refused[reason] += 1
        sequence = batch.sequence
        if sequence < stream.last_sequence:
            raise BadMessage("out_of_order", f"sequence {sequence} came after {stream.last_sequence}")
        stream.last_sequence = sequence
        durable = self._intake.batch(node, mark, batch, data)
        if durable is None and not stream.pending:
            stream.settled = sequence
            self._acknowledgements.later(stream)
            return
        stream.pending.append((sequence, durable))
        if durable is not None:
            durable.add_done_callback(_settler(stream))


def _settler(stream: Stream) -> Callable[[asyncio.Future[None]], None]:
    return lambda _: stream.settle()


async def _write_all(outbox: Outbox, context: Context) -> None:
    while (message := await outbox.next()) is not None:
        await context.write(message)
