"""Answers of the History call: from memory, from the database, or both, and which. It stores nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import numpy as np

from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.history import memory
from ringwatch_collector.history.ask import Ask, ask_of
from ringwatch_collector.history.database import Database
from ringwatch_collector.history.grid import Grid, grid
from ringwatch_collector.history.memory import Lines
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import UnreachableError
from ringwatch_proto.v1 import query_pb2

_MEMORY_S: Final = 1.0
# A mean over two samples has at least one in it, however they jitter.
_SAMPLES_A_STEP: Final = 2
_AT_ONCE: Final = 4


class HistoryAnswers:
    """Answers one request at a time from memory, a few at a time from the database."""

    def __init__(
        self, fleet: FleetState, database: Database | None, interval_s: float, now_s: Callable[[], float]
    ) -> None:
        self._fleet = fleet
        self._database = database
        self._interval_s = interval_s
        self._now_s = now_s
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, request: query_pb2.HistoryRequest) -> query_pb2.HistoryReply:
        """Return a series; raise ValueError, with a sentence, for what cannot be asked."""
        now_s = self._now_s()
        ask = ask_of(request, now_s)
        held_s = memory.held_from_s(self._fleet, ask, now_s)
        if held_s <= ask.from_s or self._database is None:
            return self._from_memory(ask, held_s, "")
        over = grid(ask.from_s, ask.to_s, ask.step_s, _SAMPLES_A_STEP * self._interval_s)
        try:
            async with self._few:
                found = await asyncio.to_thread(self._database.lines, ask, over)
        except UnreachableError as error:
            return self._from_memory(ask, held_s, f"{error}: only what memory holds is shown")
        source = "victoriametrics"
        if ask.to_s > held_s and _fill(found, memory.lines(self._fleet, ask, over), over, held_s):
            source = "victoriametrics, memory"
        return _reply(ask, over, found, source, self._interval_s)

    def _from_memory(self, ask: Ask, held_s: float, note: str) -> query_pb2.HistoryReply:
        over = grid(ask.from_s, ask.to_s, ask.step_s, _MEMORY_S)
        found = memory.lines(self._fleet, ask, over)
        if not note and held_s > ask.from_s + over.step_s:
            minutes = max(0.0, self._now_s() - held_s) / 60
            note = f"memory holds the last {minutes:.1f} min of this, and no history database is set"
        return _reply(ask, over, found, "memory", _MEMORY_S, note=note)


def _fill(found: Lines, held: Lines, over: Grid, held_s: float) -> bool:
    """Fill the newest steps, which the database does not have yet, from memory; say whether any was."""
    starts_s = over.first_s + (np.arange(over.points) - 1) * over.step_s
    filled = False
    for key, values in held.items():
        line = found.setdefault(key, np.full(over.points, np.nan, np.float32))
        missing = np.isnan(line) & ~np.isnan(values) & (starts_s >= held_s)
        line[missing] = values[missing]
        filled = filled or bool(missing.any())
    return filled


def _reply(
    ask: Ask, over: Grid, found: Lines, source: str, resolution_s: float, *, note: str = ""
) -> query_pb2.HistoryReply:
    return query_pb2.HistoryReply(
        series=ask.series,
        unit=ask.unit,
        source=source,
        step_s=over.step_s,
        resolution_s=resolution_s,
        first_ns=to_ns(over.first_s),
        lines=[
            query_pb2.HistoryLine(node=node, device=device, job=job, values=values)
            for (node, device, job), values in sorted(found.items())
        ],
        note=note,
    )
