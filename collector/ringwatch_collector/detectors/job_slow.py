"""Slow job without a culprit: what part of a step grew, and an honest "cannot tell" for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import HINT, READING, agreed
from ringwatch_collector.detectors.pace import Pace, pace_of
from ringwatch_collector.detectors.persistent import blocks_of
from ringwatch_collector.detectors.places import gpus_held, nobody_in, percent, seconds
from ringwatch_collector.detectors.robust import CUSUM_H_LEAST, Array, block_means, cusum, median, step_noise
from ringwatch_collector.detectors.waits import waits_of
from ringwatch_collector.detectors.window import Window, working_windows
from ringwatch_collector.view import FleetView, Floats
from ringwatch_proto.records import (
    Bearing,
    Evidence,
    Finding,
    IncidentKind,
    RuledOut,
    Severity,
    Subject,
    Verdict,
    Why,
)

WINDOW_S: Final = 90.0
LEAST_STEPS: Final = 20
SIGMA_FLOOR: Final = 0.02
# The verification that Greyhound (ATC 2025) puts behind its change points: ten percent, and lasting.
LEAST_RATIO: Final = 1.10
LASTS_S: Final = 25.0
PERSISTENT_SHARE: Final = 0.9
# The change has to be this many times the noise of the job's own steps.
SIGMAS: Final = 3.0
WARNING_RATIO: Final = 1.25
# Where ranks wait for CPUs that others use, a slower job is the hosts' load: expect more of it.
BUSY_HOSTS: Final = 0.2
BUSY_RATIO: Final = 1.6
ROTATING_SHARE: Final = 0.5
LARGEST_SHARE: Final = 0.6
LEAST_SLOW_STEPS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Seconds by which each part of a step is over its usual time; and who is last, how often."""

    data_s: float
    compute_s: float
    waiting_s: float
    most_often_last: float


class JobSlow:
    """Compares the job's step with its frozen reference; says what the change is made of."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "job.slow"

    def look(self, view: FleetView) -> list[Finding]:
        """Return one finding a job that is slower for long; fusion drops it where a cause is known."""
        found = (_of_job(view, window) for window in working_windows(view, WINDOW_S))
        return [finding for finding in found if finding is not None]


def _of_job(view: FleetView, window: Window) -> Finding | None:
    pace = pace_of(window, LASTS_S)
    least_ratio = BUSY_RATIO if _busy_hosts(window) else LEAST_RATIO
    if window.rows.size < LEAST_STEPS or not pace.slower_than(least_ratio, unknown=False):
        return None
    starts = blocks_of(window.ended_s)
    blocks = block_means(median(window.step_s, 1), starts)
    ended_s = block_means(window.ended_s, starts)
    if blocks.size < 6 or ended_s[-1] - ended_s[0] < LASTS_S:
        return None
    log_ratio = np.log(blocks / pace.usual_s)
    sigma = step_noise(log_ratio, SIGMA_FLOOR)
    sums, began = cusum((log_ratio / sigma)[:, None])
    recent = log_ratio[ended_s >= ended_s[-1] - LASTS_S]
    lasting = (recent > 0.5 * np.log(LEAST_RATIO)).mean() >= PERSISTENT_SHARE
    if sums[0] <= CUSUM_H_LEAST or not lasting or float(np.median(recent)) < SIGMAS * sigma:
        return None
    onset_s = float(ended_s[max(0, min(int(began[0]), ended_s.size) - 1)])
    return _finding(view, window, pace, onset_s, {"cusum": float(sums[0]), "noise_sigma_log": sigma})


def _busy_hosts(window: Window) -> bool:
    waited = window.job.states.runqueue_share
    waited = waited[np.isfinite(waited)]
    return waited.size > 0 and float(np.median(waited)) > BUSY_HOSTS


def _parts(window: Window, pace: Pace) -> _Parts:
    recent = window.recent(LASTS_S, LEAST_STEPS)
    waits = waits_of(window, recent)
    # Who is last in the steps that are slow: before the change it was someone else.
    slow = median(window.step_s[recent], 1) > (pace.usual_s + pace.now_s) / 2
    slow = slow if np.count_nonzero(slow) >= LEAST_SLOW_STEPS else np.ones(slow.size, np.bool_)
    last = np.argmin(waits.wait_s[slow] + np.where(waits.told > 0, 0.0, np.inf), axis=1)
    often = np.bincount(last, minlength=window.columns.size).max() / max(1, last.size)
    return _Parts(
        data_s=_grew(window, recent, window.data_s, window.job.reference_data_s),
        compute_s=_grew(window, recent, window.compute_s, window.job.reference_compute_s),
        waiting_s=float(waits.skew_s.mean()),  # stalls are rare and long: the mean is what they cost
        most_often_last=float(often),
    )


def _grew(window: Window, recent: slice, values: Array, usual: Floats) -> float:
    """Return by how much the typical rank's mean is over its reference; NaN without one."""
    over = np.nan_to_num(values[recent]).mean(axis=0) - usual[window.columns]
    over = over[np.isfinite(over)]
    return float(np.median(over)) if over.size else float("nan")


