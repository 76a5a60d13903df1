"""Hang: nobody's step advances while ranks wait in a collective, and who they wait for. No slow job."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import READING, agreed
from ringwatch_collector.detectors.hang_blame import Blame, Stall, blame_for
from ringwatch_collector.detectors.head_of_line import Heads, heads_of
from ringwatch_collector.detectors.places import nobody_in, rank_subject, seconds
from ringwatch_collector.view import Flags, FleetView, JobView
from ringwatch_proto.layout import Collective, Phase
from ringwatch_proto.records import (
    Bearing,
    Evidence,
    Finding,
    IncidentKind,
    RuledOut,
    Severity,
    Subject,
    Why,
)

FRESH_S: Final = 3.5
# Not the minutes of a watchdog: a stopped process is seen at once, anything else needs patience. How
# much, the longest collective of the newest steps says: ranks that wait for a late one wait there.
STOPPED_S, STOPPED_LONGEST = 2.0, 2.0
STALLED_S, STALLED_LONGEST = 10.0, 4.0
RECENT_STEPS: Final = 64
# The rank that is waited for is between two steps, where one rank alone may write a checkpoint for all.
BETWEEN_STEPS_S: Final = 60.0
# Before the first step: allocation, compilation, connections, and nothing to compare with.
FIRST_STEP_S: Final = 120.0
# Sure, and worth waking someone, after twice the time.
SURE: Final = 2.0
_KINDS: Final = {int(kind): kind.name.lower() for kind in Collective}
_STOPPED: Final = frozenset({ord("T"), ord("t")})


class Hang:
    """Asks when anything last moved, then who has not come."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "job.hang"

    def look(self, view: FleetView) -> list[Finding]:
        """Return one finding a job that stands still."""
        stalls = (_stall(view, job) for job in view.jobs)
        return [_finding(view, stall) for stall in stalls if stall is not None]


def _stall(view: FleetView, job: JobView) -> Stall | None:
    states = job.states
    if states.received_s.size < 2 or _any_dead(job):
        return None
    age_s = view.now_s - states.received_s
    fresh = (age_s <= FRESH_S) & states.alive & (states.phase != Phase.ENDED)
    if np.count_nonzero(fresh) < 2:
        return None
    still_s = _still_s(job, age_s, fresh)
    stopped = np.flatnonzero(fresh & np.isin(states.process_state, list(_STOPPED)))
    heads = heads_of(job, fresh)
    limit_s = _limit_s(job, heads, stopped.size > 0)
    if still_s < limit_s or heads.waiting.size == 0:
        return None
    silent = np.flatnonzero(states.alive & ~fresh & (states.phase != Phase.ENDED))
    return Stall(job=job, seconds=still_s, limit_s=limit_s, heads=heads, stopped=stopped, silent=silent)


def _any_dead(job: JobView) -> bool:
    """Tell whether a rank went without a goodbye: then the others stand still because of that."""
    states = job.states
    heard = np.isfinite(states.received_s)
    return bool((heard & ~states.alive & (states.phase != Phase.ENDED)).any())


def _still_s(job: JobView, age_s: np.ndarray, fresh: Flags) -> float:
    """Return how long no rank has done anything, 0 when that is not known."""
    beat_s = job.states.beat_age_s.astype(np.float64)
    beat_s = np.where(np.isnan(beat_s), job.states.phase_age_s, beat_s) + age_s
    least = beat_s[fresh].min()
    return float(least) if np.isfinite(least) else 0.0


def _limit_s(job: JobView, heads: Heads, stopped: bool) -> float:
    step_s, waited_s = np.asarray(job.step_s)[-RECENT_STEPS:], np.asarray(job.collective_s)[-RECENT_STEPS:]
    if not np.isfinite(step_s).any():
        return STOPPED_S * 2 if stopped else FIRST_STEP_S
    waited_s = waited_s[np.isfinite(waited_s)]
    # Where no collective was told of, a step is the bound of what a wait may take.
    longest_s = float(waited_s.max()) if waited_s.size else float(np.median(step_s[np.isfinite(step_s)]))
    if stopped:
        return max(STOPPED_S, STOPPED_LONGEST * longest_s)
    between = heads.missing.size > 0 and bool((job.states.phase[heads.missing] == Phase.PAUSE).all())
    return max(BETWEEN_STEPS_S if between else STALLED_S, STALLED_LONGEST * longest_s)


