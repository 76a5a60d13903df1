"""Imbalance: work that is uneven by the job's own making. Blames no rank, no node and no link.

ByteDance found it behind most stragglers of 3,079 jobs (OSDI 2025): a pipeline stage that has more to do, or
batches whose sequences differ in length. Evicting a machine for either helps nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, READING, agreed
from ringwatch_collector.detectors.places import nobody_in, percent
from ringwatch_collector.detectors.robust import Array, median
from ringwatch_collector.detectors.window import Index, Window, peer_groups, working_windows
from ringwatch_collector.view import FleetView, Floats
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, RuledOut, Severity, Verdict, Why

LEAST_STEPS: Final = 20
# Of the time of a step, lost to waiting for the unevenness. Below it nobody would change a job for it.
LEAST_COST: Final = 0.08
# Who is last has to change hands: the rank that is last most often is so in at most this share of the steps,
# or in three times its fair share where the group is small.
ROTATING_SHARE: Final = 0.5
FAIR_SHARES: Final = 3.0
NEWEST_STEPS: Final = 8
# A stage has more to do: in nearly all steps, and by this much.
STAGE_RATIO: Final = 1.08
STAGE_SHARE: Final = 0.9
# Stalls come and go: a few steps hold most of the cost, and in the usual step there is little of it.
SPIKY: Final = 0.25
# The amount of work that the job told explains so much of the unevenness.
EXPLAINED: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How uneven work is: what it costs, and the numbers behind."""

    cause: str
    verdict: Verdict
    cost: float
    weight: tuple[float, ...]
    text: str
    inputs: dict[str, float]


class Imbalance:
    """Compares stages with each other, and within a stage who is last from step to step."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "job.imbalance"

    def look(self, view: FleetView) -> list[Finding]:
        """Return at most one finding a job: the unevenness that costs most."""
        findings = []
        for window in working_windows(view):
            if window.rows.size >= LEAST_STEPS:
                shapes = [shape for shape in (_stages(window), _rotation(window)) if shape is not None]
                if shapes:
                    findings.append(_finding(view, window, max(shapes, key=lambda shape: shape.cost)))
        return findings


def _stages(window: Window) -> _Shape | None:
    """Return the stage that has more to do than the others in nearly all steps."""
    groups = peer_groups(window.job, window.columns, least=2)
    if len(groups) < 2:
        return None
    step_s = window.typical_step_s
    work = np.stack([median(window.compute_s[:, group], 1) for group in groups], axis=1)
    slowest = int(np.argmax(np.median(work, axis=0)))
    others = np.delete(work, slowest, axis=1).mean(axis=1)
    ratio = work[:, slowest] / np.maximum(others, 1e-9)
    cost = float(np.median(work[:, slowest] - work.mean(axis=1))) / step_s
    often = float((ratio > STAGE_RATIO).mean())
    if often < STAGE_SHARE or cost < LEAST_COST:
        return None
    ranks = np.asarray(window.job.ranks)[window.columns[groups[slowest]]]
    return _Shape(
        cause="stage_imbalance",
        verdict=Verdict.STRUCTURAL,
        cost=cost,
        weight=(READING, READING),
        text=f"the ranks of one stage ({ranks.min()}-{ranks.max()}) compute {np.median(ratio):.2f} times as "
        f"long as those of the {len(groups) - 1} others, in {percent(often)} of the steps, all of them alike",
        inputs={"stage_ratio": float(np.median(ratio)), "steps_share": often, "stages": float(len(groups))},
    )


def _rotation(window: Window) -> _Shape | None:
    """Return unevenness within stages whose last rank changes from step to step."""
    job, step_s = window.job, window.typical_step_s
    groups = [group for group in peer_groups(job, window.columns, least=2) if group.size >= 3]
    if not groups:
        return None
    usual = _usual(window)
    excess = np.stack([_excess(window.compute_s, usual, group) for group in groups], axis=1)
    worst = int(np.argmax(excess.mean(axis=0)))
    cost = float(excess[:, worst].mean()) / step_s
    last = np.argmax((window.compute_s / usual)[:, groups[worst]], axis=1)
    # In the newest steps too: a rank that just became slow is last in all of them.
    often = max(float(np.bincount(each).max() / each.size) for each in (last, last[-NEWEST_STEPS:]))
    allowed = min(0.9, max(ROTATING_SHARE, FAIR_SHARES / groups[worst].size))
    if cost < LEAST_COST or often > allowed:
        return None
    inputs = {"cost": cost, "most_often_last": often, "ranks": float(groups[worst].size)}
    words = f"the rank that is last most often is so in {percent(often)} of the steps"
    explained = _explained(window, groups[worst])
    if explained >= EXPLAINED:
        return _Shape(
            cause="sequence_lengths", verdict=Verdict.WORKLOAD, cost=cost, weight=(READING, DIRECT),
            text=f"{words}; the amount of work that the job tells explains {percent(explained)} of it",
            inputs=inputs | {"explained_share": explained},
        )  # fmt: skip
    if float(np.median(excess[:, worst])) < SPIKY * cost * step_s:
        return _Shape(
            cause="random_stalls", verdict=Verdict.WORKLOAD, cost=cost, weight=(READING,), inputs=inputs,
            text=f"{words}; most steps are even and a few hold long stalls, another rank each time, as "
            "garbage collection makes them",
        )  # fmt: skip
    return _Shape(
        cause="uneven_work", verdict=Verdict.WORKLOAD, cost=cost, weight=(READING, READING), inputs=inputs,
        text=f"{words}; the work itself is uneven, as with batches of mixed sequence lengths",
    )  # fmt: skip


def _usual(window: Window) -> Array:
    """Return (1, C) each rank's usual share of work, so that a slower part is not taken for the last."""
    usual = median(window.compute_s, 0)[None, :]
    return np.asarray(np.maximum(usual, 1e-9))


