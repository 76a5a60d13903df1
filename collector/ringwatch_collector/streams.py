"""One agent's stream and how far each spool was taken. It keeps count and applies nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.sessions import Outbox
from ringwatch_collector.validate import Schema
from ringwatch_proto.v1 import telemetry_pb2 as wire

# A node has one spool at a time; the few before it may still have a late stream.
_MOST_SPOOLS: Final = 4


class Ledger:
    """How far each spool was taken: applied to the fleet. A sequence is applied once, ever."""

    def __init__(self) -> None:
        self._applied: dict[str, dict[str, int]] = {}

    def applied(self, node: str, spool: str) -> int:
        """Return the highest sequence that was applied, 0 for none."""
        return self._applied.get(node, {}).get(spool, 0)

    def note(self, node: str, spool: str, sequence: int) -> None:
        """Remember that everything up to ``sequence`` was applied."""
        spools = self._applied.setdefault(node, {})
        spools[spool] = max(sequence, spools.get(spool, 0))
        if len(spools) > _MOST_SPOOLS:
            del spools[next(iter(spools))]


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream and what it said about itself."""

    outbox: Outbox = field(default_factory=Outbox)
    # The node that the other end proved to be; None where it did not have to.
    proven_node: str | None = None
    hello: wire.Hello | None = None
    schema: Schema | None = None
    node: Node | None = None
    reading: asyncio.Future[object] | None = None
    last_sequence: int = 0
    # Batches in order of arrival that wait for the disk: (sequence, whether it is durable).
    pending: deque[tuple[int, asyncio.Future[None] | None]] = field(default_factory=deque)

    def settle(self) -> None:
        """Acknowledge what is durable, in order."""
        durable = 0
        while self.pending and (self.pending[0][1] is None or self.pending[0][1].done()):
            durable = self.pending.popleft()[0]
        if durable:
            self.outbox.acknowledge(durable)