def _finding(view: FleetView, stall: Stall) -> Finding:
    job, blame = stall.job, blame_for(stall)
    culprit = rank_subject(view, job, blame.column) if blame.column >= 0 else nobody_in(job)
    sure = blame.cause == "process_stopped" or stall.seconds >= SURE * stall.limit_s
    who = f"rank {culprit.rank} on {culprit.node or 'an unknown node'}: {blame.text}"
    waiting = "nobody can be named" if blame.column < 0 else who
    return Finding(
        kind=IncidentKind.JOB_HANG,
        detector="job.hang",
        culprit=culprit,
        cause=blame.cause,
        verdict=blame.verdict,
        severity=Severity.CRITICAL if sure else Severity.WARNING,
        confidence=agreed(blame.weight, READING) if blame.column >= 0 else agreed(blame.weight),
        onset_s=view.now_s - stall.seconds,
        summary=f"{job.job} stands still since {stall.seconds:.0f} s; {waiting}",
        evidence=_evidence(view, stall, blame, culprit),
        ruled_out=_ruled_out(stall, blame),
        unsure=(*blame.unsure, *(("ranks of silent nodes are not seen",) if stall.silent.size else ())),
        why=Why(
            rule="nothing moved on any rank for longer than the limit while ranks wait in a collective; the "
            "stopped process, else the rank that never came, else the one left behind, holds it up",
            source="head-of-line rule; checked against NVIDIA/nvidia-resiliency-ext flight-recorder cases",
            inputs={
                "still_s": stall.seconds,
                "ranks_waiting": float(stall.heads.waiting.size),
                "ranks_missing": float(stall.heads.missing.size),
                "ranks_stopped": float(stall.stopped.size),
            },
            thresholds={"still_s": stall.limit_s, "page_s": SURE * stall.limit_s},
        ),
        gpus_held=float(job.ranks.size),
        victims=(Subject(kind="job", job=job.job),),
    )


def _evidence(view: FleetView, stall: Stall, blame: Blame, culprit: Subject) -> tuple[Evidence, ...]:
    job, heads = stall.job, stall.heads
    kinds = {_KINDS.get(int(kind), "unknown") for kind in job.states.inflight_kind[heads.waiting]}
    waiting = Evidence(
        at_s=view.now_s - stall.seconds,
        bearing=Bearing.SUPPORTS,
        text=f"{heads.waiting.size} of {job.ranks.size} ranks wait in {', '.join(sorted(kinds))}; "
        f"nothing has moved for {seconds(stall.seconds)}",
        source="rank states",
    )
    if blame.column < 0:
        return (waiting,)
    state = job.states
    own = Evidence(
        at_s=float(state.received_s[blame.column]),
        bearing=Bearing.SUPPORTS,
        text=f"rank {culprit.rank}: {blame.text}; step {int(state.step[blame.column])}, "
        f"{int(state.completed[blame.column])} of {int(state.launched[blame.column])} collectives done",
        source="rank states",
        node=culprit.node,
    )
    return own, waiting


def _ruled_out(stall: Stall, blame: Blame) -> tuple[RuledOut, ...]:
    out = [RuledOut(cause="a slow job", reason=f"not one rank did anything for {stall.seconds:.1f} s")]
    if not _any_dead(stall.job):
        out.append(RuledOut(cause="a dead rank", reason="every rank that was seen is alive or said goodbye"))
    if not stall.stopped.size:
        out.append(RuledOut(cause="a stopped process", reason="no rank that reports is in state T"))
    if blame.cause != "cannot_tell":
        return tuple(out)
    pausing = RuledOut(
        cause="a pause of the job", reason=f"{stall.heads.waiting.size} ranks are inside a collective"
    )
    return (*out, pausing)
