"""Values of many GPUs at once: a fleet of 100,000 is looked at by columns, never GPU by GPU.

It computes nothing but whether a reading is too old to be called current.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ringwatch_tui.state.format import STALE_AFTER_S

if TYPE_CHECKING:
    from ringwatch_tui.state.model import GpuReading, Gpus


class GpuColumns(Sequence["GpuReading"]):
    """The GPUs of a node, which can also be read by column without an object for each."""

    @abstractmethod
    def states(self) -> Sequence[str]:
        """Return the state of each GPU, ``silent`` for one whose reading is too old."""

    @abstractmethod
    def column(self, key: str) -> Sequence[float]:
        """Return one reading of each GPU; NaN for absent."""


def current(state: str, reading_age_s: float) -> str:
    """Return the state of a GPU; a reading too old to be called current is no data."""
    return "silent" if state == "ok" and reading_age_s > STALE_AFTER_S else state


def states(gpus: Gpus) -> Sequence[str]:
    """Return the state of each GPU, whichever way they are kept."""
    if isinstance(gpus, tuple):
        return [current(gpu.state, gpu.reading_age_s) for gpu in gpus]
    return gpus.states()


def column(gpus: Gpus, key: str) -> Sequence[float]:
    """Return one reading of each GPU, whichever way they are kept."""
    return [getattr(gpu, key) for gpu in gpus] if isinstance(gpus, tuple) else gpus.column(key)