def _finding(
    view: FleetView, window: Window, pace: Pace, onset_s: float, inputs: dict[str, float]
) -> Finding:
    job, parts = window.job, _parts(window, pace)
    grew_s = pace.now_s - pace.usual_s
    cause, verdict, words = _conclusion(parts, grew_s, busy=_busy_hosts(window))
    text = f"a step takes {seconds(pace.now_s)}, usually {seconds(pace.usual_s)} ({pace.ratio:.2f} times)"
    return Finding(
        kind=IncidentKind.JOB_SLOW,
        detector="job.slow",
        culprit=nobody_in(job),
        cause=cause,
        verdict=verdict,
        severity=Severity.WARNING if pace.ratio >= WARNING_RATIO else Severity.INFO,
        confidence=agreed(READING, HINT) if verdict is Verdict.WORKLOAD else agreed(READING),
        onset_s=onset_s,
        summary=f"{job.job} is {pace.ratio:.2f} times as slow as usual; {words}",
        evidence=(
            Evidence(at_s=onset_s, bearing=Bearing.CHANGE, text=text, source="steps"),
            Evidence(at_s=view.now_s, bearing=Bearing.CONTEXT, text=_parts_words(parts), source="steps"),
        ),
        ruled_out=_ruled_out(parts, grew_s),
        unsure=("who or what slows it: no rank, link or loader stands out",),
        why=Why(
            rule="the step stays over its frozen reference: ten percent, three times its own noise, for long",
            source="change and verification as in Greyhound (ATC 2025)",
            inputs={"step_s": pace.now_s, "usual_step_s": pace.usual_s, **inputs},
            thresholds={"ratio": LEAST_RATIO, "lasting_s": LASTS_S, "sigmas": SIGMAS},
        ),
        gpus_held=gpus_held(job.ranks.size, pace.usual_s, pace.now_s),
        victims=(Subject(kind="job", job=job.job),),
    )


def _conclusion(parts: _Parts, grew_s: float, *, busy: bool) -> tuple[str, Verdict, str]:
    """Return what the change is made of. Only rotating lateness is a verdict; the rest is a hint."""
    if busy:
        return "busy_hosts", Verdict.CANNOT_TELL, "ranks wait for CPUs, which hides everything else"
    if parts.waiting_s >= LARGEST_SHARE * grew_s and parts.most_often_last < ROTATING_SHARE:
        words = "ranks wait for another one in each step: the work is uneven, no rank is slow"
        return "rotating_ranks", Verdict.WORKLOAD, words
    if parts.compute_s >= LARGEST_SHARE * grew_s:
        return "all_ranks_compute", Verdict.CANNOT_TELL, "all ranks compute for longer: no one rank is slow"
    if parts.data_s >= LARGEST_SHARE * grew_s:
        return "all_ranks_data", Verdict.CANNOT_TELL, "all ranks wait for data"
    return "cannot_tell", Verdict.CANNOT_TELL, "no reading says why"


def _parts_words(parts: _Parts) -> str:
    return (
        f"against usual, the typical rank spends {seconds(parts.compute_s)} more on its own work and "
        f"{seconds(parts.data_s)} more on data; the longest wait in collectives is "
        f"{seconds(parts.waiting_s)}; the rank that is last most "
        f"often is so in {percent(parts.most_often_last)} of the steps"
    )


def _ruled_out(parts: _Parts, grew_s: float) -> tuple[RuledOut, ...]:
    out = []
    if parts.most_often_last < ROTATING_SHARE:
        reason = f"the rank that is last most often is so in {percent(parts.most_often_last)} of the steps"
        out.append(RuledOut(cause="one straggler", reason=reason))
    for cause, part_s in (("data loading", parts.data_s), ("computing", parts.compute_s)):
        if part_s < 0.25 * grew_s:
            reason = f"it takes {seconds(part_s)} more, of {seconds(grew_s)} that a step grew"
            out.append(RuledOut(cause=cause, reason=reason))
    return tuple(out)
