"""Answers about jobs: one row each, and one job in depth. Blames nobody beyond what incidents say."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np

from ringwatch_collector.answers.standing import Standing, label_of
from ringwatch_collector.fleet.job import Job
from ringwatch_collector.view import FleetView, Floats, JobView, Seconds
from ringwatch_proto.layout import Phase
from ringwatch_proto.records import IncidentKind
from ringwatch_proto.v1 import query_pb2

_RECENT: Final = 40
_AVERAGED: Final = 10
_FRESH_S: Final = 5.0
_PROCESS_STATES: Final = {"T": "stopped", "t": "stopped", "Z": "dead", "X": "dead", "D": "blocked"}
_PHASES: Final[dict[int, str]] = {
    Phase.STARTING: "starting",
    Phase.DATA: "data",
    Phase.COMPUTE: "compute",
    Phase.COLLECTIVE: "collective",
    Phase.PAUSE: "pause",
    Phase.ENDED: "ended",
}


def summary(job: JobView, kept: Job, view: FleetView, standing: Standing) -> query_pb2.JobSummary:
    """Return one job's row."""
    medians = _over_ranks(np.nanmedian, job.step_s)
    told = medians[~np.isnan(medians)]
    incidents = standing.of_job(job.job)
    names = [label for label in (label_of(incident.culprit) for incident in incidents) if label]
    age_s = view.now_s - np.max(job.states.received_s, initial=-np.inf)
    return query_pb2.JobSummary(
        job=job.job,
        state=_state(job, kept, view, {incident.kind for incident in incidents}),
        world_size=kept.world_size,
        ranks_reporting=int(np.count_nonzero(job.states.received_s > view.now_s - _FRESH_S)),
        nodes=len(np.unique(job.node_of)),
        step=int(max(job.states.step.max(initial=0), job.steps.max(initial=0))),
        step_s=float(np.median(told[-_AVERAGED:])) if told.size else float("nan"),
        baseline_step_s=job.reference_step_s,
        wait_percent=_wait_percent(job),
        straggler=names[0] if names else "",
        recent_step_s=told[-_RECENT:].tolist(),
        age_s=float(age_s) if np.isfinite(age_s) else float("nan"),
        user=kept.user,
    )


def _state(job: JobView, kept: Job, view: FleetView, kinds: set[IncidentKind]) -> str:
    if kept.ended or (job.ranks.size and bool((job.states.phase == Phase.ENDED).all())):
        return "ended"
    if not (job.states.received_s > view.now_s - _FRESH_S).any() and view.now_s - job.started_s > _FRESH_S:
        return "silent"
    if IncidentKind.JOB_HANG in kinds or IncidentKind.RANK_DIED in kinds:
        return "stalled"
    if not job.steps.size:
        return "starting"
    return "degraded" if kinds else "running"


def detail(job: JobView, kept: Job, view: FleetView, standing: Standing, steps: int) -> query_pb2.JobDetail:
    """Return one job in depth, with its newest ``steps`` steps."""
    cut = slice(max(0, job.steps.size - steps), None)
    waits = waits_s(job)[cut]
    onsets = [incident.onset_s for incident in standing.of_job(job.job)]
    return query_pb2.JobDetail(
        summary=summary(job, kept, view, standing),
        ranks=_rank_rows(job, view),
        steps=job.steps[cut].tolist(),
        step_s_median=_over_ranks(np.nanmedian, job.step_s[cut]).tolist(),
        step_s_max=_over_ranks(np.nanmax, job.step_s[cut]).tolist(),
        wait_s=waits.T.ravel().tolist(),
        change_point_ns=round(min(onsets) * 1e9) if onsets else 0,
        flows=_flow_rows(job, view),
        incidents=[incident.id for incident in standing.of_job(job.job)],
    )


