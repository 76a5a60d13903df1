"""Looks at this node once, without a collector: for people, and for verbs that inspect."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from ringwatch_agent.sampler import Instant, Sampler
from ringwatch_agent.source_health import SourceHealth
from ringwatch_agent.sources.base import Device, EventRecord, GpuOwner, Reading, Source, TableReading
from ringwatch_agent.xid_join import XidJoin
from ringwatch_proto.errors import SourceError
from ringwatch_proto.signals import BY_ID, BY_NAME, Table, is_whole_gpu

_STATE: Final = BY_NAME["gpu.state"].id
# Rates take two beats; a GPU that does not answer is known to be silent after four.
_MOST_BEATS: Final = 6
# GPUs are looked at for so long: the second reading of their slower group, from which rates come, is in it.
_GPUS_S: Final = 1.0


@runtime_checkable
class Explains(Protocol):
    """A source that can say what it does not read, and why."""

    def missing(self) -> dict[str, dict[str, str]]:
        """Return for each device the signals that it does not give, with the reason."""
        ...

    def facts(self, device: str) -> Mapping[str, str]:
        """Return what does not change about a device: versions, serial number."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a short look saw: the health of each source, the newest tables, the events.

    ``missing`` and ``facts`` are by device, as far as sources explain themselves; ``owners`` use the GPUs.
    """

    health: Mapping[str, SourceHealth]
    tables: Mapping[Table, TableReading]
    events: tuple[EventRecord, ...]
    took_s: float = math.nan
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    owners: tuple[GpuOwner, ...] = ()


async def look(sources: Iterable[Source], *, interval_s: float = 1.0, deadline_s: float = 5.0) -> Look:
    """Read every source until it has answered twice and every GPU's state is known, or it is late."""
    began_s = time.monotonic()
    tables: dict[Table, TableReading] = {}
    events: list[EventRecord] = []
    owners: tuple[GpuOwner, ...] = ()
    beats = 0
    gpus_since_s = math.inf
    enough = asyncio.Event()
    join = XidJoin()
    looked_at = list(sources)

    def take(readings: list[Reading], now: Instant) -> None:
        nonlocal beats, owners, gpus_since_s
        beats += 1
        for reading in join.join(readings, now.monotonic_ns / 1e9):
            tables.update({table.table: table for table in reading.tables})
            events.extend(reading.events)
            owners = owners if reading.owners is None else reading.owners
        now_s = time.monotonic()
        if Table.GPU in tables:
            gpus_since_s = min(gpus_since_s, now_s)
        settled = all(each.up is not None for each in sampler.health.values()) and _all_known(tables)
        settled = settled and (Table.GPU not in tables or now_s - gpus_since_s >= _GPUS_S)
        if beats >= 2 and settled:
            enough.set()

    sampler = Sampler(take, interval_s=interval_s, deadline_s=deadline_s)
    for source in looked_at:
        sampler.add(source)
    running = asyncio.create_task(sampler.run())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(deadline_s, _MOST_BEATS * interval_s)):
            await enough.wait()
    explained = await asyncio.to_thread(_explained, looked_at, sampler.health, tables)
    await sampler.stop()
    await running
    return Look(
        health=sampler.health,
        tables=tables,
        events=(*events, *join.rest()),
        took_s=time.monotonic() - began_s,
        missing=explained[0],
        facts=explained[1],
        owners=owners,
    )


def _all_known(tables: Mapping[Table, TableReading]) -> bool:
    """Tell whether each GPU said how it is; one that does not answer takes a while to be silent."""
    table = tables.get(Table.GPU)
    if table is None or _STATE not in table.signals:
        return True
    states = table.values[table.signals.index(_STATE) :: len(table.signals)]
    return not any(
        math.isnan(state)
        for device, state in zip(table.devices, states, strict=True)
        if is_whole_gpu(device.id)
    )


def _explained(
    sources: Iterable[Source], health: Mapping[str, SourceHealth], tables: Mapping[Table, TableReading]
) -> tuple[dict[str, dict[str, str]], dict[str, Mapping[str, str]]]:
    missing: dict[str, dict[str, str]] = {}
    facts: dict[str, Mapping[str, str]] = {}
    for source in sources:
        if not isinstance(source, Explains) or not health[source.name].up:
            continue
        try:
            missing |= source.missing()
        except SourceError:
            continue
        devices = [device.id for table in tables.values() for device in table.devices]
        facts |= {device: told for device in devices if (told := source.facts(device))}
    return missing, facts


def rows(table: TableReading) -> Iterator[tuple[Device, dict[str, float]]]:
    """Yield each device with its present readings by signal name; what is absent is left out."""
    width = len(table.signals)
    for row, device in enumerate(table.devices):
        cells = zip(table.signals, table.values[row * width : (row + 1) * width], strict=True)
        yield device, {BY_ID[signal].name: value for signal, value in cells if not math.isnan(value)}
