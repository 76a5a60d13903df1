"""What is asked of history: which series, of whom, when. It checks a request and answers none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringwatch_proto.signals import BY_NAME, Signal
from ringwatch_proto.v1 import query_pb2

# Series of jobs, which have no signal: name -> (metric, unit).
JOB_SERIES: Final[dict[str, tuple[str, str]]] = {
    "job.step_s": ("ringwatch_job_step_seconds", "s"),
    "job.reference_step_s": ("ringwatch_job_reference_step_seconds", "s"),
    "job.ranks": ("ringwatch_job_ranks", "1"),
}
_LONGEST_S: Final = 400 * 86400.0
MOST_LINES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request that makes sense. ``signal`` is None for a series of a job."""

    series: str
    metric: str
    unit: str
    signal: Signal | None
    node: str
    device: str
    job: str
    from_s: float
    to_s: float
    step_s: float


def ask_of(request: query_pb2.HistoryRequest, now_s: float) -> Ask:
    """Return what is asked; raise ValueError, with a sentence, for what cannot be answered."""
    signal = BY_NAME.get(request.series)
    if signal is None and request.series not in JOB_SERIES:
        raise ValueError(f"there is no series {request.series[:60]!r}")
    if signal is not None and not request.node:
        raise ValueError(f"{request.series} is asked of one node: name it")
    if signal is None and not request.job:
        raise ValueError(f"{request.series} is asked of one job: name it")
    to_s = min(request.to_ns / 1e9 or now_s, now_s)
    from_s = request.from_ns / 1e9
    if not 0 < to_s - from_s <= _LONGEST_S:
        raise ValueError(
            "the window has to begin before it ends, not in the future, and last at most 400 days"
        )
    if not 0 <= request.step_s <= _LONGEST_S:
        raise ValueError("step_s has to be 0 or more")
    metric, unit = (signal.metric, signal.unit) if signal is not None else JOB_SERIES[request.series]
    return Ask(
        series=request.series,
        metric=metric,
        unit=unit,
        signal=signal,
        node=request.node,
        device=request.device,
        job=request.job,
        from_s=from_s,
        to_s=to_s,
        step_s=request.step_s,
    )
