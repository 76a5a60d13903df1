"""Looks at this node once, without a collector: for people, and for verbs that inspect."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ringwatch_agent.sampler import Instant, Sampler
from ringwatch_agent.source_health import SourceHealth
from ringwatch_agent.sources.base import Device, EventRecord, Reading, Source, TableReading
from ringwatch_proto.signals import BY_ID, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a short look saw: the health of each source, the newest tables, the events."""

    health: Mapping[str, SourceHealth]
    tables: Mapping[Table, TableReading]
    events: tuple[EventRecord, ...]


async def look(sources: Iterable[Source], *, interval_s: float = 1.0, deadline_s: float = 5.0) -> Look:
    """Read every source until it has answered twice, or its deadline is over."""
    tables: dict[Table, TableReading] = {}
    events: list[EventRecord] = []
    beats = 0
    enough = asyncio.Event()

    def take(readings: list[Reading], _: Instant) -> None:
        nonlocal beats
        beats += 1
        for reading in readings:
            tables.update({table.table: table for table in reading.tables})
            events.extend(reading.events)
        settled = all(each.up is not None for each in sampler.health.values())
        if (beats >= 2 and settled) or beats * interval_s > deadline_s + interval_s:
            enough.set()

    sampler = Sampler(take, interval_s=interval_s, deadline_s=deadline_s)
    for source in sources:
        sampler.add(source)
    running = asyncio.create_task(sampler.run())
    await enough.wait()
    await sampler.stop()
    await running
    return Look(health=sampler.health, tables=tables, events=tuple(events))


def rows(table: TableReading) -> Iterator[tuple[Device, dict[str, float]]]:
    """Yield each device with its present readings by signal name; what is absent is left out."""
    width = len(table.signals)
    for row, device in enumerate(table.devices):
        cells = zip(table.signals, table.values[row * width : (row + 1) * width], strict=True)
        yield device, {BY_ID[signal].name: value for signal, value in cells if not math.isnan(value)}
