"""The Prometheus page of the collector, on loopback. It shows counts and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.config import split_address
from ringwatch_collector.counters import Counters
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.sessions import Sessions
from ringwatch_proto.errors import ConfigError

_PREFIX: Final = "ringwatch_collector_"
_ANSWER_S: Final = 5.0


class _Page(Collector):
    """Reads the counts when the page is asked for: on the loop, which owns them."""

    def __init__(
        self, answers: FleetAnswers, counters: Counters, fleet: FleetState, sessions: Sessions
    ) -> None:
        self._answers = answers
        self._counters = counters
        self._fleet = fleet
        self._sessions = sessions
        self.loop: asyncio.AbstractEventLoop | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; called on the page's own thread."""
        if self.loop is not None:
            yield from asyncio.run_coroutine_threadsafe(self._read(), self.loop).result(_ANSWER_S)

    async def _read(self) -> list[Metric]:
        return list(self._metrics())

    def _metrics(self) -> Iterator[Metric]:
        counters = self._counters
        for name, help_text, total in (
            ("batches_taken", "batches that were applied", counters.batches_taken),
            ("batches_duplicate", "batches that had been applied before", counters.batches_duplicate),
            ("bytes_taken", "bytes of messages", counters.bytes_taken),
            ("events_taken", "events that were applied", counters.events_taken),
            ("streams_opened", "streams since the start", counters.streams_opened),
            (
                "streams_replaced",
                "streams that a newer one of the same node replaced",
                counters.streams_replaced,
            ),
            ("reads_throttled", "reads held back by the rate limit", counters.throttled),
            ("store_failures", "tries that the database refused", counters.store_failures),
            ("looks", "looks of the detectors", counters.ticks),
        ):
            yield CounterMetricFamily(_PREFIX + name, help_text, value=total)
        yield _by_label(
            "messages_refused", "messages or parts that meant nothing", "reason", counters.refused
        )
        yield _by_label("readings_dropped", "valid input without a place", "reason", counters.dropped)
        yield _by_label("agent_dropped", "what agents had to drop", "kind", counters.dropped_by_agents)
        yield _by_label("detector_failures", "detectors that raised", "detector", counters.detector_failures)
        yield _by_label("detector_cpu_seconds", "CPU time of detectors", "detector", counters.detector_cpu_s)
        yield GaugeMetricFamily(_PREFIX + "streams", "streams that are up", value=len(self._sessions))
        yield GaugeMetricFamily(_PREFIX + "nodes", "nodes that are known", value=len(self._fleet.nodes))
        yield GaugeMetricFamily(_PREFIX + "jobs", "jobs that are kept", value=len(self._fleet.jobs))
        yield from self._told()
        yield self._incidents()
        yield from self._health()

    def _told(self) -> Iterator[Metric]:
        counters = self._counters
        family = CounterMetricFamily(
            _PREFIX + "alerts", "alerts by what became of them", labels=["result", "channel"]
        )
        for (result, channel), count in list(counters.alerts.items()):
            family.add_metric([result, channel], count)
        yield family
        yield _by_label("heartbeats", "signs of life by what became of them", "result", counters.heartbeats)
        yield _by_label("history", "remote write: samples and failures", "result", counters.history)

    def _incidents(self) -> Metric:
        family = GaugeMetricFamily(
            _PREFIX + "incidents", "incidents that are not resolved", labels=["severity", "state", "kind"]
        )
        for labels, count in self._answers.incident_counts().items():
            family.add_metric(list(labels), count)
        return family

    def _health(self) -> Iterator[Metric]:
        health = self._answers.health(self._answers.view())
        for name, help_text, value in (
            (
                "input_completeness_ratio",
                "expected rows that are present and fresh",
                health.input_completeness,
            ),
            ("rules_active", "rules that did their work at the last look", health.rules_active),
            ("evaluated_age_seconds", "time since the last look", health.evaluated_age_s),
            ("look_seconds", "how long the last look took", health.tick_ms / 1000),
            ("troubles", "things that keep the collector from its work", len(health.troubles)),
            ("nodes_reporting", "nodes that were heard lately", health.nodes_reporting),
        ):
            yield GaugeMetricFamily(_PREFIX + name, help_text, value=value)
        yield self._recent_looks()

    def _recent_looks(self) -> Metric:
        family = GaugeMetricFamily(
            _PREFIX + "look_recent_seconds", "how long the newest 600 looks took", labels=["quantile"]
        )
        for quantile, value_ms in self._answers.recent_looks_ms().items():
            family.add_metric([f"{quantile:g}"], value_ms / 1000)
        return family


def _by_label(name: str, help_text: str, label: str, counts: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, help_text, labels=[label])
    for key, count in list(counts.items()):
        family.add_metric([key], count)
    return family


class Exporter:
    """Serves the page while it is started; no address means no page."""

    def __init__(
        self,
        answers: FleetAnswers,
        counters: Counters,
        fleet: FleetState,
        sessions: Sessions,
        listen: str,
    ) -> None:
        self._listen = listen
        self._registry = CollectorRegistry()
        self._page = _Page(answers, counters, fleet, sessions)
        self._registry.register(self._page)
        self._stop: Callable[[], None] | None = None
        self.port = 0

    def start(self) -> None:
        """Start to serve beside the running loop; raise ConfigError when the address cannot be had."""
        if not self._listen:
            return
        self._page.loop = asyncio.get_running_loop()
        host, port = split_address(self._listen)
        try:
            server, thread = start_http_server(port, host, self._registry)
        except OSError as error:
            raise ConfigError(f"metrics_listen={self._listen}: {error.strerror}") from error
        self.port = server.server_port

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(1.0)

        self._stop = stop

    def stop(self) -> None:
        """Stop serving."""
        if self._stop is not None:
            self._stop()
            self._stop = None
