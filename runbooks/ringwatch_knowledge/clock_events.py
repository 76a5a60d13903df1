"""Names and meaning of the bits of NVML's clocks event reasons. Judges nothing about a fleet.

Bits and wording follow ``nvml.h`` (NVML API 13; https://docs.nvidia.com/deploy/nvml-api/) and the
constants of nvidia-ml-py; what counts as bad follows the mask of Azure's node health checks
(https://github.com/Azure/azurehpc-health-checks, ``azure_gpu_clock_throttling.nhc``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


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


EVENTS: Final[tuple[ClockEvent, ...]] = (
    ClockEvent(bit=0x1, name="gpu_idle", title="nothing runs", standing="benign", advice=""),
    ClockEvent(
        bit=0x2,
        name="applications_clocks_setting",
        title="clocks were set or locked",
        standing="intended",
        advice="compare with its siblings; take the lock back if nobody wants it",
    ),
    ClockEvent(
        bit=0x4,
        name="sw_power_cap",
        title="the driver holds power at its limit",
        standing="load",
        advice="normal when busy; look at the power limit when clocks are well under its siblings'",
    ),
    ClockEvent(
        bit=0x8,
        name="hw_slowdown",
        title="hardware cut clocks by half or more",
        standing="bad",
        advice="0x40 and 0x80 say which; with neither, the power supply",
    ),
    ClockEvent(
        bit=0x10,
        name="sync_boost",
        title="held to the slowest of its sync-boost group",
        standing="intended",
        advice="find the slow member",
    ),
    ClockEvent(
        bit=0x20,
        name="sw_thermal_slowdown",
        title="the driver lowers clocks for heat",
        standing="bad",
        advice="core and memory temperature, inlet air, fans or pumps",
    ),
    ClockEvent(
        bit=0x40,
        name="hw_thermal_slowdown",
        title="hardware halves clocks for heat",
        standing="critical",
        advice="a cooling fault: drain when it lasts over a minute",
    ),
    ClockEvent(
        bit=0x80,
        name="hw_power_brake_slowdown",
        title="an outside signal asks for less power",
        standing="critical",
        advice="power supply, rack power cap or BMC; usually all GPUs of the node together",
    ),
    ClockEvent(
        bit=0x100,
        name="display_clock_setting",
        title="limited by display clocks",
        standing="benign",
        advice="",
    ),
    ClockEvent(
        bit=0x200,
        name="board_limit",
        title="board limit",
        standing="bad",
        advice="treat as power, when it persists",
    ),
    ClockEvent(
        bit=0x400,
        name="reliability",
        title="reliability voltage limit",
        standing="benign",
        advice="normal at top boost",
    ),
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
