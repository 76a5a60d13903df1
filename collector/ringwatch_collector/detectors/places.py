"""Names of ranks, nodes and GPUs for findings, and how times and shares are worded. Judges nothing."""

from __future__ import annotations

import math

from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.records import Subject


def node_name(view: FleetView, index: int) -> str:
    """Return the name of a node, empty when it is not known."""
    return view.nodes.names[index] if 0 <= index < len(view.nodes.names) else ""


def rank_subject(view: FleetView, job: JobView, column: int) -> Subject:
    """Return a rank with its node and GPU."""
    return Subject(
        kind="rank",
        node=node_name(view, int(job.node_of[column])),
        device=job.gpu_of[column],
        job=job.job,
        rank=int(job.ranks[column]),
    )


def nobody_in(job: JobView) -> Subject:
    """Return the culprit of what is nobody's fault, or of what cannot be placed."""
    return Subject(kind="none", job=job.job)


def seconds(value: float) -> str:
    """Return a duration in words: ``182 ms``, ``3.4 s``; a missing one is ``unknown``."""
    if not math.isfinite(value):
        return "unknown"
    return f"{value * 1000:.0f} ms" if abs(value) < 1.0 else f"{value:.1f} s"


def percent(share: float) -> str:
    """Return a share in words: ``42 %``."""
    return "unknown" if not math.isfinite(share) else f"{share * 100:.0f} %"


def bits_per_s(value: float) -> str:
    """Return a rate in words: ``191 Mbit/s``, ``17.2 Gbit/s``."""
    if not math.isfinite(value):
        return "unknown"
    return f"{value / 1e9:.1f} Gbit/s" if value >= 1e9 else f"{value / 1e6:.0f} Mbit/s"


def gpus_held(ranks: int, usual_s: float, now_s: float) -> float:
    """Return how many of the job's GPUs the longer step keeps from working."""
    if not (math.isfinite(usual_s) and math.isfinite(now_s)) or now_s <= usual_s:
        return 0.0
    return ranks * (1.0 - usual_s / now_s)