def _rank_rows(job: JobView, view: FleetView) -> list[query_pb2.RankRow]:
    newest = slice(-_AVERAGED, None)
    columns: dict[str, Floats | Seconds] = {
        "step_s": _over_steps(job.step_s[newest]),
        "data_s": _over_steps(job.data_s[newest]),
        "compute_s": _over_steps(job.compute_s[newest]),
        "wait_s": _over_steps(waits_s(job)[newest]),
    }
    columns["late_s"] = np.maximum(_median(columns["wait_s"]) - columns["wait_s"], 0.0)
    middle = _median(columns["compute_s"])
    columns["compute_ratio"] = columns["compute_s"] / (middle if middle > 0 else np.nan)
    since = view.now_s - job.states.received_s
    columns["beat_age_s"] = np.where(np.isfinite(since), since + job.states.beat_age_s, np.nan)
    return [
        query_pb2.RankRow(
            rank=int(job.ranks[at]),
            node=view.nodes.names[int(job.node_of[at])],
            gpu=job.gpu_of[at],
            pid=int(job.pid[at]),
            state=_rank_state(job, at, float(since[at])),
            step=int(job.states.step[at]),
            **{name: float(column[at]) for name, column in columns.items()},
        )
        for at in range(job.ranks.size)
    ]


def _rank_state(job: JobView, at: int, since_s: float) -> str:
    states = job.states
    if not np.isfinite(since_s):
        return "unknown"
    phase = int(states.phase[at])
    if not states.alive[at]:
        return "ended" if phase == Phase.ENDED else "dead"
    if since_s > _FRESH_S:
        return "silent"
    process = _PROCESS_STATES.get(chr(int(states.process_state[at]) & 0x7F))
    return process or _PHASES.get(phase, "unknown")


def _flow_rows(job: JobView, view: FleetView) -> list[query_pb2.FlowRow]:
    flows, names = view.flows, view.nodes.names
    mine = [at for at, name in enumerate(flows.job) if name == job.job]
    return [
        query_pb2.FlowRow(
            node=names[int(flows.node_of[at])],
            peer=names[int(flows.peer_of[at])] if flows.peer_of[at] >= 0 else "",
            delivery_mbit_s=float(flows.delivery_bits_per_s[at]) / 1e6,
            busy_share=float(flows.busy_share[at]),
            unsent_kib=float(flows.unsent_bytes[at]) / 1024,
            rtt_ms=float(flows.rtt_s[at]) * 1000,
            retransmits_per_s=float(flows.retransmits_per_s[at]),
        )
        for at in mine
        if view.now_s - flows.received_s[at] <= _FRESH_S
    ]


def waits_s(job: JobView) -> Floats:
    """(S, R) seconds that each rank waited for others in each step; NaN where no collective was told."""
    total = np.zeros(job.step_s.shape, np.float32)
    told = np.zeros(job.step_s.shape, np.bool_)
    for at, slot in enumerate(job.slots):
        durations = np.where(slot.members[None, :], job.collective_s[:, at], np.float32(np.nan))
        waits = durations - _over_ranks(np.nanmin, durations)[:, None]
        present = ~np.isnan(waits)
        total[present] += waits[present]
        told |= present
    return np.where(told, total, np.float32(np.nan))


def _wait_percent(job: JobView) -> float:
    steps = job.step_s[-_AVERAGED:]
    waits = waits_s(job)[-_AVERAGED:]
    both = ~np.isnan(waits) & ~np.isnan(steps)
    whole = float(steps[both].sum())
    return 100.0 * float(waits[both].sum()) / whole if whole > 0 else float("nan")


def _median(values: Floats | Seconds) -> float:
    told = values[~np.isnan(values)]
    return float(np.median(told)) if told.size else float("nan")


def _over_ranks(function: object, values: Floats) -> Floats:
    return _quiet(function, values, 1)


def _over_steps(values: Floats) -> Floats:
    return _quiet(np.nanmedian, values, 0)


def _quiet(function: object, values: Floats, axis: int) -> Floats:
    if not values.shape[axis]:
        return np.full(values.shape[1 - axis], np.nan, np.float32)
    with warnings.catch_warnings():
        # A row without any value gives NaN, which is what it should give.
        warnings.simplefilter("ignore", RuntimeWarning)
        result: Floats = function(values, axis=axis)  # type: ignore[operator]
    return result
