"""Compute straggler: one rank whose own work takes longer than its peers', and for whom they wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ringwatch_collector.detectors.compute_ratio import ratios_of
from ringwatch_collector.detectors.confidence import DIRECT, READING, agreed
from ringwatch_collector.detectors.held import Held, held_rank
from ringwatch_collector.detectors.pace import Pace, pace_of
from ringwatch_collector.detectors.persistent import (
    PERSISTENT_SHARE,
    RECENT_BLOCKS,
    Alarm,
    alarms,
    blocks_of,
    scored,
)
from ringwatch_collector.detectors.places import gpus_held, rank_subject, seconds
from ringwatch_collector.detectors.robust import Array, block_means
from ringwatch_collector.detectors.straggler_causes import UNEXPLAINED, Cause, cause_of
from ringwatch_collector.detectors.waits import LEAST_SKEW_S, Waits, waits_of
from ringwatch_collector.detectors.whole_node import by_node
from ringwatch_collector.detectors.window import Window, working_windows
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Why

LEAST_EFFECT: Final = float(np.log(1.05))  # five as the performance rules of SuperBench
# Without a healthy reference parts differ for good: MegaScale (NSDI 2024) takes machines out that are
# slower by ten.
LEVEL_EFFECT: Final = float(np.log(1.08))
LEVEL_FLOOR: Final = 0.015
LEVEL_BLOCKS: Final = 30
SIGMA_FLOOR: Final = 0.01
LEAST_STEPS: Final = 12
# The others have to wait for it by this share of a step, and the job has to be slower for it.
LEAST_IMPACT: Final = 0.03
LEAST_SLOWER: Final = 1.03
CRITICAL_SLOWER: Final = 1.2
RECENT_S: Final = 6.0
STRUCTURAL_SHARE: Final = 0.1
# A held process stops wherever it is, in a collective too, where everybody then waits alike. So the
# kernel's own word counts, with a job that is visibly slower for it.
HELD_SLOWER: Final = 1.2
HELD_STEPS_SLOWER: Final = 1.3
HELD_STEPS_SHARE: Final = 0.25
HELD_RECENT_S: Final = 4.0
_SOURCE: Final = (
    "peer CUSUM, k 1, z clipped to 3, h for heavy tails (Page 1954; Siegmund 1985); waiting from durations "
    "as in ByteDance's what-if analysis of stragglers (OSDI 2025)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One accused rank with what was measured."""

    column: int
    onset_s: float
    ratio: float
    late_s: float
    told: bool
    inputs: dict[str, float]
    held: Held | None = None


