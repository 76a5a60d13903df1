"""Live readings for runbooks, by name, out of a view of the fleet. Absent is None; judges nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import FleetView, Floats, JobView, TableView
from ringwatch_knowledge import clock_events
from ringwatch_proto.records import Subject
from ringwatch_proto.signals import BY_NAME, GpuState, Table
from ringwatch_runbooks.base import Reading
from ringwatch_runbooks.model import Value

_RECENT_STEPS: Final = 10
_FRESH_S: Final = 5.0
_VIEW_S: Final = 0.2
_REASONS: Final = "gpu.clock_event_reasons"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target, found in a view: rows and columns are -1 where there is none."""

    view: FleetView
    target: Subject
    node: int
    gpu_row: int
    job: JobView | None
    column: int


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
            found = _signal(place, name)
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


def place_of(view: FleetView, target: Subject) -> Place:
    """Return where a target lies in a view."""
    names = view.nodes.names
    node = names.index(target.node) if target.node in names else -1
    job, column = _rank_of(view, target)
    device = target.device
    if column >= 0 and job is not None:
        device = device or job.gpu_of[column]
        node = node if node >= 0 else int(job.node_of[column])
    row = _row(view.gpu, node, device) if device else -1
    return Place(view=view, target=target, node=node, gpu_row=row, job=job, column=column)


def _rank_of(view: FleetView, target: Subject) -> tuple[JobView | None, int]:
    """Return the job and the column of a target: by its rank, or by the GPU that a rank has."""
    for job in view.jobs:
        if target.job and job.job != target.job:
            continue
        if target.job and target.rank >= 0 and target.rank in job.ranks:
            return job, int(np.flatnonzero(job.ranks == target.rank)[0])
        if target.device and target.device in job.gpu_of:
            return job, list(job.gpu_of).index(target.device)
        if target.job:
            return job, -1
    return None, -1


def _row(table: TableView, node: int, device: str = "") -> int:
    """Return the row of a device of a node; of the node's only kind of row when no device is named."""
    for row in np.flatnonzero(table.node_of == node).tolist() if node >= 0 else []:
        if not device or table.devices[row] == device:
            return int(row)
    return -1


_Found = tuple[Value, float] | None


def _signal(place: Place, name: str) -> _Found:
    signal = BY_NAME[name]
    if signal.table is Table.GPU:
        return _cell(place.view, place.view.gpu, place.gpu_row, name)
    if signal.table is Table.PORT:
        row = _row(place.view.port, place.node, place.target.device) if place.target.device else -1
        return _cell(place.view, place.view.port, row, name)
    if signal.table is Table.HOST:
        return _cell(place.view, place.view.host, _row(place.view.host, place.node), name)
    return None


def _cell(view: FleetView, table: TableView, row: int, name: str) -> _Found:
    if row < 0:
        return None
    prefix = name.partition(".")[0]
    read_age_s = float(table.latest(BY_NAME[f"{prefix}.reading_age_s"].id)[row])
    age_s = float(table.age_s(view.now_s)[row]) + (read_age_s if math.isfinite(read_age_s) else 0.0)
    return float(table.latest(BY_NAME[name].id)[row]), age_s


def _peers(place: Place) -> NDArray[np.int64]:
    """Return the rows of the GPUs that should be like this one: those of its node and of its job."""
    table = place.view.gpu
    alike = table.node_of == table.node_of[place.gpu_row]
    if place.job is not None:
        members = set(place.job.gpu_of)
        alike = alike | np.array([device in members for device in table.devices], np.bool_)
    alike[place.gpu_row] = False
    fresh = table.age_s(place.view.now_s) <= _FRESH_S
    return np.flatnonzero(alike & fresh)


def _against_peers(place: Place, name: str) -> tuple[float, float, float] | None:
    """Return own value, median of the peers, and the age of the own value."""
    own = _cell(place.view, place.view.gpu, place.gpu_row, name)
    if own is None:
        return None
    others = place.view.gpu.latest(BY_NAME[name].id)[_peers(place)]
    others = others[np.isfinite(others)]
    if not others.size:
        return None
    return float(own[0]), float(np.median(others)), own[1]


def _ratio(name: str) -> Callable[[Place], _Found]:
    def read(place: Place) -> _Found:
        found = _against_peers(place, name)
        return (found[0] / found[1], found[2]) if found is not None and found[1] > 0 else None

    return read


def _above_peers(place: Place) -> _Found:
    found = _against_peers(place, "gpu.temperature_celsius")
    return (found[0] - found[1], found[2]) if found is not None else None


