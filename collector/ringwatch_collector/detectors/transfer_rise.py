"""Groups whose transfers take longer than they did while healthy. Says neither who nor which link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.persistent import blocks_of
from ringwatch_collector.detectors.robust import CUSUM_H_LEAST, Array, block_means, column_noise, cusum
from ringwatch_collector.detectors.waits import transfers_of
from ringwatch_collector.detectors.window import Window

RECENT_S: Final = 5.0
LEAST_RATIO: Final = 1.3
SIGMA_FLOOR: Final = 0.05
LEAST_BLOCKS: Final = 4
GLANCE_RATIO, GLANCE_STEPS = 1.15, 8
# A collective that fewer steps than this show whole says nothing of its group.
KNOWN_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """Transfers of one communicator that stay above their reference."""

    communicator: str
    slots: tuple[int, ...]
    ratio: float
    now_s: float
    usual_s: float
    onset_s: float
    total: float


def rises_of(window: Window) -> list[Rise]:
    """Return the groups whose transfer stays above the reference, by effect, persistence and CUSUM."""
    usual = np.asarray(window.job.reference_transfer_s, np.float64)[: len(window.job.slots)]
    suspects = _suspects(window, usual)
    if not suspects:
        return []
    transfers = transfers_of(window, slice(0, window.rows.size), suspects)
    told = np.isfinite(transfers).mean(axis=0) > KNOWN_SHARE
    groups = [(name, [at for at in slots if usual[at] > 0 and told[at]]) for name, slots in _groups(window)]
    return _rises(window, transfers, usual, [(name, slots) for name, slots in groups if slots])


def _suspects(window: Window, usual: Array) -> set[int]:
    """Return the slots of groups that are slower in the newest steps: a first look, quick and generous."""
    newest = transfers_of(window, window.recent(RECENT_S / 2, GLANCE_STEPS))
    now_s = np.sort(newest, axis=0)[newest.shape[0] // 2]
    found: set[int] = set()
    for _, slots in _groups(window):
        known = [at for at in slots if np.isfinite(now_s[at]) and usual[at] > 0]
        if known and now_s[known].sum() >= GLANCE_RATIO * usual[known].sum():
            found.update(slots)
    return found


def _groups(window: Window) -> Iterator[tuple[str, list[int]]]:
    """Yield (name, slots) of each group; groups of one name and other ranks are apart."""
    groups: dict[tuple[str, bytes], list[int]] = {}
    for at, slot in enumerate(window.job.slots):
        groups.setdefault((slot.communicator, np.asarray(slot.members).tobytes()), []).append(at)
    for (name, _), slots in groups.items():
        yield name, slots


def _rises(window: Window, transfers: Array, usual: Array, groups: list[tuple[str, list[int]]]) -> list[Rise]:
    """Test all groups at once; a group's step in which a member did not tell is no news."""
    starts = blocks_of(window.ended_s)
    if starts.size < LEAST_BLOCKS or not groups:
        return []
    usual_s = np.array([usual[slots].sum() for _, slots in groups])
    total_s = np.stack([transfers[:, slots].sum(axis=1) for _, slots in groups], axis=1)
    seen = np.isfinite(total_s)
    counts = np.maximum(block_means(seen.astype(np.float64), starts), 1e-9)
    mean_s = block_means(np.where(seen, total_s, 0.0), starts) / counts
    log_ratio = np.where(mean_s > 0, np.log(np.maximum(mean_s, 1e-9) / usual_s), 0.0)
    # One change of level does not move the noise of the differences: no share of the fault is noise.
    sums, began = cusum(log_ratio / column_noise(log_ratio, SIGMA_FLOOR))
    ended_s = block_means(window.ended_s, starts)
    recent = max(LEAST_BLOCKS // 2, int(np.count_nonzero(ended_s >= ended_s[-1] - RECENT_S)))
    ratio = np.exp(np.median(log_ratio[-recent:], axis=0))
    return [
        Rise(
            communicator=groups[at][0],
            slots=tuple(groups[at][1]),
            ratio=float(ratio[at]),
            now_s=float(ratio[at] * usual_s[at]),
            usual_s=float(usual_s[at]),
            onset_s=float(ended_s[max(0, min(int(began[at]), ended_s.size) - 1)]),
            total=float(sums[at]),
        )
        for at in np.flatnonzero((sums > CUSUM_H_LEAST) & (ratio >= LEAST_RATIO)).tolist()
    ]
