"""Published rules on the same runs: whom each accuses, and when. Each gets what its source says it reads.

They see own work, waits and transfers of every rank and step (``Series``), without the lateness of a
wire. Where a
rule needs something active (Greyhound's GEMM validation) its outcome is granted: own work over the
peers' stands in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One run as the rules see it: (T, R) own work and waits, (T,) job step and end, stage of each rank."""

    own_s: Array
    wait_s: Array
    step_s: Array
    ended_s: Array
    stage_of: NDArray[np.int64]
    node_of: NDArray[np.int64]


Accused = dict[int, int]  # rank -> index of the step at whose end it was accused first
# Rows before this are start-up for every rule.
_WARM: Final = 5


def _ratio(seen: Seen) -> Array:
    """Return (T, R) own work over the median of the same stage."""
    out = np.empty_like(seen.own_s)
    for stage in np.unique(seen.stage_of):
        mine = seen.stage_of == stage
        out[:, mine] = seen.own_s[:, mine] / np.maximum(
            np.median(seen.own_s[:, mine], axis=1, keepdims=True), 1e-9
        )
    return out


def _first(flags: NDArray[np.bool_], offset: int) -> Accused:
    """Return the first row in which each rank is flagged."""
    hit = flags.any(axis=0)
    return {int(rank): int(np.argmax(flags[:, rank])) + offset for rank in np.flatnonzero(hit)}


def plain_threshold(seen: Seen) -> Accused:
    """Own work over 1.1 times the stage's median in one step."""
    return _first(_ratio(seen)[_WARM:] > 1.1, _WARM)


def nvrx(seen: Seen) -> Accused:
    """NVIDIA Resiliency Extension: least median over own median below 0.75, reported every 16 steps.

    Source: nvidia-resiliency-ext, straggler detection, relative score with its default threshold.
    """
    found: Accused = {}
    for end in range(_WARM + 16, seen.own_s.shape[0] + 1, 16):
        median = np.median(seen.own_s[end - 16 : end], axis=0)
        for stage in np.unique(seen.stage_of):
            mine = np.flatnonzero(seen.stage_of == stage)
            for rank in mine[median[mine].min() / np.maximum(median[mine], 1e-9) < 0.75].tolist():
                found.setdefault(rank, end - 1)
    return found


def dlrover(seen: Seen) -> Accused:
    """DLRover: more than twice the median, over the last 16 steps instead of its probe before the job."""
    found: Accused = {}
    for end in range(_WARM + 16, seen.own_s.shape[0] + 1):
        median = np.median(seen.own_s[end - 16 : end], axis=0)
        for stage in np.unique(seen.stage_of):
            mine = np.flatnonzero(seen.stage_of == stage)
            for rank in mine[median[mine] > 2.0 * np.median(median[mine])].tolist():
                found.setdefault(rank, end - 1)
    return found


def minder(seen: Seen) -> Accused:
    """Minder (NSDI 2025) without auto-encoder: summed distances of node windows, one node for 4 minutes.

    Metrics are own work and waits a node, min-max normalised, windows of 8; accuses all ranks of the node.
    """
    nodes = np.unique(seen.node_of)
    if nodes.size < 3:
        return {}
    metrics = [
        np.stack([m[:, seen.node_of == n].mean(axis=1) for n in nodes], axis=1)
        for m in (seen.own_s, seen.wait_s)
    ]
    found: Accused = {}
    for metric in metrics:
        low, high = metric.min(axis=1, keepdims=True), metric.max(axis=1, keepdims=True)
        scaled = (metric - low) / np.maximum(high - low, 1e-12)
        since, candidate = 0, -1
        for end in range(_WARM + 8, scaled.shape[0] + 1):
            window = np.median(
                np.lib.stride_tricks.sliding_window_view(scaled[end - 8 : end], 3, axis=0), axis=-1
            )
            total = np.sqrt(((window[:, :, None] - window[:, None, :]) ** 2).sum(axis=0)).sum(axis=1)
            best = int(np.argmax(total))
            score = (total[best] - total.mean()) / max(float(total.std()), 1e-12)
            if score < 2.0 or best != candidate:
                since, candidate = end - 1, best if score >= 2.0 else -1
            elif seen.ended_s[end - 1] - seen.ended_s[since] >= 240.0:
                for rank in np.flatnonzero(seen.node_of == nodes[best]).tolist():
                    found.setdefault(int(rank), end - 1)
    return found


def greyhound(seen: Seen) -> Accused:
    """Greyhound (ATC 2025): a change of the job's step, 10 % over 10 steps, then who is 1.1 times slower."""
    found: Accused = {}
    ratio = _ratio(seen)
    for end in range(_WARM + 30, seen.step_s.size + 1):
        before, after = seen.step_s[_WARM : end - 10], seen.step_s[end - 10 : end]
        typical = float(np.median(before))
        spread = 1.4826 * float(np.median(np.abs(before - typical)))
        kept = before[np.abs(before - typical) <= 3.0 * max(spread, 1e-9)]
        left, right = float(kept.mean()), float(after.mean())
        if abs(right - left) / max(left, right) <= 0.10 or right <= left:
            continue
        for rank in np.flatnonzero(np.median(ratio[end - 10 : end], axis=0) >= 1.1).tolist():
            found.setdefault(int(rank), end - 1)
    return found


BASELINES: Final[dict[str, Callable[[Seen], Accused]]] = {
    "nvrx_relative": nvrx,
    "dlrover_2x_median": dlrover,
    "plain_1.1x": plain_threshold,
    "minder_no_vae": minder,
    "greyhound_cp_verify": greyhound,
}