def _margin(place: Place) -> _Found:
    limit = _signal(place, "gpu.slowdown_temperature_celsius")
    now = _signal(place, "gpu.temperature_celsius")
    return (float(limit[0]) - float(now[0]), now[1]) if limit is not None and now is not None else None


def _bad_bits(place: Place) -> _Found:
    found = _signal(place, _REASONS)
    if found is None or not math.isfinite(float(found[0])):
        return None
    return float(int(found[0]) & clock_events.BAD_MASK), found[1]


def _state(field: str) -> Callable[[Place], _Found]:
    def read(place: Place) -> _Found:
        if place.job is None or place.column < 0:
            return None
        states = place.job.states
        age_s = place.view.now_s - float(states.received_s[place.column])
        return getattr(states, field)[place.column].item(), age_s

    return read


def _process_state(place: Place) -> _Found:
    found = _state("process_state")(place)
    return (chr(int(found[0])), found[1]) if found is not None and found[0] else None


def _heard_age_s(job: JobView, now_s: float) -> float:
    return float(now_s - np.max(job.states.received_s, initial=-np.inf))


def _recent(values: Floats) -> Floats:
    """Return the median of the newest steps of each rank; NaN where a rank told none."""
    newest = values[-_RECENT_STEPS:]
    if not newest.size:
        return np.full(values.shape[1], np.nan, np.float32)
    told = np.isfinite(newest).any(axis=0)
    out = np.full(values.shape[1], np.nan, np.float32)
    out[told] = np.nanmedian(newest[:, told], axis=0)
    return out


def _rank_ratio(field: str) -> Callable[[Place], _Found]:
    def read(place: Place) -> _Found:
        if place.job is None or place.column < 0:
            return None
        recent = _recent(getattr(place.job, field))
        told = recent[np.isfinite(recent)]
        middle = float(np.median(told)) if told.size else math.nan
        if not middle > 0:
            return None
        return float(recent[place.column]) / middle, _steps_age_s(place.job, place.view.now_s)

    return read


def _rank_data_s(place: Place) -> _Found:
    if place.job is None or place.column < 0:
        return None
    return float(_recent(place.job.data_s)[place.column]), _steps_age_s(place.job, place.view.now_s)


def _step_s(job: JobView) -> float:
    recent = _recent(job.step_s)
    told = recent[np.isfinite(recent)]
    return float(np.median(told)) if told.size else math.nan


def _last_step_s(job: JobView) -> float:
    ended = job.ended_s[np.isfinite(job.ended_s)]
    return float(ended.max()) if ended.size else -math.inf


def _steps_age_s(job: JobView, now_s: float) -> float:
    """Return how old what the steps say is: a step that is late makes the one before it old."""
    late_s = now_s - _last_step_s(job) - 2.0 * _step_s(job)
    return max(_heard_age_s(job, now_s), late_s if math.isfinite(late_s) else 0.0)


def _job(read: Callable[[JobView, float], tuple[float, float]]) -> Callable[[Place], _Found]:
    return lambda place: read(place.job, place.view.now_s) if place.job is not None else None


def _job_step(job: JobView, now_s: float) -> tuple[float, float]:
    return _step_s(job), _steps_age_s(job, now_s)


def _job_ratio(job: JobView, now_s: float) -> tuple[float, float]:
    usual = job.reference_step_s
    return (_step_s(job) / usual if usual > 0 else math.nan), _steps_age_s(job, now_s)


def _job_step_age(job: JobView, now_s: float) -> tuple[float, float]:
    return now_s - _last_step_s(job), _heard_age_s(job, now_s)


def _count(which: Callable[[JobView], NDArray[np.bool_]]) -> Callable[[JobView, float], tuple[float, float]]:
    return lambda job, now_s: (float(np.count_nonzero(which(job))), _heard_age_s(job, now_s))


def _behind(place: Place) -> _Found:
    if place.job is None or place.column < 0:
        return None
    steps = place.job.states.step
    behind = float(steps.max() - steps[place.column])
    return behind, _heard_age_s(place.job, place.view.now_s)


def _flows(read: Callable[[FleetView, NDArray[np.int64]], float]) -> Callable[[Place], _Found]:
    def found(place: Place) -> _Found:
        flows, target = place.view.flows, place.target
        mine = np.asarray(flows.node_of == place.node)
        if target.peer in place.view.nodes.names:
            mine = mine & (flows.peer_of == list(place.view.nodes.names).index(target.peer))
        rows = np.flatnonzero(mine & (place.view.now_s - flows.received_s <= _FRESH_S))
        if place.node < 0 or not rows.size:
            return None
        return read(place.view, rows), float(place.view.now_s - flows.received_s[rows].max())

    return found


