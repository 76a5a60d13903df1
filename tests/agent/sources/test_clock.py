"""The kernel's word about its clock."""

from __future__ import annotations

import struct

import pytest

from ringwatch_agent.sources.clock import ClockSource, KernelClock, ask_kernel, parse
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError
from ringwatch_proto.records import Severity

KEPT = KernelClock(synchronised=True, offset_s=1e-5, error_bound_s=0.01, frequency_ppm=-12.5)
LOST = KernelClock(synchronised=False, offset_s=0.0, error_bound_s=16.0, frequency_ppm=-12.5)


def timex(*, offset: int = 0, status: int = 0) -> bytes:
    """Pack the begin of a struct timex."""
    return struct.pack("@Illlli", 0, offset, 131072, 2500, 7, status)


def test_the_offset_has_the_unit_that_the_status_says() -> None:
    """Microseconds, or nanoseconds with STA_NANO; the frequency is in 2**-16 ppm."""
    assert parse(0, timex(offset=-1500)).offset_s == pytest.approx(-0.0015)
    clock = parse(0, timex(offset=-1500, status=0x2001))
    assert clock.offset_s == pytest.approx(-1.5e-6)
    assert clock.frequency_ppm == 2
    assert clock.error_bound_s == pytest.approx(0.0025)
    assert clock.synchronised


@pytest.mark.parametrize(("state", "status"), [(5, 0), (0, 0x40)])
def test_a_clock_that_nothing_keeps_says_so(state: int, status: int) -> None:
    """By its state or its status."""
    assert not parse(state, timex(status=status)).synchronised


def test_a_clock_that_is_lost_is_a_warning_and_one_that_was_never_kept_is_none() -> None:
    """How a machine is set up is no fault; a daemon that died is one."""
    seen = [LOST]
    clock = ClockSource(ask=lambda: seen[0])
    (never,) = clock.read().events
    assert never.severity == Severity.INFO
    seen[0] = KEPT
    assert [event.kind for event in clock.read().events] == [events.HOST_CLEARED]
    seen[0] = LOST
    (lost,) = clock.read().events
    assert (lost.severity, lost.fields["condition"]) == (Severity.WARNING, "clock_unsynchronised")
    assert clock.latest is not None
    assert clock.latest.values["clock_synchronised"] == 0


def test_a_sandbox_that_refuses_the_call_is_a_failed_read() -> None:
    """Not a clock that is lost."""

    def refuse() -> KernelClock:
        raise PermissionError(1, "Operation not permitted")

    with pytest.raises(SourceError, match="adjtimex"):
        ClockSource(ask=refuse).read()


def test_this_kernel_answers() -> None:
    """The real call, with a struct of the right layout."""
    clock = ask_kernel()
    assert abs(clock.frequency_ppm) <= 500
    assert 0 <= clock.error_bound_s <= 16
