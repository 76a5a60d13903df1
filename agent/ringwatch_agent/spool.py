"""Holds what the collector has not acknowledged, in order and bounded. Knows no disk and no network.

When the bound is reached the oldest sample content goes first and events go last; whatever is lost
is counted by kind, and the counts travel in the next batch. ``journal.py`` mirrors a spool on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import uuid
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from ringwatch_proto import layout
from ringwatch_proto.v1 import telemetry_pb2 as pb

DEFAULT_LIMIT_BYTES: Final = 64 << 20
# A gRPC server refuses messages over 4 MiB: such a batch would come back for ever.
MAX_BATCH_BYTES: Final = 3_500_000
_RECORD_COST: Final = 160  # the Python object around a payload
_EVENT_ID_SHIFT: Final = 16
_PACKED: Final[tuple[tuple[str, struct.Struct], ...]] = (
    ("steps", layout.STEP),
    ("collectives", layout.COLLECTIVE),
    ("rank_states", layout.RANK_STATE),
    ("flows", layout.FLOW),
)
_sequence_of = attrgetter("sequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One batch as it goes out: a serialised AgentMessage. ``lean`` ones hold no samples."""

    sequence: int
    schema_id: int
    events: int
    lean: bool
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a journal found on disk at start-up: the state that a spool goes on from."""

    spool_id: str
    next_sequence: int
    hellos: Mapping[int, bytes]
    records: tuple[Record, ...]
    dropped: Mapping[str, int]


class Spool:
    """An ordered, bounded queue of batches with the Hello that each of them needs.

    Lives on one asyncio loop. Without a journal this is the memory-only variant that simulators use.
    """

    def __init__(self, *, limit_bytes: int = DEFAULT_LIMIT_BYTES, kept: Kept | None = None) -> None:
        self.spool_id = kept.spool_id if kept else uuid.uuid4().hex
        self.acked_sequence = 0
        self.dropped_total: Counter[str] = Counter()
        self.limit_bytes = limit_bytes
        self._next_sequence = kept.next_sequence if kept else 1
        self._hellos: dict[int, bytes] = dict(kept.hellos) if kept else {}
        self._records: list[Record] = list(kept.records) if kept else []
        self._to_tell: Counter[str] = Counter()
        self._lean = 0  # how many records from the left hold no samples
        self._grown = asyncio.Event()
        self._eventful = asyncio.Event()
        self._last_event_sequence = 0
        self.bytes = sum(_cost(record) for record in self._records)
        self.count(kept.dropped if kept else {})
        self._shrink()

    def __len__(self) -> int:
        """Return how many batches wait for an acknowledgement."""
        return len(self._records)

    @property
    def last_sequence(self) -> int:
        """Return the sequence of the newest batch ever appended, 0 before the first."""
        return self._next_sequence - 1

    @property
    def last_schema_id(self) -> int:
        """Return the newest schema id, 0 before the first Hello."""
        return max(self._hellos, default=0)

    def count(self, lost: Mapping[str, int]) -> None:
        """Count losses by kind; the next batch tells them."""
        self._to_tell.update(lost)
        self.dropped_total.update(lost)

    def append(self, hello: pb.Hello | None, batch: pb.Batch) -> int:
        """Add a batch, and the Hello that comes before it; return the batch's sequence."""
        if hello is not None:
            hello.spool_id = self.spool_id
            self._hellos[hello.schema_id] = pb.AgentMessage(hello=hello).SerializeToString()
        batch.sequence = self._next_sequence
        self._next_sequence += 1
        for index, event in enumerate(batch.events):
            event.id = (batch.sequence << _EVENT_ID_SHIFT) | (index & 0xFFFF)
        if self._to_tell:
            batch.dropped.extend(pb.Dropped(kind=kind, count=count) for kind, count in self._to_tell.items())
            self._to_tell.clear()
        self._add(self._fitting(batch))
        self._grown.set()
        if batch.events:
            self._last_event_sequence = batch.sequence
            self._eventful.set()
        return batch.sequence

    def ack(self, sequence: int) -> int:
        """Forget everything up to ``sequence``; return how many batches that was."""
        self.acked_sequence = max(self.acked_sequence, min(sequence, self.last_sequence))
        upto = bisect_right(self._records, sequence, key=_sequence_of)
        self.bytes -= sum(_cost(record) for record in self._records[:upto])
        del self._records[:upto]
        self._lean = max(0, self._lean - upto)
        self._forget_hellos()
        return upto

    def give_up_first(self) -> None:
        """Take the samples out of the oldest batch, and at the second call all of it.

        For a batch that the collector refuses again and again: it must not hold up the others.
        """
        if self._records and self._records[0].lean:
            self._drop_oldest()
        elif self._records:
            self._thin(0)

    def next_after(self, sequence: int) -> Record | None:
        """Return the oldest batch after ``sequence``, None when there is none."""
        at = bisect_right(self._records, sequence, key=_sequence_of)
        return self._records[at] if at < len(self._records) else None

    def between(self, first: int, last: int) -> list[Record]:
        """Return the batches whose sequences lie from ``first`` to ``last``."""
        begin = bisect_left(self._records, first, key=_sequence_of)
        return self._records[begin : bisect_right(self._records, last, key=_sequence_of)]

    def hellos(self) -> dict[int, bytes]:
        """Return every serialised Hello that a batch may still need, by schema id."""
        return dict(self._hellos)

    def hello(self, schema_id: int) -> bytes | None:
        """Return the serialised Hello of a schema, None when it is not known."""
        return self._hellos.get(schema_id)

    async def wait_after(self, sequence: int) -> Record:
        """Return the oldest batch after ``sequence``; wait until there is one."""
        while (record := self.next_after(sequence)) is None:
            self._grown.clear()
            await self._grown.wait()
        return record

    async def wait_for_event_after(self, sequence: int, within_s: float) -> None:
        """Return when an unacknowledged batch after ``sequence`` holds an event, or after ``within_s``."""
        self._eventful.clear()
        newest = self._records[-1].sequence if self._records else 0
        if newest >= self._last_event_sequence > max(sequence, self.acked_sequence):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._eventful.wait()

    def _fitting(self, batch: pb.Batch) -> Record:
        record = _record(batch, lean=False)
        if len(record.payload) <= MAX_BATCH_BYTES:
            return record
        self.count(_strip(batch))
        return _record(batch, lean=True)

    def _add(self, record: Record) -> None:
        self._records.append(record)
        self.bytes += _cost(record)
        self._shrink()

    def _shrink(self) -> None:
        while self.bytes > self.limit_bytes and len(self._records) > 1:
            if self._lean < len(self._records) - 1:
                self._thin(self._lean)
            else:
                self._drop_oldest()

    def _thin(self, at: int) -> None:
        record = self._records[at]
        if record.lean:
            self._lean += 1
            return
        batch = pb.AgentMessage.FromString(record.payload).batch
        self.count(_strip(batch))
        self.bytes -= _cost(record)
        if not batch.events and not batch.dropped:
            del self._records[at]
            return
        self._records[at] = _record(batch, lean=True)
        self.bytes += _cost(self._records[at])
        self._lean += 1

    def _drop_oldest(self) -> None:
        record = self._records.pop(0)
        self.bytes -= _cost(record)
        self._lean = max(0, self._lean - 1)
        batch = pb.AgentMessage.FromString(record.payload).batch
        lost = Counter({"spool.events": len(batch.events)}) if batch.events else Counter()
        lost.update(_strip(batch))
        self.count(lost)
        # What an unsent batch had to tell about losses must still be told.
        self._to_tell.update({each.kind: each.count for each in batch.dropped})

    def _forget_hellos(self) -> None:
        oldest = self._records[0].schema_id if self._records else self.last_schema_id
        for schema_id in [each for each in self._hellos if each < min(oldest, self.last_schema_id)]:
            del self._hellos[schema_id]


def _cost(record: Record) -> int:
    return len(record.payload) + _RECORD_COST


def _record(batch: pb.Batch, *, lean: bool) -> Record:
    return Record(
        sequence=batch.sequence,
        schema_id=batch.schema_id,
        events=len(batch.events),
        lean=lean,
        payload=pb.AgentMessage(batch=batch).SerializeToString(),
    )


def _strip(batch: pb.Batch) -> Counter[str]:
    """Take the sample content out of a batch and return what that was, by kind."""
    lost: Counter[str] = Counter()
    if batch.blocks:
        lost["spool.blocks"] = len(batch.blocks)
        batch.ClearField("blocks")
    for name, record in _PACKED:
        if packed := getattr(batch, name):
            lost[f"spool.{name}"] = len(packed) // record.size
            setattr(batch, name, b"")
    return lost