def _least(values: Floats) -> float:
    told = values[np.isfinite(values)]
    return float(told.min()) if told.size else math.nan


def _most(values: Floats) -> float:
    told = values[np.isfinite(values)]
    return float(told.max()) if told.size else math.nan


def _delivery(view: FleetView, rows: NDArray[np.int64]) -> float:
    return _least(view.flows.delivery_bits_per_s[rows]) / 1e6


def _delivery_ratio(view: FleetView, rows: NDArray[np.int64]) -> float:
    usual = view.flows.reference_delivery_bits_per_s[rows]
    known = np.isfinite(usual) & (usual > 0)
    return _least(view.flows.delivery_bits_per_s[rows][known] / usual[known])


def _retransmits(view: FleetView, rows: NDArray[np.int64]) -> float:
    told = view.flows.retransmits_per_s[rows]
    told = told[np.isfinite(told)]
    return float(told.sum()) if told.size else math.nan


def _rtt(view: FleetView, rows: NDArray[np.int64]) -> float:
    return _most(view.flows.rtt_s[rows]) * 1000.0


def _node(read: Callable[[FleetView, int], Value]) -> Callable[[Place], _Found]:
    # What the collector itself knows about a node is as new as the look at it.
    return lambda place: (read(place.view, place.node), 0.0) if place.node >= 0 else None


def _gpus(view: FleetView, node: int) -> float:
    return float(np.count_nonzero(view.gpu.node_of == node))


def _gpus_answering(view: FleetView, node: int) -> float:
    state = view.gpu.latest(BY_NAME["gpu.state"].id)
    read_age_s = view.gpu.latest(BY_NAME["gpu.reading_age_s"].id)
    well = (state == GpuState.OK) & (view.gpu.age_s(view.now_s) + np.nan_to_num(read_age_s) <= _FRESH_S)
    return float(np.count_nonzero(well & (view.gpu.node_of == node)))


_DERIVED: Final[dict[str, Callable[[Place], _Found]]] = {
    "gpu.sm_clock_ratio_to_peers": _ratio("gpu.sm_clock_mhz"),
    "gpu.power_limit_ratio_to_peers": _ratio("gpu.power_limit_watts"),
    "gpu.temperature_over_peers_celsius": _above_peers,
    "gpu.slowdown_margin_celsius": _margin,
    "gpu.bad_clock_event_bits": _bad_bits,
    "rank.compute_ratio": _rank_ratio("compute_s"),
    "rank.data_ratio": _rank_ratio("data_s"),
    "rank.data_s": _rank_data_s,
    "rank.process_state": _process_state,
    "rank.alive": _state("alive"),
    "rank.throttled_share": _state("throttled_share"),
    "rank.stopped_share": _state("stopped_share"),
    "rank.runqueue_share": _state("runqueue_share"),
    "rank.beat_age_s": _state("beat_age_s"),
    "rank.steps_behind": _behind,
    "job.step_s": _job(_job_step),
    "job.step_ratio_to_baseline": _job(_job_ratio),
    "job.step_age_s": _job(_job_step_age),
    "job.ranks_alive": _job(_count(lambda job: job.states.alive)),
    "job.ranks_dead": _job(_count(lambda job: ~job.states.alive & np.isfinite(job.states.received_s))),
    "job.ranks_stopped": _job(_count(lambda job: job.states.process_state == ord("T"))),
    "flow.delivery_mbit_s": _flows(_delivery),
    "flow.delivery_ratio_to_reference": _flows(_delivery_ratio),
    "flow.retransmits_per_s": _flows(_retransmits),
    "flow.rtt_ms": _flows(_rtt),
    "node.connected": _node(lambda view, node: bool(view.nodes.connected[node])),
    "node.last_seen_age_s": _node(lambda view, node: float(view.now_s - view.nodes.last_batch_s[node])),
    "node.gpus": _node(_gpus),
    "node.gpus_answering": _node(_gpus_answering),
    "node.drained": _node(lambda view, node: bool(view.nodes.drained[node])),
}


def names() -> frozenset[str]:
    """Return the name of every fact that can be read here."""
    return frozenset(_DERIVED) | {
        name for name, signal in BY_NAME.items() if signal.table is not Table.SOURCE
    }
