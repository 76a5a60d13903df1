"""What a job looked like while it was healthy: frozen medians to compare with. It blames nobody."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringwatch_collector.view import Flags, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Medians over healthy steps; NaN where nothing was seen. See ``view.JobView``."""

    steps: int
    step_s: float
    compute_s: Floats
    data_s: Floats
    transfer_s: Floats
    wait_s: Floats

    def fitted(self, ranks: int, slots: int) -> Reference:
        """Return the reference for that many ranks and slots, NaN for those it does not know."""
        return Reference(
            steps=self.steps,
            step_s=self.step_s,
            compute_s=_fit(self.compute_s, (ranks,)),
            data_s=_fit(self.data_s, (ranks,)),
            transfer_s=_fit(self.transfer_s, (slots,)),
            wait_s=_fit(self.wait_s, (slots, ranks)),
        )

    def permuted(self, order: NDArray[np.int64]) -> Reference:
        """Return the reference with its ranks in another order."""
        fitted = self.fitted(order.size, self.transfer_s.size)
        return Reference(
            steps=self.steps,
            step_s=self.step_s,
            compute_s=fitted.compute_s[order],
            data_s=fitted.data_s[order],
            transfer_s=self.transfer_s,
            wait_s=fitted.wait_s[:, order],
        )


def nothing() -> Reference:
    """Return the reference of a job of which nothing is known yet."""
    empty = np.zeros(0, np.float32)
    return Reference(
        steps=0,
        step_s=float("nan"),
        compute_s=empty,
        data_s=empty,
        transfer_s=empty,
        wait_s=np.zeros((0, 0), np.float32),
    )


def learn(
    usable: Flags,
    *,
    step_s: Floats,
    compute_s: Floats,
    data_s: Floats,
    duration_s: Floats,
    members: Flags,
) -> Reference:
    """Return medians over the ``usable`` rows of a step window; ``members`` is (K, R)."""
    durations = np.where(members[None, :, :], duration_s[usable], np.float32(np.nan))
    with warnings.catch_warnings():
        # A column without any value gives NaN, which is what it should give.
        warnings.simplefilter("ignore", RuntimeWarning)
        least = np.nanmin(durations, axis=2)
        waits = durations - least[:, :, None]
        return Reference(
            steps=int(np.count_nonzero(usable)),
            step_s=float(np.nanmedian(step_s[usable])),
            compute_s=np.nanmedian(compute_s[usable], axis=0),
            data_s=np.nanmedian(data_s[usable], axis=0),
            transfer_s=np.nanmedian(least, axis=0),
            wait_s=np.nanmedian(waits, axis=0),
        )


def blend(old: Reference, new: Reference, share: float) -> Reference:
    """Return ``old`` moved by ``share`` of the way to ``new``; what only one knows is taken as is."""
    old = old.fitted(new.compute_s.size, new.transfer_s.size)
    return Reference(
        steps=old.steps + new.steps,
        step_s=float(_towards(np.float32(old.step_s), np.float32(new.step_s), share)),
        compute_s=_towards(old.compute_s, new.compute_s, share),
        data_s=_towards(old.data_s, new.data_s, share),
        transfer_s=_towards(old.transfer_s, new.transfer_s, share),
        wait_s=_towards(old.wait_s, new.wait_s, share),
    )


def _towards(old: Floats | np.float32, new: Floats | np.float32, share: float) -> Floats:
    moved = old + np.float32(share) * (new - old)
    return np.where(np.isnan(old), new, np.where(np.isnan(new), old, moved)).astype(np.float32)


def _fit(array: Floats, shape: tuple[int, ...]) -> Floats:
    if array.shape == shape:
        return array
    fitted = np.full(shape, np.nan, np.float32)
    cut = tuple(slice(0, min(have, want)) for have, want in zip(array.shape, shape, strict=True))
    fitted[cut] = array[cut]
    return fitted
