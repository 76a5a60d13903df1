"""The table of detectors that run, in the order in which they are shown. Decides nothing."""

from __future__ import annotations

from typing import Final

from ringwatch_collector.detectors.base import Detector
from ringwatch_collector.detectors.straggler_compute import ComputeStraggler

ALL: Final[tuple[Detector, ...]] = (ComputeStraggler(),)
