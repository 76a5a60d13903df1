"""The intake of an ingest collector: gathers batches by partition and puts them on the bus."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ringwatch_collector.bus.config import BusConfig
from ringwatch_collector.bus.link import BusError, Link, key_of
from ringwatch_collector.bus.partitions import partition_of
from ringwatch_collector.counters import Counters
from ringwatch_collector.fleet.clocks import NodeClock
from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.streams import Mark
from ringwatch_collector.validate import BadMessage
from ringwatch_proto.v1 import bus_pb2
from ringwatch_proto.v1 import telemetry_pb2 as wire

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_RETRY_S: Final = 0.5
# Of NATS's largest message, what a parcel may take: names and framing take the rest.
_FILLED: Final = 0.8


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item on its way, and who waits for it."""

    item: bus_pb2.Item
    hello: bytes
    durable: asyncio.Future[None] | None


@dataclass(slots=True)
class _Lane:
    """What waits for one partition."""

    partition: int
    entries: deque[_Entry] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Route:
    """Where a node's batches go. ``node`` is what a stream holds on to."""

    node: Node
    partition: int
    spool: str
    stream: int
    hello: str


class BusIntake:
    """Takes what streams bring and reports a batch as durable once the bus has it."""

    def __init__(self, link: Link, config: BusConfig, counters: Counters) -> None:
        self._link = link
        self._config = config
        self._counters = counters
        self._routes: dict[str, _Route] = {}
        self._lanes = [_Lane(partition) for partition in range(config.partitions)]
        self._moving: set[asyncio.Task[None]] = set()
        self.trouble = ""

    def __len__(self) -> int:
        return len(self._routes)

    def knows(self, node: str) -> bool:
        """Return whether a node was heard before."""
        return node in self._routes

    async def idle(self) -> None:
        """Return at once: a Hello can be taken at any time."""

    def hello(self, hello: wire.Hello, data: bytes) -> Node:
        """Find out where the node's batches go, and have its Hello kept for whoever reads them."""
        before = self._routes.get(hello.node)
        partition = partition_of(hello, self._config.partitions, before.partition if before else None)
        route = _Route(
            node=before.node if before else Node(index=0, name=hello.node, clock=NodeClock()),
            partition=partition,
            spool=hello.spool_id,
            stream=uuid.uuid4().int >> 64,
            hello=key_of(data),
        )
        self._routes[hello.node] = route
        self._put(route, _mark(route, opened=True), hello=data)
        if before is None or before.partition != partition:
            task = asyncio.create_task(self._move(route))
            self._moving.add(task)
            task.add_done_callback(self._moving.discard)
        return route.node

    async def _move(self, route: _Route) -> None:
        """Tell the partition that the node was of, whichever collector took it then."""
        name = route.node.name
        while self._routes.get(name) is route:
            try:
                before = await self._link.move_home(name, route.partition)
            except BusError as error:
                _LOG.debug("the home of %s is not noted yet: %s", name, error)
                await asyncio.sleep(_RETRY_S)
                continue
            if before is not None and before != route.partition:
                lane = self._lanes[before % self._config.partitions]
                self._queue(lane, _Entry(bus_pb2.Item(node=name, left=True), b"", None))
            return

    def connected(self, node: str, *, connected: bool) -> None:
        """Say that a stream ended; that one began is said with its Hello."""
        route = self._routes.get(node)
        if route is not None and not connected:
            self._put(route, _mark(route, closed=True))

    def batch(self, node: Node, mark: Mark, batch: wire.Batch, data: bytes) -> asyncio.Future[None]:
        """Put a batch on the bus, also one that was there before: its reader takes it once."""
        if len(data) > self._link.most_bytes * _FILLED:
            raise BadMessage(
                "too_large_for_the_bus", f"{len(data)} bytes are more than NATS takes in one message"
            )
        if batch.sequence <= mark.applied:
            self._counters.batches_duplicate += 1
        else:
            mark.applied = batch.sequence
            self._counters.batches_taken += 1
            self._counters.events_taken += len(batch.events)
        route = self._routes[node.name]
        item = _mark(route)
        item.message = data
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(route, item, durable=durable)
        return durable

    def _put(
        self,
        route: _Route,
        item: bus_pb2.Item,
        *,
        hello: bytes = b"",
        durable: asyncio.Future[None] | None = None,
    ) -> None:
        self._queue(self._lanes[route.partition], _Entry(item, hello, durable))

    def _queue(self, lane: _Lane, entry: _Entry) -> None:
        lane.entries.append(entry)
        lane.filled.set()

    async def run(self) -> None:
        """Publish what waits until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(self._drain(lane))

    async def _drain(self, lane: _Lane) -> None:
        while True:
            await lane.filled.wait()
            await asyncio.sleep(self._config.gather_ms / 1000)
            while entries := self._gathered(lane):
                await self._deliver(lane.partition, entries)
            lane.filled.clear()

    def _gathered(self, lane: _Lane) -> list[_Entry]:
        """Take as many entries as fit into one message."""
        taken: list[_Entry] = []
        room = int(self._link.most_bytes * _FILLED)
        while lane.entries:
            room -= lane.entries[0].item.ByteSize() + 8
            if taken and room < 0:
                break
            taken.append(lane.entries.popleft())
        return taken

    async def _deliver(self, partition: int, entries: list[_Entry]) -> None:
        """Have a parcel on the bus, however long that takes: in order, and once."""
        data = bus_pb2.Parcel(items=[entry.item for entry in entries]).SerializeToString()
        id = uuid.uuid4().hex
        while True:
            try:
                for entry in entries:
                    if entry.hello:
                        await self._link.keep_hello(entry.item.hello, entry.hello)
                await self._link.publish(partition, data, id)
            except BusError as error:
                self._say(f"bus: {type(error).__name__}: {str(error)[:200]}; batches are not acknowledged")
                await asyncio.sleep(_RETRY_S)
                continue
            self._say("")
            break
        for entry in entries:
            if entry.durable is not None and not entry.durable.done():
                entry.durable.set_result(None)

    def _say(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _LOG.error("%s", trouble)
        if self.trouble and not trouble:
            _LOG.warning("the bus works again")
        self.trouble = trouble


def _mark(route: _Route, *, opened: bool = False, closed: bool = False) -> bus_pb2.Item:
    return bus_pb2.Item(
        node=route.node.name,
        spool=route.spool,
        stream=route.stream,
        hello=route.hello,
        opened=opened,
        closed=closed,
    )
