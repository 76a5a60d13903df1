"""Groups whose transfers take longer than they did while healthy. Says neither who nor which link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ringwatch_collector.detectors.persistent import blocks_of
from ringwatch_collector.detectors.robust import CUSUM_H_LEAST, Array, block_means, cusum, step_noise
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
    found = []
    for name, slots in _groups(window):
        known = [at for at in slots if usual[at] > 0 and np.isfinite(transfers[:, at]).mean() > KNOWN_SHARE]
        if known:
            rise = _rise(window, name, transfers[:, known].sum(axis=1), float(usual[known].sum()))
            found += [replace(rise, slots=tuple(known))] if rise is not None else []
    return found


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


def _rise(window: Window, name: str, transfer_s: Array, usual_s: float) -> Rise | None:
    known = np.flatnonzero(np.isfinite(transfer_s))
    starts = blocks_of(window.ended_s[known]) if known.size else known
    if starts.size < LEAST_BLOCKS:
        return None
    log_ratio = np.log(np.maximum(block_means(transfer_s[known], starts), 1e-9) / usual_s)
    # One change of level does not move the noise of the differences: no share of the fault is noise.
    sigma = step_noise(log_ratio, SIGMA_FLOOR)
    sums, began = cusum((log_ratio / sigma)[:, None])
    ended_s = block_means(window.ended_s[known], starts)
    ratio = float(np.exp(np.median(log_ratio[ended_s >= ended_s[-1] - RECENT_S])))
    if sums[0] <= CUSUM_H_LEAST or ratio < LEAST_RATIO:
        return None
    return Rise(
        communicator=name,
        slots=(),
        ratio=ratio,
        now_s=ratio * usual_s,
        usual_s=usual_s,
        onset_s=float(ended_s[max(0, min(int(began[0]), ended_s.size) - 1)]),
        total=float(sums[0]),
    )
