"""Facts about jobs, their ranks and their flows. Judges nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.fact_places import Found, Place
from ringwatch_collector.view import FleetView, Floats, JobView

_FRESH_S: Final = 5.0
_RECENT_STEPS: Final = 10


def rank_state(field: str) -> Callable[[Place], Found]:
    """Return a reader of one field of the rank's newest state."""

    def read(place: Place) -> Found:
        if place.job is None or place.column < 0:
            return None
        states = place.job.states
        age_s = place.view.now_s - float(states.received_s[place.column])
        return getattr(states, field)[place.column].item(), age_s

    return read


def process_state(place: Place) -> Found:
    """Return the letter of the process state; absent when it is not known."""
    found = rank_state("process_state")(place)
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


def rank_ratio(field: str) -> Callable[[Place], Found]:
    """Return a reader of a time of the newest steps over the median of the ranks."""

    def read(place: Place) -> Found:
        if place.job is None or place.column < 0:
            return None
        recent = _recent(getattr(place.job, field))
        told = recent[np.isfinite(recent)]
        middle = float(np.median(told)) if told.size else math.nan
        if not middle > 0:
            return None
        return float(recent[place.column]) / middle, _steps_age_s(place.job, place.view.now_s)

    return read


def rank_data_s(place: Place) -> Found:
    """Return how long the rank waits for data in a step."""
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


def of_job(read: Callable[[JobView, float], tuple[float, float]]) -> Callable[[Place], Found]:
    """Return a reader of a fact about the whole job."""
    return lambda place: read(place.job, place.view.now_s) if place.job is not None else None


def job_step(job: JobView, now_s: float) -> tuple[float, float]:
    """Return the step time of the job."""
    return _step_s(job), _steps_age_s(job, now_s)


def job_ratio(job: JobView, now_s: float) -> tuple[float, float]:
    """Return the step time over that of the healthy history."""
    usual = job.reference_step_s
    return (_step_s(job) / usual if usual > 0 else math.nan), _steps_age_s(job, now_s)


def job_step_age(job: JobView, now_s: float) -> tuple[float, float]:
    """Return how long ago any rank ended a step."""
    return now_s - _last_step_s(job), _heard_age_s(job, now_s)


def count_ranks(
    which: Callable[[JobView], NDArray[np.bool_]],
) -> Callable[[JobView, float], tuple[float, float]]:
    """Return a reader that counts ranks."""
    return lambda job, now_s: (float(np.count_nonzero(which(job))), _heard_age_s(job, now_s))


def behind(place: Place) -> Found:
    """Return how many steps the rank is behind the furthest."""
    if place.job is None or place.column < 0:
        return None
    steps = place.job.states.step
    behind = float(steps.max() - steps[place.column])
    return behind, _heard_age_s(place.job, place.view.now_s)


def of_flows(read: Callable[[FleetView, NDArray[np.int64]], float]) -> Callable[[Place], Found]:
    """Return a reader of the node's fresh flows, to the peer where there is one."""

    def found(place: Place) -> Found:
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


def delivery_mbit_s(view: FleetView, rows: NDArray[np.int64]) -> float:
    """Return the lowest delivery rate."""
    return _least(view.flows.delivery_bits_per_s[rows]) / 1e6


def delivery_ratio(view: FleetView, rows: NDArray[np.int64]) -> float:
    """Return the lowest delivery rate over what was learned."""
    usual = view.flows.reference_delivery_bits_per_s[rows]
    known = np.isfinite(usual) & (usual > 0)
    return _least(view.flows.delivery_bits_per_s[rows][known] / usual[known])


def retransmits(view: FleetView, rows: NDArray[np.int64]) -> float:
    """Return the retransmits of all flows."""
    told = view.flows.retransmits_per_s[rows]
    told = told[np.isfinite(told)]
    return float(told.sum()) if told.size else math.nan


def rtt(view: FleetView, rows: NDArray[np.int64]) -> float:
    """Return the largest round-trip time, in milliseconds."""
    return _most(view.flows.rtt_s[rows]) * 1000.0
