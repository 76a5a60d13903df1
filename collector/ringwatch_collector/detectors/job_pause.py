"""Pause: the whole job does something else together, once or every K steps. Blames and pages nobody."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, HINT, READING, agreed
from ringwatch_collector.detectors.places import nobody_in, percent, seconds
from ringwatch_collector.detectors.robust import median
from ringwatch_collector.detectors.window import Index, Window, window_of
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.layout import Phase, StepFlag
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, RuledOut, Severity, Verdict, Why

WINDOW_S: Final = 180.0
# A pause of which the job told is its own business until it costs this much of the time.
TAGGED_COST: Final = 0.10
UNTAGGED_COST: Final = 0.03
LEAST_REPEATS: Final = 3
PERIOD_SLACK_STEPS: Final = 1.0
# One alone has to be long to be told from a host that was busy for a moment.
SINGLE_S: Final = 5.0
SINGLE_STEPS: Final = 20.0
FRESH_S: Final = 3.5


class JobPause:
    """Finds steps in which every rank at once spent long outside collectives."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "job.pause"

    def look(self, view: FleetView) -> list[Finding]:
        """Return an informing finding a job that pauses, or that is in a long pause now."""
        findings = []
        for job in view.jobs:
            window = window_of(job, view.now_s, WINDOW_S)
            finding = _past(view, window) if window is not None else _present(view, job)
            if finding is not None:
                findings.append(finding)
        return findings


def _past(view: FleetView, window: Window) -> Finding | None:
    at = _begins(np.flatnonzero(window.paused))
    if at.size == 0:
        return None
    step_s = median(window.step_s, 1)
    usual_s = float(np.median(step_s[~window.paused])) if (~window.paused).any() else 0.0
    lasts_s = step_s[window.paused] - usual_s
    cost = float(lasts_s.sum() / step_s.sum())
    tagged = (np.asarray(window.job.flags)[window.rows[at]] & StepFlag.TAGGED_PAUSE).any()
    steps = np.asarray(window.job.steps)[window.rows[at]]
    period = _period(steps)
    single = at.size == 1 and lasts_s.sum() >= max(SINGLE_S, SINGLE_STEPS * usual_s)
    if cost < (TAGGED_COST if tagged else UNTAGGED_COST) or not (tagged or period or single):
        return None
    words = f"every {period:.0f} steps" if period else f"{at.size} times" if at.size > 1 else "once"
    text = f"{words} for {seconds(float(lasts_s.sum() / at.size))}, {percent(cost)} of the time"
    onset_s = float(window.ended_s[at[0]] - step_s[at[0]])
    weight = DIRECT if tagged else READING if period else HINT
    return _finding(
        view, window.job, onset_s, text, weight, cost=cost, inputs={"pauses": float(at.size), "cost": cost}
    )


def _begins(rows: Index) -> Index:
    """Return the first row of each run of paused rows."""
    return rows[np.diff(rows, prepend=-2) > 1]


def _period(steps: Index) -> float:
    """Return the period in steps when the pauses repeat evenly, 0 when they do not."""
    if steps.size < LEAST_REPEATS:
        return 0.0
    gaps = np.diff(steps)
    usual = float(np.median(gaps))
    # A gap of twice the period is a pause that was not seen.
    off = np.abs(gaps - usual * np.maximum(1, np.round(gaps / usual)))
    return (
        usual if float(np.median(off)) <= PERIOD_SLACK_STEPS and off.max() <= 2 * PERIOD_SLACK_STEPS else 0.0
    )


def _present(view: FleetView, job: JobView) -> Finding | None:
    """Return the pause that a job is in: every rank that reports is outside collectives and alive."""
    states = job.states
    fresh = (view.now_s - states.received_s <= FRESH_S) & states.alive
    if not fresh.any() or (states.phase[fresh] != Phase.PAUSE).any():
        return None
    age_s = float((states.phase_age_s[fresh] + (view.now_s - states.received_s[fresh])).min())
    if not age_s >= SINGLE_S:
        return None
    text = f"all {np.count_nonzero(fresh)} ranks pause together since {seconds(age_s)}"
    return _finding(view, job, view.now_s - age_s, text, READING, cost=1.0, inputs={"pause_s": age_s})


def _finding(
    view: FleetView,
    job: JobView,
    onset_s: float,
    text: str,
    weight: float,
    *,
    cost: float,
    inputs: dict[str, float],
) -> Finding:
    return Finding(
        kind=IncidentKind.JOB_PAUSE,
        detector="job.pause",
        culprit=nobody_in(job),
        cause="pause",
        verdict=Verdict.PAUSE,
        severity=Severity.INFO,
        confidence=agreed(weight, HINT),
        onset_s=onset_s,
        summary=f"{job.job} pauses on all ranks together, {text}: a checkpoint or an evaluation; "
        "nobody is to blame",
        evidence=(Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="steps"),),
        ruled_out=(
            RuledOut(cause="a straggler", reason="every rank pauses in the same steps"),
            RuledOut(cause="the network", reason="the time passes outside collectives"),
        ),
        why=Why(
            rule="every rank at once spends long outside collectives: as the job said, at an even "
            "period of steps, or once for long",
            source="period test over the steps; ByteDance's and Mycroft's checkpoints look like this",
            inputs=inputs,
            thresholds={"cost_untagged": UNTAGGED_COST, "cost_tagged": TAGGED_COST, "single_s": SINGLE_S},
        ),
        gpus_held=job.ranks.size * cost,
    )