def _excess(work: Array, usual: Array, group: Index) -> Array:
    """Return (T,) by how much the last of a group is over the typical one."""
    adjusted = work[:, group] * (float(np.median(usual[:, group])) / usual[:, group])
    return np.asarray(adjusted.max(axis=1) - median(adjusted, 1))


def _explained(window: Window, group: Index) -> float:
    """Return how much of the variance within the group goes away with what the job told of its work."""
    best = 0.0
    for said in (window.job.work, window.job.tokens):
        amount = _told(window, group, said)
        if amount is not None:
            own = np.log(window.compute_s[:, group])
            own = own - own.mean(axis=1, keepdims=True)
            log_amount = np.log(amount) - np.log(amount).mean(axis=1, keepdims=True)
            power = float((log_amount**2).sum())
            slope = float((own * log_amount).sum()) / power if power > 0 else 0.0
            total = float((own**2).sum())
            best = max(
                best, 1.0 - float(((own - slope * log_amount) ** 2).sum()) / total if total > 0 else 0.0
            )
    return best


def _told(window: Window, group: Index, said: Floats | None) -> Array | None:
    if said is None:
        return None
    amount = np.asarray(said[np.ix_(window.rows, window.columns[group])], np.float64)
    return amount if np.isfinite(amount).all() and bool((amount > 0).all()) else None


def _finding(view: FleetView, window: Window, shape: _Shape) -> Finding:
    job = window.job
    return Finding(
        kind=IncidentKind.JOB_SLOW,
        detector="job.imbalance",
        culprit=nobody_in(job),
        cause=shape.cause,
        verdict=shape.verdict,
        severity=Severity.INFO,
        confidence=agreed(*shape.weight),
        onset_s=float(window.ended_s[0]),
        summary=f"{job.job} loses {percent(shape.cost)} of its time to uneven work; {shape.text}",
        evidence=(Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=shape.text, source="steps"),),
        ruled_out=(
            RuledOut(cause="a slow rank", reason="no rank is over its peers for long: who is last changes, "
                     "or all ranks of a stage are alike"),
        ),
        why=Why(
            rule="a stage that is over the others in nearly all steps is structure; within a stage a last "
            "rank that changes from step to step is workload, or stalls where few steps hold most of it",
            source="what-if analysis of stragglers (ByteDance, OSDI 2025), and its signs of sequence lengths",
            inputs={"cost": shape.cost, "step_s": float(np.median(window.step_s)), **shape.inputs},
            thresholds={"cost": LEAST_COST, "stage_ratio": STAGE_RATIO, "most_often_last": ROTATING_SHARE},
        ),
        gpus_held=job.ranks.size * shape.cost,
    )  # fmt: skip
