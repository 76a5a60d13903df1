"""What a confidence means: independent readings that agree, each with the chance that it misleads.

A finding holds if any of its readings is right, so the chances to mislead multiply: two readings of
0.6 that agree make 0.84. The weights are judgements, in steps that say no more than they know.
"""

from __future__ import annotations

from math import prod
from typing import Final

HINT: Final = 0.3  # fits, and fits much else
READING: Final = 0.6  # a statistic that passed its gates
DIRECT: Final = 0.9  # the kernel or the driver says so itself


def agreed(*weights: float) -> float:
    """Return the confidence of readings that agree, at most 0.99: nothing here is certain."""
    return min(0.99, 1.0 - prod(1.0 - weight for weight in weights))