class ComputeStraggler:
    """Compares each rank's own work with its peers', and asks who waits least."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "straggler.compute"

    def look(self, view: FleetView) -> list[Finding]:
        """Return one finding a slow rank, or one for a node all of whose ranks are slow."""
        findings = []
        for window in working_windows(view):
            pace = pace_of(window)
            if window.rows.size >= LEAST_STEPS:
                cases = _cases(window, view.now_s, slower=pace.slower_than(LEAST_SLOWER, unknown=True))
                found = [_finding(view, window, pace, case) for case in cases]
                findings += by_node(found, view, window, _elevated(window, cases) if found else ())
        return findings


def _cases(window: Window, now_s: float, *, slower: bool) -> list[_Case]:
    found = {case.column: case for case in _compared(window, slower=slower)}
    held = held_rank(window.job, now_s) if slower else None
    if held is not None and held.column in window.columns and _visibly_slower(window):
        known = found.get(held.column)
        found = {held.column: replace(known, held=held) if known else _held_case(window, held)}
    return list(found.values())


def _compared(window: Window, *, slower: bool) -> list[_Case]:
    """Return the ranks that stay slower than their peers and for whom the others wait.

    A change counts only where the job is slower for it; who was slow since the first step made it slow then.
    """
    starts = blocks_of(window.ended_s)
    ratios, ended_s = ratios_of(window, starts), block_means(window.ended_s, starts)
    streams = max(1, ratios.compared.size)
    by_level = alarms(scored(ratios.level, ended_s, LEVEL_FLOOR), LEVEL_EFFECT, streams)
    if ratios.learned:
        by_level = [alarm for alarm in by_level if _all_along(ratios.level[:, alarm.position])]
    if _structural(window, len(by_level)):
        by_level = []
    raised = {alarm.position: (alarm, False) for alarm in by_level}
    if ratios.learned and slower:
        changed = scored(ratios.change, ended_s, SIGMA_FLOOR, ratios.level)
        raised |= {alarm.position: (alarm, True) for alarm in alarms(changed, LEAST_EFFECT, streams)}
    recent = window.recent(RECENT_S, LEAST_STEPS)
    cases = []
    for changed_only in {change for _, change in raised.values()}:
        waits = waits_of(window, recent, structural=changed_only)
        mine = [replace(alarm, position=int(ratios.compared[alarm.position]))
                for alarm, change in raised.values() if change is changed_only]  # fmt: skip
        cases += [_case(window, recent, waits, alarm) for alarm in mine]
    return [case for case in cases if case is not None]


def _elevated(window: Window, cases: list[_Case]) -> frozenset[int]:
    """Return the columns that are over their peers by half as much as the accused, in the newest blocks."""
    ratios = ratios_of(window, blocks_of(window.ended_s))
    least = min(float(np.log(max(case.ratio, 1.0))) for case in cases) / 2
    over = ratios.change[-RECENT_BLOCKS:].mean(axis=0) > max(least, LEAST_EFFECT / 2)
    return frozenset(window.columns[ratios.compared[over]].tolist())


def _all_along(level: Array) -> bool:
    """Tell whether a rank was above its peers in the whole window: what began within it is a change."""
    held = float((level > LEVEL_EFFECT / 2).mean()) >= PERSISTENT_SHARE
    return held and level.size >= LEVEL_BLOCKS and float(np.median(level)) >= LEVEL_EFFECT


def _structural(window: Window, slow: int) -> bool:
    """Tell whether so many ranks are above their peers that it is how the job is built."""
    return slow > max(1.0, STRUCTURAL_SHARE * window.columns.size)


def _case(window: Window, recent: slice, waits: Waits, alarm: Alarm) -> _Case | None:
    at = alarm.position
    told = bool(waits.told[at])
    step_s = float(window.step_s[recent].mean())
    own_s = float(window.compute_s[recent, at].mean())
    # Without collectives that tell, the excess over the ratio is the best bound on what it costs.
    late_s = float(waits.late_s[:, at].mean()) if told else own_s * (1.0 - float(np.exp(-alarm.effect)))
    # Who waits for someone else by more than the others wait for it hides behind a later rank.
    hidden = told and float(np.median(waits.wait_s[:, at])) > late_s
    if hidden or late_s < max(LEAST_SKEW_S, LEAST_IMPACT * step_s):
        return None
    return _Case(
        column=int(window.columns[at]),
        onset_s=alarm.onset_s,
        ratio=float(np.exp(alarm.effect)),
        late_s=late_s,
        told=told,
        inputs={
            "compute_ratio": float(np.exp(alarm.effect)),
            "compute_s": own_s,
            "late_s": late_s,
            "cusum": alarm.total,
            "noise_sigma_log": alarm.sigma,
            "persistent_share": alarm.share,
        },
    )


def _visibly_slower(window: Window) -> bool:
    """Tell whether enough of the newest steps are longer than usual for a held process to matter."""
    usual_s = float(window.job.reference_step_s)
    if np.isnan(usual_s):
        usual_s = float(np.median(window.step_s[: max(1, window.rows.size // 2)]))
    recent = np.median(window.step_s[window.recent(HELD_RECENT_S, 6)], axis=1)
    slow_share = float((recent > HELD_STEPS_SLOWER * usual_s).mean())
    return bool(recent.mean() >= HELD_SLOWER * usual_s) and slow_share >= HELD_STEPS_SHARE


def _held_case(window: Window, held: Held) -> _Case:
    recent = window.recent(HELD_RECENT_S, 6)
    at = int(np.flatnonzero(window.columns == held.column)[0])
    compute_s = window.compute_s[recent].mean(axis=0)
    waits = waits_of(window, recent)
    return _Case(
        column=held.column,
        onset_s=float(window.ended_s[recent][0]),
        ratio=float(compute_s[at] / max(float(np.median(compute_s)), 1e-6)),
        late_s=float(waits.late_s[:, at].mean()),
        told=bool(waits.told[at]),
        inputs={"held_share": held.share, "next_held_share": held.next_share},
        held=held,
    )


def _finding(view: FleetView, window: Window, pace: Pace, case: _Case) -> Finding:
    job = window.job
    culprit = rank_subject(view, job, case.column)
    cause = cause_of(view, job, case.column)
    explained = [DIRECT] if cause.token != UNEXPLAINED else []
    waited_for = [READING] if case.told and case.late_s >= LEAST_SKEW_S else []
    slower = CRITICAL_SLOWER if np.isnan(pace.ratio) else pace.ratio
    return Finding(
        kind=IncidentKind.STRAGGLER_COMPUTE,
        detector="straggler.compute",
        culprit=culprit,
        cause=cause.token,
        verdict=cause.verdict,
        severity=Severity.CRITICAL if slower >= CRITICAL_SLOWER else Severity.WARNING,
        confidence=agreed(READING, *waited_for, *explained),
        onset_s=case.onset_s,
        summary=f"{job.job} waits for rank {culprit.rank} on {culprit.node or 'an unknown node'}: "
        f"its own work takes {case.ratio:.2f} times its peers'; {cause.title}",
        evidence=(*_evidence(view, window, pace, case, culprit), *cause.evidence),
        ruled_out=cause.ruled_out,
        unsure=_unsure(cause, case),
        why=_why(case),
        gpus_held=gpus_held(job.ranks.size, pace.usual_s, pace.now_s),
        victims=(Subject(kind="job", job=job.job),),
    )


def _evidence(
    view: FleetView, window: Window, pace: Pace, case: _Case, culprit: Subject
) -> tuple[Evidence, ...]:
    found = [
        Evidence(
            at_s=case.onset_s,
            bearing=Bearing.SUPPORTS,
            text=f"own work is {case.ratio:.2f} times that of the ranks that do the same",
            source="steps",
            node=culprit.node,
        )
    ]
    if case.told:
        found.append(
            Evidence(
                at_s=view.now_s,
                bearing=Bearing.SUPPORTS,
                text=f"it waits {seconds(case.late_s)} a step less than its peers: they wait for it",
                source="collectives",
                node=culprit.node,
            )
        )
    if not np.isnan(pace.ratio):
        text = f"a step of {window.job.job} takes {seconds(pace.now_s)}, usually {seconds(pace.usual_s)}"
        found.append(Evidence(at_s=view.now_s, bearing=Bearing.CHANGE, text=text, source="steps"))
    return tuple(found)


def _unsure(cause: Cause, case: _Case) -> tuple[str, ...]:
    more = () if case.told else ("no collective of this rank was seen, so who waits for whom is not known",)
    return (*cause.unsure, *more)


def _why(case: _Case) -> Why:
    return Why(
        rule="own work stays above the peers' (CUSUM, effect, persistence), and the peers wait for it",
        source=_SOURCE,
        inputs=case.inputs,
        thresholds={
            "compute_ratio": float(np.exp(LEAST_EFFECT)),
            "late_share_of_step": LEAST_IMPACT,
            "late_s": LEAST_SKEW_S,
            "job_slower_ratio": LEAST_SLOWER,
        },
    )
