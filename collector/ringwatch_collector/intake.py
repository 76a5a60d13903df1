"""Where checked batches of a stream go: into this process's fleet, or onto the bus."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ringwatch_collector.clock import Clock
from ringwatch_collector.counters import Counters
from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.store.store import Store
from ringwatch_collector.streams import Mark
from ringwatch_proto.v1 import telemetry_pb2 as wire


class Intake(Protocol):
    """Takes what streams bring. Nothing here waits; ``data`` is the message as it came."""

    def __len__(self) -> int:
        """Return how many nodes there are."""
        ...

    def knows(self, node: str) -> bool:
        """Return whether a node was heard before."""
        ...

    async def idle(self) -> None:
        """Wait until a Hello can be taken."""
        ...

    def hello(self, hello: wire.Hello, data: bytes) -> Node:
        """Take what a node says it will send, right after ``idle``."""
        ...

    def connected(self, node: str, *, connected: bool) -> None:
        """Take that a node's stream is up, or ended."""
        ...

    def batch(self, node: Node, mark: Mark, batch: wire.Batch, data: bytes) -> asyncio.Future[None] | None:
        """Take a batch; return what is done once it is durable, None when it may be acknowledged at once."""
        ...


class FleetIntake:
    """Applies batches to the fleet of this process, each once, and has their events stored."""

    def __init__(self, *, fleet: FleetState, store: Store, clock: Clock, counters: Counters) -> None:
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self._counters = counters

    def __len__(self) -> int:
        return len(self._fleet.nodes)

    def knows(self, node: str) -> bool:
        """Return whether a node was heard before."""
        return self._fleet.nodes.get(node) is not None

    async def idle(self) -> None:
        """Wait until no detector looks at what a Hello may move."""
        await self._fleet.idle()

    def hello(self, hello: wire.Hello, _data: bytes) -> Node:
        """Bind what a node says it will send."""
        return self._fleet.hello(hello, self._clock.now_s())

    def connected(self, node: str, *, connected: bool) -> None:
        """Note whether a node's stream is up."""
        self._fleet.connected(node, connected=connected)

    def batch(self, node: Node, mark: Mark, batch: wire.Batch, _data: bytes) -> asyncio.Future[None] | None:
        """Apply a batch once; return the future of its events, None when nothing has to reach the disk."""
        now_s, counters, sequence = self._clock.now_s(), self._counters, batch.sequence
        if sequence <= mark.applied:
            counters.batches_duplicate += 1
            # Its events may have been applied and not yet stored: storing them again is harmless.
            events = self._fleet.seen(node, batch, now_s) if batch.events else []
        else:
            events = self._fleet.batch(node, batch, mark.spool, now_s)
            mark.applied = sequence
            counters.batches_taken += 1
            counters.events_taken += len(events)
            for item in batch.dropped:
                counters.dropped_by_agents[item.kind] += item.count
        if not events:
            return None
        rows = [(raw.id, raw.wall_ns, event) for raw, event in zip(batch.events, events, strict=True)]
        durable = self._store.put_events(mark.spool, rows)
        self._store.note_progress(node.name, mark.spool, sequence, now_s)
        return durable
