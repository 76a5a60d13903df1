"""The /metrics page of one node. Shows readings with their ages; an old one is left out, not repeated."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringwatch_agent.sampler import Instant
from ringwatch_agent.sources.base import Reading, TableReading
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.signals import BY_ID, Signal, Table

# Beats that a table may miss before its values are no longer shown.
_STALE_BEATS: Final = 3.0
_LABELS: Final = ("node", "device", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNumbers:
    """The agent's own state, as the page shows it."""

    uplink_connected: bool
    spool_batches: int
    spool_bytes: int
    beats_missed: int
    deliveries_failed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


class Exporter:
    """Keeps the newest reading of each table and renders them when asked. Safe across threads."""

    def __init__(
        self,
        node: str,
        numbers: Callable[[], AgentNumbers],
        *,
        interval_s: float = 1.0,
        clock: Callable[[], Instant] = Instant.now,
    ) -> None:
        self._node = node
        self._numbers = numbers
        self._stale_s = interval_s * _STALE_BEATS
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: dict[Table, tuple[TableReading, Instant]] = {}
        self._server: WSGIServer | None = None

    def take(self, readings: list[Reading], now: Instant) -> None:
        """Keep what was read."""
        with self._lock:
            for reading in readings:
                for table in reading.tables:
                    self._newest[table.table] = (table, now)

    def start(self, address: str) -> int:
        """Serve the page on ``HOST:PORT``; return the port. Raise ConfigError when that is taken."""
        host, _, port = address.rpartition(":")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            self._server, _ = start_http_server(int(port), addr=host.strip("[]"), registry=registry)
        except (OSError, ValueError) as error:
            raise ConfigError(f"metrics: cannot serve on {address}: {error}") from error
        return int(self._server.server_port)

    def stop(self) -> None:
        """Stop serving. Safe to call twice, and before ``start``."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric now; called by prometheus_client at each scrape."""
        with self._lock:
            newest = list(self._newest.values())
        now = self._clock()
        for table, at in newest:
            yield from self._table(table, (now.monotonic_ns - at.monotonic_ns) / 1e9)
        yield from self._own()

    def _table(self, table: TableReading, since_s: float) -> Iterator[Metric]:
        for column, signal in enumerate(BY_ID[each] for each in table.signals):
            if since_s > self._stale_s and signal.kind != "age":
                continue
            metric = GaugeMetricFamily(signal.metric, signal.help, labels=_LABELS)
            for device, value in zip(table.devices, table.values[column :: len(table.signals)], strict=True):
                shown = _shown(signal, value, since_s)
                if not math.isnan(shown):
                    metric.add_metric([self._node, device.id, device.name], shown)
            if metric.samples:
                yield metric

    def _own(self) -> Iterator[Metric]:
        numbers = self._numbers()
        gauges: tuple[tuple[str, str, float], ...] = (
            ("uplink_connected", "1 while a stream to the collector is up", numbers.uplink_connected),
            ("spool_batches", "batches that are not acknowledged", numbers.spool_batches),
            ("spool_bytes", "memory that they take", numbers.spool_bytes),
        )
        for name, help, value in gauges:
            gauge = GaugeMetricFamily(f"ringwatch_agent_{name}", help, labels=["node"])
            gauge.add_metric([self._node], float(value))
            yield gauge
        counters = (
            ("beats_missed", "beats that came too late", numbers.beats_missed),
            ("deliveries_failed", "beats that could not be encoded", numbers.deliveries_failed),
        )
        for name, help, count in counters:
            counter = CounterMetricFamily(f"ringwatch_agent_{name}", help, labels=["node"])
            counter.add_metric([self._node], count)
            yield counter
        lost = CounterMetricFamily(
            "ringwatch_agent_dropped", "what was dropped, by kind", labels=["node", "kind"]
        )
        for kind, count in sorted(numbers.dropped.items()):
            lost.add_metric([self._node, kind], count)
        yield lost


def _shown(signal: Signal, value: float, since_s: float) -> float:
    return value + since_s if signal.kind == "age" else value
