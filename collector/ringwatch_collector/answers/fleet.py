"""The answer about the whole fleet, built once a look however many people ask."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ringwatch_collector.answers import health, jobs
from ringwatch_collector.answers.nodes import NodeAnswers, NodeTexts
from ringwatch_collector.answers.standing import Standing
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.runner import Book, Runner
from ringwatch_collector.store.store import Store
from ringwatch_collector.view import FleetView
from ringwatch_proto.codec import incident_to_message, to_ns
from ringwatch_proto.records import Incident, IncidentState
from ringwatch_proto.v1 import query_pb2

_SHOWN_AFTER_CLOSE_S = 3600.0
_MOST_INCIDENTS = 500


class FleetAnswers:
    """Builds messages from the fleet as it is now."""

    def __init__(
        self,
        *,
        config: CollectorConfig,
        clock: Clock,
        fleet: FleetState,
        book: Book,
        runner: Runner,
        store: Store,
        counters: Counters,
        name: str,
        runs: Callable[[], Sequence[query_pb2.RunSummary]],
        troubles: Callable[[], Sequence[str]],
    ) -> None:
        self._config = config
        self._clock = clock
        self._fleet = fleet
        self._book = book
        self._runner = runner
        self._store = store
        self._counters = counters
        self._name = name
        self._runs = runs
        self._troubles = troubles
        self._texts = NodeTexts()

    def view(self) -> FleetView:
        """Return the fleet now."""
        return self._fleet.view(self._clock.now_s())

    def standing(self) -> Standing:
        """Return what open incidents say of every place."""
        return Standing(self._book.all())

    def nodes(self, view: FleetView) -> NodeAnswers:
        """Return summaries of nodes."""
        return NodeAnswers(self._fleet, view, self.standing(), self._config.silent_s, self._texts)

    def fleet(self, first_node: int = 0, most_nodes: int = 0) -> query_pb2.Fleet:
        """Return everything that the overview shows, with all nodes or ``most_nodes`` from a place on."""
        view, standing = self.view(), self.standing()
        nodes = NodeAnswers(self._fleet, view, standing, self._config.silent_s, self._texts)
        kept = [(job, self._fleet.jobs.get(job.job)) for job in view.jobs]
        shown = self.shown_incidents(view.now_s)
        fleet = query_pb2.Fleet(
            collector=self._name,
            wall_ns=to_ns(view.now_s),
            jobs=[jobs.summary(job, its, view, standing) for job, its in kept if its is not None],
            incidents=[incident_to_message(incident) for incident in shown[:_MOST_INCIDENTS]],
            open_left_out=sum(each.state is not IncidentState.RESOLVED for each in shown[_MOST_INCIDENTS:]),
            health=self.health(view),
            runs=self._runs(),
        )
        last = first_node + most_nodes if most_nodes else None
        fleet.MergeFromString(nodes.packed(self._fleet.nodes.all()[first_node:last]))
        return fleet

    def recent_looks_ms(self) -> dict[float, float]:
        """Return quantiles of how long the newest looks took; empty before the first."""
        recent = sorted(self._runner.recent_ms)
        return {share: recent[int(share * (len(recent) - 1))] for share in (0.5, 0.99)} if recent else {}

    def incident_counts(self) -> Counter[tuple[str, str, str]]:
        """Return how many incidents are not resolved, by (severity, state, kind)."""
        return Counter(
            (incident.severity.name.lower(), incident.state.value, incident.kind.value)
            for incident in self._book.all()
            if incident.state is not IncidentState.RESOLVED
        )

    def shown_incidents(self, now_s: float) -> list[Incident]:
        """Return open incidents and those closed in the last hour, most severe first."""
        shown = [
            incident
            for incident in self._book.all()
            if incident.state is not IncidentState.RESOLVED
            or now_s - (incident.closed_s or incident.updated_s) <= _SHOWN_AFTER_CLOSE_S
        ]
        shown.sort(key=lambda each: (each.state is IncidentState.RESOLVED, -each.severity, -each.opened_s))
        return shown

    def health(self, view: FleetView) -> query_pb2.Health:
        """Return how far the answer can be trusted."""
        counters, silent_s = self._counters, self._config.silent_s
        age_s = view.now_s - self._runner.evaluated_s
        return query_pb2.Health(
            rules_active=self._runner.rules_active,
            evaluated_age_s=age_s if math.isfinite(age_s) else float("nan"),
            input_completeness=health.completeness(view, silent_s),
            nodes_known=len(view.nodes.names),
            nodes_reporting=health.nodes_reporting(view, silent_s),
            batches_taken=counters.batches_taken,
            messages_refused=counters.refused.total(),
            readings_dropped=counters.dropped.total() + counters.dropped_by_agents.total(),
            tick_ms=self._runner.tick_ms,
            troubles=[*self._troubles(), *self._runner.troubles],
            plaintext_off_loopback=self._config.plaintext_off_loopback,
        )
