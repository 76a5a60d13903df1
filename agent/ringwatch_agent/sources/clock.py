"""The ``clock`` source: whether something keeps the clock, and how far off the kernel holds it to be.

Asks the kernel with ``adjtimex(2)``, changing nothing. Under chrony and PTP the kernel's own offset is near
zero, since they steer by frequency; the error bound then says how good the clock is.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.conditions import Condition
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_proto.errors import SourceError
from ringwatch_proto.records import Severity

# struct timex of linux/timex.h as far as the status: modes, offset, freq, maxerror, esterror, status.
_TIMEX: Final = struct.Struct("@Illlli")
_TIMEX_BYTES: Final = 512
_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_TIME_ERROR: Final = 5
# The unit of freq is 2**-16 parts in a million.
_FREQUENCY_UNIT: Final = 65536.0
# The bound of the kernel stops here: then it says only that nothing has kept the clock.
_BOUND_STOPS_S: Final = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelClock:
    """What the kernel says of its clock."""

    synchronised: bool
    offset_s: float
    error_bound_s: float
    frequency_ppm: float


def ask_kernel() -> KernelClock:
    """Return what ``adjtimex`` says. Raise OSError where it is refused."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return parse(state, buffer.raw)


def parse(state: int, timex: bytes) -> KernelClock:
    """Return what a ``struct timex`` and the state that came with it say."""
    _, offset, frequency, largest_us, _, status = _TIMEX.unpack_from(timex)
    return KernelClock(
        synchronised=state != _TIME_ERROR and not status & _STA_UNSYNC,
        offset_s=offset * (1e-9 if status & _STA_NANO else 1e-6),
        error_bound_s=min(largest_us * 1e-6, _BOUND_STOPS_S),
        frequency_ppm=frequency / _FREQUENCY_UNIT,
    )


class ClockSource(HostPart):
    """Asks every ten seconds."""

    def __init__(self, *, ask: Callable[[], KernelClock] = ask_kernel, period_s: float = 10.0) -> None:
        super().__init__("clock", "clock_age_s", period_s)
        self._ask = ask
        self._was_kept = False

    def read(self) -> Reading:
        """Return the state of the clock; tell when nothing keeps it any more."""
        try:
            clock = self._ask()
        except OSError as error:
            raise SourceError(f"adjtimex: {error.strerror}") from error
        self._was_kept = self._was_kept or clock.synchronised
        values = {
            "clock_synchronised": float(clock.synchronised),
            "clock_offset_s": clock.offset_s,
            "clock_error_bound_s": clock.error_bound_s,
            "clock_frequency_ppm": clock.frequency_ppm,
        }
        return self.publish(values, holding=[] if clock.synchronised else [self._condition()])

    def _condition(self) -> Condition:
        # A machine on which nothing ever kept the clock is set up so; one that lost its clock has a fault.
        lost = "nothing keeps the clock any more: times of this node drift away from the others'"
        never = "nothing keeps the clock: the kernel says that it is not synchronised"
        return Condition(
            name="clock_unsynchronised",
            where="clock",
            severity=Severity.WARNING if self._was_kept else Severity.INFO,
            text=lost if self._was_kept else never,
        )
