"""Live readings for runbooks, by name, out of a view of the fleet. Absent is None; judges nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ringwatch_collector import fact_devices as devices
from ringwatch_collector import fact_jobs as jobs
from ringwatch_collector.fact_places import Found, Place, place_of
from ringwatch_collector.view import FleetView
from ringwatch_knowledge import clock_events
from ringwatch_proto.records import Subject
from ringwatch_proto.signals import BY_NAME, Table
from ringwatch_runbooks.base import Reading

_VIEW_S: Final = 0.2
_REASONS: Final = "gpu.clock_event_reasons"


class LiveFacts:
    """Reads facts. One view serves all facts of a moment."""

    def __init__(self, view: Callable[[], FleetView]) -> None:
        self._view = view
        self._taken: tuple[float, FleetView] | None = None

    def read(self, name: str, target: Subject) -> Reading | None:
        """Return a reading about the target, None when it is absent."""
        place = self._place(target)
        if name in _DERIVED:
            found = _DERIVED[name](place)
        elif name in BY_NAME:
            found = devices.signal(place, name)
        else:
            found = None
        if found is None:
            return None
        value, age_s = found
        if isinstance(value, float) and not math.isfinite(value):
            return None
        text = ", ".join(clock_events.names(int(value))) or "none" if name == _REASONS else ""
        return Reading(name=name, value=value, age_s=age_s, text=text)

    def parameters(self, target: Subject) -> Mapping[str, str]:
        """Return what commands about the target can be filled with; what is not known is left out."""
        place = self._place(target)
        found = {"node": target.node, "peer": target.peer, "job": target.job}
        if place.gpu_row >= 0:
            found["gpu"] = place.view.gpu.devices[place.gpu_row]
        if target.kind == "link":
            found["port"] = target.device
        if place.job is not None:
            found["job"] = place.job.job
        if place.job is not None and place.column >= 0:
            found["rank"] = str(int(place.job.ranks[place.column]))
            found["pid"] = str(int(place.job.pid[place.column]))
        return {name: value for name, value in found.items() if value}

    def _place(self, target: Subject) -> Place:
        now_s = time.monotonic()
        if self._taken is None or now_s - self._taken[0] > _VIEW_S:
            self._taken = (now_s, self._view())
        return place_of(self._taken[1], target)


_DERIVED: Final[dict[str, Callable[[Place], Found]]] = {
    "gpu.sm_clock_ratio_to_peers": devices.ratio_to_peers("gpu.sm_clock_mhz"),
    "gpu.power_limit_ratio_to_peers": devices.ratio_to_peers("gpu.power_limit_watts"),
    "gpu.temperature_over_peers_celsius": devices.above_peers,
    "gpu.slowdown_margin_celsius": devices.margin,
    "gpu.bad_clock_event_bits": devices.bad_bits,
    "rank.compute_ratio": jobs.rank_ratio("compute_s"),
    "rank.data_ratio": jobs.rank_ratio("data_s"),
    "rank.data_s": jobs.rank_data_s,
    "rank.process_state": jobs.process_state,
    "rank.alive": jobs.rank_state("alive"),
    "rank.throttled_share": jobs.rank_state("throttled_share"),
    "rank.stopped_share": jobs.rank_state("stopped_share"),
    "rank.runqueue_share": jobs.rank_state("runqueue_share"),
    "rank.beat_age_s": jobs.rank_state("beat_age_s"),
    "rank.steps_behind": jobs.behind,
    "job.step_s": jobs.of_job(jobs.job_step),
    "job.step_ratio_to_baseline": jobs.of_job(jobs.job_ratio),
    "job.step_age_s": jobs.of_job(jobs.job_step_age),
    "job.ranks_alive": jobs.of_job(jobs.count_ranks(lambda job: job.states.alive)),
    "job.ranks_dead": jobs.of_job(
        jobs.count_ranks(lambda job: ~job.states.alive & np.isfinite(job.states.received_s))
    ),
    "job.ranks_stopped": jobs.of_job(jobs.count_ranks(lambda job: job.states.process_state == ord("T"))),
    "flow.delivery_mbit_s": jobs.of_flows(jobs.delivery_mbit_s),
    "flow.delivery_ratio_to_reference": jobs.of_flows(jobs.delivery_ratio),
    "flow.retransmits_per_s": jobs.of_flows(jobs.retransmits),
    "flow.rtt_ms": jobs.of_flows(jobs.rtt),
    "node.connected": devices.of_node(lambda view, node: bool(view.nodes.connected[node])),
    "node.last_seen_age_s": devices.of_node(
        lambda view, node: float(view.now_s - view.nodes.last_batch_s[node])
    ),
    "node.gpus": devices.of_node(devices.gpus),
    "node.gpus_answering": devices.of_node(devices.gpus_answering),
    "node.drained": devices.of_node(lambda view, node: bool(view.nodes.drained[node])),
    "node.clock_offset_s": devices.of_node(devices.clock_offset_s),
    "node.uptime_s": devices.uptime_s,
    "port.pause_tx_to_rx": devices.pause_tx_to_rx,
    "fleet.nodes": devices.of_fleet(lambda view: float(len(view.nodes.names))),
    "fleet.nodes_out": devices.of_fleet(devices.nodes_out),
    "fleet.gpus_bad": devices.of_fleet(devices.gpus_bad),
}


def names() -> frozenset[str]:
    """Return the name of every fact that can be read here."""
    return frozenset(_DERIVED) | {
        name for name, signal in BY_NAME.items() if signal.table is not Table.SOURCE
    }
