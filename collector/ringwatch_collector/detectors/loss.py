"""Loss that is no number any more, or jumps: training that goes on for nothing. Reads no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, HINT, READING, agreed
from ringwatch_collector.detectors.places import nobody_in, rank_subject
from ringwatch_collector.detectors.robust import Array, median
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.layout import StepFlag
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why

RECENT_STEPS: Final = 64
# Steps older than this many tell nothing about now; the newest may lack ranks.
STALE_S: Final = 120.0
# One step may be skipped by a gradient scaler; two are none.
LEAST_STEPS: Final = 2
# ByteRobust (SOSP 2025) takes a loss of five times what it was for a fault. Three steps: single batches jump.
SPIKE_RATIO: Final = 5.0
SPIKE_STEPS: Final = 3
LEAST_HISTORY: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Jump:
    """What the loss did: since which row, on which column first (-1 for many), and in words."""

    cause: str
    row: int
    column: int
    severity: Severity
    weight: tuple[float, ...]
    text: str
    inputs: dict[str, float]


class Loss:
    """Looks at the loss that the job tells of its newest steps."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "job.loss"

    def look(self, view: FleetView) -> list[Finding]:
        """Return at most one finding a job; nothing for a job that tells no loss."""
        findings = []
        for job in view.jobs:
            jump = _jump(view, job) if job.loss is not None and job.step_s.shape[0] >= LEAST_STEPS else None
            if jump is not None:
                findings.append(_finding(view, job, jump))
        return findings


def _jump(view: FleetView, job: JobView) -> _Jump | None:
    flags = np.asarray(job.flags)[-RECENT_STEPS:]
    loss = np.asarray(job.loss, np.float64)[-RECENT_STEPS:]
    ended_s = np.asarray(job.ended_s)[-RECENT_STEPS:]
    told = np.flatnonzero(np.isfinite(loss).any(axis=1) | (flags & StepFlag.LOSS_NOT_FINITE != 0).any(axis=1))
    if told.size < LEAST_STEPS or view.now_s - float(np.nanmax(ended_s[told[-1]], initial=0.0)) > STALE_S:
        return None
    offset = max(0, np.asarray(job.flags).shape[0] - RECENT_STEPS)
    return _not_finite(flags, told, offset) or _spike(loss, told, offset)


def _not_finite(flags: np.ndarray, told: np.ndarray, offset: int) -> _Jump | None:
    """Return the loss that is no number in the newest steps, with the rank that had it first and alone."""
    bad = flags[told] & StepFlag.LOSS_NOT_FINITE != 0
    steps = bad.any(axis=1)
    run = int(np.argmin(steps[::-1])) if not steps.all() else steps.size
    if run < LEAST_STEPS:
        return None
    first = bad[-run]
    alone = np.count_nonzero(first) == 1 and first.size >= 4 and not steps.all()
    return _Jump(
        cause="loss_not_finite_first" if alone else "loss_not_finite",
        row=offset + int(told[-run]),
        column=int(np.argmax(first)) if alone else -1,
        severity=Severity.CRITICAL,
        weight=(DIRECT, HINT) if alone else (DIRECT,),
        text=f"the loss is no number for {run} steps, on {np.count_nonzero(bad[-1])} of {first.size} ranks"
        + ("; in the first of them on one rank only" if alone else ""),
        inputs={"steps": float(run), "ranks_first": float(np.count_nonzero(first))},
    )


def _spike(loss: Array, told: np.ndarray, offset: int) -> _Jump | None:
    """Return a loss that is many times what it was for several steps."""
    usable = told[np.isfinite(loss[told]).any(axis=1)]
    if usable.size < LEAST_HISTORY + SPIKE_STEPS:
        return None
    told_all = bool(np.isfinite(loss[usable]).all())
    middle = median(loss[usable], 1) if told_all else np.nanmedian(loss[usable], axis=1)
    usual = float(np.median(middle[:-SPIKE_STEPS]))
    newest = middle[-SPIKE_STEPS:]
    if usual <= 0 or not (newest >= SPIKE_RATIO * usual).all():
        return None
    high = middle >= SPIKE_RATIO * usual
    run = int(np.argmin(high[::-1]))
    return _Jump(
        cause="loss_spike",
        row=offset + int(usable[-run]),
        column=-1,
        severity=Severity.WARNING,
        weight=(READING,),
        text=f"the loss is {float(np.median(newest)):.3g} for {run} steps, usually {usual:.3g}",
        inputs={"loss": float(np.median(newest)), "usual_loss": usual, "steps": float(run)},
    )


def _finding(view: FleetView, job: JobView, jump: _Jump) -> Finding:
    culprit = rank_subject(view, job, jump.column) if jump.column >= 0 else nobody_in(job)
    onset_s = float(np.nanmin(np.asarray(job.ended_s)[jump.row], initial=np.inf))
    unsure = ["whether the data, the learning rate or a part that computes wrongly did it"]
    if jump.column >= 0:
        unsure.append("whether that rank computes wrongly: its batch may hold what breaks any rank")
    return Finding(
        kind=IncidentKind.JOB_SLOW,
        detector="job.loss",
        culprit=culprit,
        cause=jump.cause,
        verdict=Verdict.CANNOT_TELL,
        severity=jump.severity,
        confidence=agreed(*jump.weight),
        onset_s=onset_s if np.isfinite(onset_s) else view.now_s,
        summary=f"{job.job}: {jump.text}",
        evidence=(Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=jump.text, source="steps"),),
        unsure=tuple(unsure),
        why=Why(
            rule="the loss is no number in consecutive steps, or many times its median for several",
            source="the jump that ByteRobust (SOSP 2025) acts on: NaN, or five times",
            inputs=jump.inputs,
            thresholds={
                "steps_not_finite": float(LEAST_STEPS),
                "ratio": SPIKE_RATIO,
                "steps": float(SPIKE_STEPS),
            },
        ),
        gpus_held=float(job.ranks.size) if jump.severity is Severity.CRITICAL else 0.0,
        victims=(Subject(kind="job", job=job.job),),
    )
