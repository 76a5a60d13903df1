"""What a job looked like while it was healthy: frozen medians to compare with. It blames nobody."""

from __future__ import annotations

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
    least = np.fmin.reduce(durations, axis=2) if durations.shape[2] else durations[:, :, 0]
    steps = np.count_nonzero(usable)
    return Reference(
        steps=int(steps),
        step_s=float(_median(_median(step_s[usable], 1)[None, :], 1)[0]) if steps else float("nan"),
        compute_s=_median(compute_s[usable], 0),
        data_s=_median(data_s[usable], 0),
        transfer_s=_median(least, 0),
        wait_s=_median(durations - least[:, :, None], 0),
    )


def _median(values: Floats, axis: int) -> Floats:
    """Return medians of the values that are there, NaN where none is; by sorting, which numpy does fast."""
    ordered = np.sort(np.ascontiguousarray(np.moveaxis(values, axis, -1)), axis=-1)
    told = ordered.shape[-1] - np.count_nonzero(np.isnan(ordered), axis=-1)
    low, high = np.maximum(told - 1, 0) // 2, np.minimum(told // 2, ordered.shape[-1] - 1)
    middle = [np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (low, high)]
    return np.asarray(np.float32(0.5) * (middle[0] + middle[1]), np.float32)


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
