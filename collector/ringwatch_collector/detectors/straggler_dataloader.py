"""Data-loader straggler: a rank, a node or everybody that waits for its input. Reads no compute time."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import HINT, READING, agreed
from ringwatch_collector.detectors.pace import Pace, pace_of
from ringwatch_collector.detectors.persistent import (
    LEAST_BLOCKS,
    PERSISTENT_SHARE,
    RECENT_BLOCKS,
    Alarm,
    alarms,
    blocks_of,
    scored,
)
from ringwatch_collector.detectors.places import gpus_held, nobody_in, percent, rank_subject, seconds
from ringwatch_collector.detectors.robust import Array, block_means, median
from ringwatch_collector.detectors.waits import LEAST_SKEW_S, waits_of
from ringwatch_collector.detectors.whole_node import by_node
from ringwatch_collector.detectors.window import Window, working_windows
from ringwatch_collector.view import FleetView
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
from ringwatch_proto.signals import BY_NAME

LEAST_STEPS: Final = 12
LEAST_EFFECT: Final = 0.05  # of a usual step
SIGMA_FLOOR: Final = 0.02
LEAST_IMPACT: Final = 0.03
LEAST_SLOWER: Final = 1.03
CRITICAL_SLOWER: Final = 1.2
RECENT_S: Final = 6.0
# Everybody waits: by half as much again as usual, and by a tenth of a step.
ALL_RATIO: Final = 1.5
ALL_EFFECT: Final = 0.10


class DataLoaderStraggler:
    """Compares each rank's wait for data with the others' and with its own while healthy."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "straggler.dataloader"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a rank or node that starves, or one for a job all of whose ranks do."""
        findings: list[Finding] = []
        for window in working_windows(view):
            pace = pace_of(window)
            if window.rows.size < LEAST_STEPS or not pace.slower_than(LEAST_SLOWER, unknown=True):
                continue
            everybody = _everybody(view, window, pace)
            findings += [everybody] if everybody else by_node(_single(view, window, pace), view, window)
        return findings


def _usual_step_s(window: Window, pace: Pace) -> float:
    return window.typical_step_s if np.isnan(pace.usual_s) else pace.usual_s


def _usual_data_s(window: Window) -> Array:
    return np.asarray(window.job.reference_data_s, np.float64)[window.columns]


def _single(view: FleetView, window: Window, pace: Pace) -> list[Finding]:
    starts = blocks_of(window.ended_s)
    data = block_means(np.nan_to_num(window.data_s), starts)
    residual = data - median(data, 1)[:, None]
    usual = _usual_data_s(window)
    if np.isfinite(usual).all():
        residual = residual - (usual - np.median(usual))
    residual = residual / _usual_step_s(window, pace)
    ended_s = block_means(window.ended_s, starts)
    raised = alarms(scored(residual, ended_s, SIGMA_FLOOR), LEAST_EFFECT, window.columns.size)
    if not raised:
        return []
    recent = window.recent(RECENT_S, LEAST_STEPS)
    waits = waits_of(window, recent)
    step_s = float(window.step_s[recent].mean())
    found = []
    for alarm in raised:
        late_s = float(waits.late_s[:, alarm.position].mean())
        told = bool(waits.told[alarm.position])
        if not told or late_s >= max(LEAST_SKEW_S, LEAST_IMPACT * step_s):
            found.append(_finding(view, window, pace, alarm, late_s if told else float("nan")))
    return found


def _finding(view: FleetView, window: Window, pace: Pace, alarm: Alarm, late_s: float) -> Finding:
    job = window.job
    recent = window.recent(RECENT_S, LEAST_STEPS)
    culprit = rank_subject(view, job, int(window.columns[alarm.position]))
    own_s = float(np.nanmean(window.data_s[recent, alarm.position]))
    others_s = float(np.nanmedian(np.delete(window.data_s[recent], alarm.position, axis=1)))
    text = f"rank {culprit.rank} waits {seconds(own_s)} a step for its data, the others {seconds(others_s)}"
    told = not np.isnan(late_s)
    slower = CRITICAL_SLOWER if np.isnan(pace.ratio) else pace.ratio
    return Finding(
        kind=IncidentKind.STRAGGLER_DATALOADER,
        detector="straggler.dataloader",
        culprit=culprit,
        cause="dataloader",
        verdict=Verdict.SOFTWARE,
        severity=Severity.CRITICAL if slower >= CRITICAL_SLOWER else Severity.WARNING,
        confidence=agreed(READING, READING, *([READING] if told else [])),
        onset_s=alarm.onset_s,
        summary=f"{job.job} waits for the data loader of rank {culprit.rank} on "
        f"{culprit.node or 'an unknown node'}: {seconds(own_s)} a step",
        evidence=(
            Evidence(
                at_s=alarm.onset_s, bearing=Bearing.SUPPORTS, text=text, source="steps", node=culprit.node
            ),
            *_context(view, window, pace, late_s, culprit),
        ),
        ruled_out=(_compute_ruled_out(window, recent, alarm.position),),
        unsure=("whether the loader's own code, its storage or its CPUs are slow",),
        why=Why(
            rule="the wait for data stays above the others' (CUSUM, effect, persistence), "
            "and they wait for it",
            source="peer CUSUM as for compute; data time as in Ant's XPUTimer",
            inputs={"data_s": own_s, "others_data_s": others_s, "cusum": alarm.total, "late_s": late_s},
            thresholds={
                "effect_share_of_step": LEAST_EFFECT,
                "cusum": alarm.threshold,
                "late_share_of_step": LEAST_IMPACT,
            },
        ),
        gpus_held=gpus_held(job.ranks.size, pace.usual_s, pace.now_s),
        victims=(Subject(kind="job", job=job.job),),
    )


