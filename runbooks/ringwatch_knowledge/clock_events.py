"""Names and meaning of the bits of NVML's clocks event reasons. Judges nothing about a fleet.

Bits and wording follow ``nvml.h`` (NVML API 13; https://docs.nvidia.com/deploy/nvml-api/) and the
constants of nvidia-ml-py; what counts as bad follows the mask of Azure's node health checks
(https://github.com/Azure/azurehpc-health-checks, ``azure_gpu_clock_throttling.nhc``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ringwatch_knowledge import data_files


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEvent:
    """One reason for clocks below the maximum.

    ``standing`` is ``benign``, ``intended`` (benign if someone set it on purpose), ``load`` (normal
    under load), ``bad`` or ``critical``.
    """

    bit: int
    name: str
    title: str
    standing: str
    advice: str


EVENTS: Final[tuple[ClockEvent, ...]] = tuple(
    ClockEvent(**row) for row in data_files.read("clock_events.json")["events"]
)

THERMAL_MASK: Final = 0x20 | 0x40
POWER_MASK: Final = 0x80
LOCKED_MASK: Final = 0x2
BAD_MASK: Final = 0x8 | 0x20 | 0x40 | 0x80
_KNOWN_MASK: Final = sum(event.bit for event in EVENTS)


def reasons(mask: int) -> tuple[ClockEvent, ...]:
    """Return the known reasons set in ``mask``, lowest bit first."""
    return tuple(event for event in EVENTS if mask & event.bit)


def names(mask: int) -> tuple[str, ...]:
    """Return the name of every bit set in ``mask``; an unknown bit is its hexadecimal value."""
    known = [event.name for event in reasons(mask)]
    rest = mask & ~_KNOWN_MASK
    unknown = [hex(1 << bit) for bit in range(rest.bit_length()) if rest >> bit & 1]
    return (*known, *unknown)
