"""One partition at work: its fleet, its incidents and its looks, fed from the bus. It owns no lease."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from ringwatch_collector.blast import BlastPolicy, gather
from ringwatch_collector.bus.config import BusConfig
from ringwatch_collector.bus.link import BusError, Delivery, Link, Place
from ringwatch_collector.bus.partitions import incident_prefix
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.follow import Bell
from ringwatch_collector.fusion import Fused, fuse
from ringwatch_collector.ground import fleet_policy
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.intake import FleetIntake
from ringwatch_collector.runner import Runner
from ringwatch_collector.silences import Silence
from ringwatch_collector.store.store import Store
from ringwatch_collector.streams import Ledger
from ringwatch_collector.validate import BadMessage, Schema, check_batch, check_hello
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, Incident
from ringwatch_proto.v1 import bus_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_RETRY_S: Final = 0.5


class FedClock(Clock):
    """Says when the message that is being read was put on the bus, until the reader caught up."""

    def __init__(self) -> None:
        super().__init__()
        self.behind_s: float | None = time.time()

    def now_s(self) -> float:
        """Return Unix seconds: of the message while behind, else now."""
        return super().now_s() if self.behind_s is None else self.behind_s


@dataclass(slots=True)
class _Heard:
    """What is known of a node's newest stream."""

    stream: int
    hello: str
    spool: str
    schema: Schema
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class CellParts:
    """What the cells of a process share."""

    config: CollectorConfig
    bus: BusConfig
    link: Link
    store: Store
    counters: Counters
    bell: Bell
    runbooks_for: Callable[[Incident], tuple[str, ...]]
    silence_over: Callable[[Incident, float], Silence | None]


class Cell:
    """A partition from the moment at which its lease was taken. ``start`` and ``stop`` once each."""

    def __init__(self, partition: int, parts: CellParts, after: Place, incidents: Sequence[Incident]) -> None:
        self.partition = partition
        self._parts = parts
        self.clock = FedClock()
        self._since_ns = time.time_ns() - int(parts.bus.replay_s * 1e9)
        self.fleet = FleetState(fleet_policy(parts.config), parts.counters.dropped, self._since_ns / 1e9)
        self.book = IncidentBook(
            IncidentPolicy(),
            parts.runbooks_for,
            incidents,
            prefix=incident_prefix(partition),
            silence_over=parts.silence_over,
        )
        self._intake = FleetIntake(
            fleet=self.fleet, store=parts.store, clock=self.clock, counters=parts.counters
        )
        self._ledger = Ledger()
        self._heard: dict[str, _Heard] = {}
        self._read = after
        self._pending: deque[tuple[Place, list[asyncio.Future[None]]]] = deque()
        self._caught_up = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.runner = Runner(
            detectors=ALL,
            fuse=self._fuse,
            book=self.book,
            fleet=self.fleet,
            store=parts.store,
            bell=parts.bell,
            clock=self.clock,
            counters=parts.counters,
            tick_s=parts.config.tick_s,
        )
        self._durable = after

    def _fuse(self, findings: Sequence[Finding], view: FleetView) -> list[Fused]:
        """Join findings of one cause, and then causes of many nodes of this partition at once."""
        return gather(fuse(findings, view), view, self.fleet.nodes.labels_of, BlastPolicy())

    @property
    def is_live(self) -> bool:
        """Return whether everything was read that was on the bus at the start."""
        return self._caught_up.is_set()

    @property
    def place(self) -> Place:
        """Return how far everything is durable."""
        while self._pending and all(each.done() for each in self._pending[0][1]):
            self._durable = self._pending.popleft()[0]
        return self._durable

    def start(self) -> None:
        """Begin to read, and to look once the reader has caught up."""
        self._tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._look())]

    async def stop(self) -> None:
        """Stop reading and looking. What was read and is not durable is read again by the next owner."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> None:
        await self._caught_up.wait()
        await self.runner.run()

    async def _feed(self) -> None:
        """Read for ever; from where it stood when the connection was lost."""
        since_ns = self._since_ns
        while True:
            try:
                async for delivery in self._parts.link.read(self.partition, self._read, since_ns):
                    await self._take(delivery)
            except BusError as error:
                _LOG.warning("partition %d: reading begins again: %s", self.partition, error)
            # Everything up to `_read` was applied: the ledger leaves out what comes twice.
            since_ns = max(since_ns, self._read.at_ns)
            await asyncio.sleep(_RETRY_S)

    async def _take(self, delivery: Delivery) -> None:
        if self.clock.behind_s is not None and delivery.at_ns:
            self.clock.behind_s = delivery.at_ns / 1e9
        if delivery.data:
            place = Place(sequence=delivery.sequence, at_ns=delivery.at_ns)
            self._pending.append((place, await self._take_parcel(delivery.data)))
            self._read = place
        if not delivery.left and not self._caught_up.is_set():
            self.clock.behind_s = None
            self._caught_up.set()
            _LOG.info("partition %d: read up to %d, looks begin", self.partition, delivery.sequence)

    async def _take_parcel(self, data: bytes) -> list[asyncio.Future[None]]:
        try:
            parcel = bus_pb2.Parcel.FromString(data)
        except DecodeError:
            self._parts.counters.refused["undecodable_parcel"] += 1
            return []
        waits = []
        for item in parcel.items:
            try:
                durable = await self._take_item(item)
            except (BadMessage, DecodeError) as error:
                # The ingest collector took it: the two are of different versions, or somebody else publishes.
                self._parts.counters.refused[getattr(error, "reason", "undecodable")] += 1
                continue
            if durable is not None:
                waits.append(durable)
        return waits

    async def _take_item(self, item: bus_pb2.Item) -> asyncio.Future[None] | None:
        heard = self._heard.get(item.node)
        if item.left:
            self._heard.pop(item.node, None)
            await self._intake.idle()
            self.fleet.leave(item.node, self.clock.now_s())
            return None
        if item.closed:
            if heard is not None and heard.stream == item.stream:
                self.fleet.connected(item.node, connected=False)
            return None
        if heard is None or heard.stream != item.stream or heard.hello != item.hello:
            heard = await self._greet(item)
        if heard is None or not item.message:
            return None
        return self._take_batch(heard, item.message)

    async def _greet(self, item: bus_pb2.Item) -> _Heard | None:
        """Bind the Hello that a node's items name; every reader finds it, whenever it begins."""
        while True:
            try:
                data = await self._parts.link.hello(item.hello)
                break
            except BusError as error:
                _LOG.debug("the Hello of %s is not there yet: %s", item.node, error)
                await asyncio.sleep(_RETRY_S)
        if data is None:
            self._parts.counters.dropped["hello_is_gone"] += 1
            return None
        hello = wire.AgentMessage.FromString(data).hello
        schema = check_hello(hello)
        await self._intake.idle()
        node = self._intake.hello(hello, data)
        self._intake.connected(item.node, connected=True)
        heard = _Heard(item.stream, item.hello, hello.spool_id, schema, node)
        self._heard[item.node] = heard
        return heard

    def _take_batch(self, heard: _Heard, data: bytes) -> asyncio.Future[None] | None:
        batch = wire.AgentMessage.FromString(data).batch
        for reason in check_batch(batch, heard.schema):
            self._parts.counters.refused[reason] += 1
        mark = self._ledger.mark(heard.node.name, heard.spool)
        return self._intake.batch(heard.node, mark, batch, data)