def _context(
    view: FleetView, window: Window, pace: Pace, late_s: float, culprit: Subject
) -> tuple[Evidence, ...]:
    found = []
    if not np.isnan(late_s):
        text = f"it waits {seconds(late_s)} a step less in collectives than its peers: they wait for it"
        found.append(
            Evidence(
                at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="collectives", node=culprit.node
            )
        )
    if not np.isnan(pace.ratio):
        text = f"a step of {window.job.job} takes {seconds(pace.now_s)}, usually {seconds(pace.usual_s)}"
        found.append(Evidence(at_s=view.now_s, bearing=Bearing.CHANGE, text=text, source="steps"))
    pressure = view.host.latest(BY_NAME["host.io_pressure_percent"].id)
    for row, node in enumerate(np.asarray(view.host.node_of).tolist()):
        if view.nodes.names[node] == culprit.node and np.isfinite(pressure[row]):
            text = f"some task waited for I/O in {pressure[row]:.0f} % of the time (PSI)"
            found.append(
                Evidence(
                    at_s=view.now_s, bearing=Bearing.CONTEXT, text=text, source="host", node=culprit.node
                )
            )
    return tuple(found)


def _compute_ruled_out(window: Window, recent: slice, position: int) -> RuledOut:
    compute_s = window.compute_s[recent].mean(axis=0)
    ratio = compute_s[position] / max(float(np.median(compute_s)), 1e-6)
    return RuledOut(cause="slow compute", reason=f"own work is {ratio:.2f} times its peers'")


def _everybody(view: FleetView, window: Window, pace: Pace) -> Finding | None:
    """Return the finding that all ranks wait for data: what they share is slow, no rank is to blame."""
    usual = _usual_data_s(window)
    if not np.isfinite(usual).all() or np.isnan(pace.usual_s):
        return None
    starts = blocks_of(window.ended_s)
    data = median(block_means(np.nan_to_num(window.data_s), starts), 1)
    limit_s = max(ALL_RATIO * float(np.median(usual)), float(np.median(usual)) + ALL_EFFECT * pace.usual_s)
    recent = data[-RECENT_BLOCKS:]
    if data.size < LEAST_BLOCKS or recent.mean() < limit_s or (recent > limit_s).mean() < PERSISTENT_SHARE:
        return None
    job, now_s, usual_s = window.job, float(recent.mean()), float(np.median(usual))
    share = now_s / pace.now_s
    text = f"the typical rank waits {seconds(now_s)} a step for its data, usually {seconds(usual_s)}"
    return Finding(
        kind=IncidentKind.STRAGGLER_DATALOADER,
        detector="straggler.dataloader",
        culprit=nobody_in(job),
        cause="dataloader_everywhere",
        verdict=Verdict.CANNOT_TELL,
        severity=Severity.WARNING,
        confidence=agreed(READING, HINT),
        onset_s=float(window.ended_s[starts[-RECENT_BLOCKS]]),
        summary=f"all ranks of {job.job} wait for data, {percent(share)} of a step: storage or the input "
        "pipeline is slow, no rank is",
        evidence=(Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="steps"),),
        ruled_out=(
            RuledOut(cause="one slow loader", reason="the median rank waits too, so do at least half of all"),
        ),
        unsure=("whether the storage that they share or the loader's code is slow",),
        why=Why(
            rule="the median rank's wait for data is above its reference by half and by a tenth of a step",
            source="frozen reference of the job",
            inputs={"data_s": now_s, "usual_data_s": usual_s},
            thresholds={"data_s": limit_s},
        ),
        gpus_held=gpus_held(job.ranks.size, pace.usual_s, pace.now_s),
        victims=(Subject(kind="job", job=job.job),),
    )
