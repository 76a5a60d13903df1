"""Right or wrong on public traces, whose truth is published: AR one slow worker, SE and ST nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.trace_runs import TraceRan
from ringwatch_proto.records import Incident, Verdict

# The truth that came with the traces: worker to name, or the verdicts of which one is due.
_WORKER: Final = {"AR": 0}
_DUE: Final = {
    "SE": frozenset({Verdict.WORKLOAD, Verdict.STRUCTURAL}),
    "ST": frozenset({Verdict.STRUCTURAL}),
}
# A slowdown that moves the job by less than this harms nobody; its runs are counted apart.
_LEAST_IMPACT: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceResult:
    """How a trace was answered; ``right`` is None where nothing was to be said."""

    name: str
    right: bool | None
    top1: bool | None
    false_pages: int
    delay_steps: float | None
    said: str


def score_trace(ran: TraceRan) -> TraceResult:
    """Return how a trace was answered."""
    paged = _by_time(ran)
    worker = ran.splice.worker if ran.splice is not None else _WORKER.get(ran.trace, -1)
    onset_s = ran.ended_s[ran.splice.at - 1] if ran.splice is not None else 0.0
    mine = [at_s for at_s, each in paged if each.culprit.rank == worker and at_s > onset_s]
    false = [each for at_s, each in paged if each.culprit.rank != worker or at_s <= onset_s]
    said = {each.verdict.value for each in ran.last if each.verdict in (Verdict.WORKLOAD, Verdict.STRUCTURAL)}
    ended = np.asarray(ran.ended_s)
    delay = float(np.count_nonzero((ended > onset_s) & (ended <= mine[0]))) if mine and ran.splice else None
    return TraceResult(
        name=_name(ran), right=_right(ran, bool(mine), worker, said), delay_steps=delay,
        top1=None if worker < 0 or not paged else paged[0][1].culprit.rank == worker,
        false_pages=len(false), said=" ".join(sorted(said)),
    )  # fmt: skip


def _by_time(ran: TraceRan) -> list[tuple[float, Incident]]:
    paged = [(ran.paged_s[each.id], each) for each in ran.last if each.id in ran.paged_s]
    return sorted(paged, key=lambda pair: pair[0])


def _right(ran: TraceRan, named: bool, worker: int, said: set[str]) -> bool | None:
    if ran.splice is not None and ran.impact < _LEAST_IMPACT:
        return None
    if worker >= 0:
        return named
    return not ran.paged_s and bool({Verdict(each) for each in said} & _DUE[ran.trace])


def _name(ran: TraceRan) -> str:
    if ran.splice is None:
        return f"{ran.trace} as it is"
    felt = "" if ran.impact >= _LEAST_IMPACT else " not felt"
    return f"{ran.trace} spliced {ran.splice.size:.0%}{felt}"
