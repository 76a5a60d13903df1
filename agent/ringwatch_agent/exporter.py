"""What /metrics of one node says. Shows readings with their ages; an old one is left out, not repeated.

Writes the text format itself, straight from the columns: prometheus_client makes an object a sample and
brings 5 MB and a thread that wakes twice a second. Serves nothing; ``metrics_page.py`` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ringwatch_agent.encode import by_table, merge_tables
from ringwatch_agent.metrics_text import family, labels
from ringwatch_agent.sampler import Instant
from ringwatch_agent.sources.base import Reading, TableReading
from ringwatch_proto.signals import BY_ID, Signal, Table

if TYPE_CHECKING:
    from ringwatch_agent.dcgm_names import DcgmFace

# Beats that a table may miss before its values are no longer shown.
_STALE_BEATS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNumbers:
    """The agent's own state, as the page shows it."""

    uplink_connected: bool
    spool_batches: int
    spool_bytes: int
    beats_missed: int
    deliveries_failed: int = 0
    spool_limit_bytes: int = 0
    spool_on_disk: bool = True
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Part:
    """The newest reading of one table."""

    table: TableReading
    at: Instant


class Exporter:
    """Keeps the newest reading of each table and renders them when asked. Lives on one loop."""

    def __init__(
        self,
        node: str,
        numbers: Callable[[], AgentNumbers],
        *,
        interval_s: float = 1.0,
        dcgm_names: bool = False,
        clock: Callable[[], Instant] = Instant.now,
    ) -> None:
        self._node = node
        self._numbers = numbers
        self._stale_s = interval_s * _STALE_BEATS
        self._clock = clock
        self._newest: dict[Table, _Part] = {}
        self._dcgm = _dcgm_face(node, clock) if dcgm_names else None

    def take(self, readings: Iterable[Reading], now: Instant) -> None:
        """Keep what was read."""
        taken = tuple(readings)
        for table, parts in by_table(taken).items():
            self._newest[table] = _Part(table=merge_tables(parts), at=now)
        if self._dcgm:
            for reading in taken:
                self._dcgm.note(reading.events)

    def page(self) -> str:
        """Return the page now, in the Prometheus text format."""
        now = self._clock()
        lines: list[str] = []
        fresh: list[TableReading] = []
        for part in self._newest.values():
            since_s = (now.monotonic_ns - part.at.monotonic_ns) / 1e9
            lines += self._table(part.table, since_s)
            if since_s <= self._stale_s:
                fresh.append(part.table)
        if self._dcgm:
            lines += self._dcgm.lines(fresh)
        lines += self._own()
        return "\n".join(lines) + "\n"

    def _table(self, table: TableReading, since_s: float) -> Iterator[str]:
        width = len(table.signals)
        rows = [labels(node=self._node, device=each.id, name=each.name) for each in table.devices]
        for column, signal in enumerate(BY_ID[each] for each in table.signals):
            if since_s > self._stale_s and signal.kind != "age":
                continue
            column_values = (_shown(signal, value, since_s) for value in table.values[column::width])
            cells = zip(rows, column_values, strict=True)
            yield from family(signal.metric, "gauge", signal.help, cells)

    def _own(self) -> Iterator[str]:
        numbers, node = self._numbers(), labels(node=self._node)
        for name, kind, help, value in (
            (
                "uplink_connected",
                "gauge",
                "1 while a stream to the collector is up",
                numbers.uplink_connected,
            ),
            ("spool_batches", "gauge", "batches that are not acknowledged", numbers.spool_batches),
            ("spool_bytes", "gauge", "memory that they take", numbers.spool_bytes),
            ("spool_limit_bytes", "gauge", "memory that they may take", numbers.spool_limit_bytes),
            ("spool_on_disk", "gauge", "0 while the spool is in memory only", numbers.spool_on_disk),
            ("beats_missed_total", "counter", "beats that came too late", numbers.beats_missed),
            (
                "deliveries_failed_total",
                "counter",
                "beats that could not be encoded",
                numbers.deliveries_failed,
            ),
        ):
            yield from family(f"ringwatch_agent_{name}", kind, help, [(node, float(value))])
        dropped = [
            (labels(node=self._node, kind=kind), float(count))
            for kind, count in sorted(numbers.dropped.items())
        ]
        yield from family("ringwatch_agent_dropped_total", "counter", "what was dropped, by kind", dropped)


def _dcgm_face(node: str, clock: Callable[[], Instant]) -> DcgmFace:
    from ringwatch_agent.dcgm_names import DcgmFace  # off by default, and half a MB

    return DcgmFace(node, clock=clock)


def _shown(signal: Signal, value: float, since_s: float) -> float:
    return value + since_s if signal.kind == "age" and not math.isnan(value) else value
