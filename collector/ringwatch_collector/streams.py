"""Agents' streams, how far each spool was taken, and when that is said. It applies nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ringwatch_collector.fleet.nodes import Node
from ringwatch_collector.sessions import Outbox
from ringwatch_collector.validate import Schema
from ringwatch_proto.v1 import telemetry_pb2 as wire

# Up to so many streams every batch is answered by itself; above, so many answers a second go out.
_ANSWERED_AT_ONCE: Final = 2000
_ANSWERS_PER_S: Final = 1500.0
# An agent that hears nothing for 15 s dials again.
_LONGEST_S: Final = 5.0
# An agent that catches up waits after 64 batches: it must not wait for the clock.
_MOST_UNANSWERED: Final = 16
_ROUND_S: Final = 0.02
# A node has one spool at a time; the few before it may still have a late stream.
_MOST_SPOOLS: Final = 4


@dataclass(slots=True)
class Mark:
    """How far one spool was taken: applied to the fleet, and noted for the disk."""

    node: str
    spool: str
    applied: int = 0
    noted: int = 0


class Ledger:
    """The mark of each spool. A sequence is applied once, ever."""

    def __init__(self) -> None:
        self._marks: dict[str, dict[str, Mark]] = {}

    def mark(self, node: str, spool: str) -> Mark:
        """Return the mark of a spool, at 0 for one that was never heard."""
        marks = self._marks.setdefault(node, {})
        mark = marks.get(spool)
        if mark is None:
            mark = marks[spool] = Mark(node, spool)
            if len(marks) > _MOST_SPOOLS:
                del marks[next(iter(marks))]
        return mark

    def restore(self, node: str, spool: str, sequence: int) -> None:
        """Remember what an earlier collector had applied."""
        mark = self.mark(node, spool)
        mark.applied = mark.noted = max(sequence, mark.applied)

    def moved(self) -> Iterator[Mark]:
        """Return the marks that moved since they were last returned."""
        for marks in self._marks.values():
            for mark in marks.values():
                if mark.applied > mark.noted:
                    mark.noted = mark.applied
                    yield mark


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream and what it said about itself."""

    outbox: Outbox = field(default_factory=Outbox)
    # The node that the other end proved to be; None where it did not have to.
    proven_node: str | None = None
    hello: wire.Hello | None = None
    schema: Schema | None = None
    node: Node | None = None
    mark: Mark | None = None
    reading: asyncio.Future[object] | None = None
    last_sequence: int = 0
    # Batches in order of arrival that wait for the disk, and all behind them: (sequence, its future).
    pending: deque[tuple[int, asyncio.Future[None] | None]] = field(default_factory=deque)
    # What may be acknowledged, what was, and whether the stream is in line for it.
    settled: int = 0
    acknowledged: int = 0
    in_line: bool = False

    def settle(self) -> None:
        """Acknowledge what is durable, in order."""
        while self.pending and (self.pending[0][1] is None or self.pending[0][1].done()):
            self.settled = self.pending.popleft()[0]
        if self.settled > self.acknowledged:
            self.acknowledged = self.settled
            self.outbox.acknowledge(self.settled)


class Acknowledgements:
    """Acknowledges batches without events a few at a time while very many streams are up.

    Such a batch is kept nowhere but in memory: that its agent forgets it a little later costs nothing,
    while an answer to each is a third of what a batch costs. Batches with events do not wait.
    """

    def __init__(self, monotonic_s: Callable[[], float], count: Callable[[], int]) -> None:
        self._monotonic_s = monotonic_s
        self._count = count
        self._line: deque[tuple[float, Stream]] = deque()

    def later(self, stream: Stream) -> None:
        """Have what is settled acknowledged soon; at once where streams are few or batches many."""
        streams = self._count()
        if streams <= _ANSWERED_AT_ONCE or stream.settled - stream.acknowledged >= _MOST_UNANSWERED:
            stream.settle()
        elif not stream.in_line:
            stream.in_line = True
            due_s = self._monotonic_s() + min(_LONGEST_S, streams / _ANSWERS_PER_S)
            self._line.append((due_s, stream))

    def answer(self) -> None:
        """Acknowledge what is due."""
        now_s = self._monotonic_s()
        while self._line and self._line[0][0] <= now_s:
            _, stream = self._line.popleft()
            stream.in_line = False
            stream.settle()

    async def run(self) -> None:
        """Acknowledge until cancelled."""
        while True:
            await asyncio.sleep(_ROUND_S)
            self.answer()
