"""The offset of a node's clock, from when its batches come."""

from __future__ import annotations

from ringwatch_collector.fleet.clocks import NodeClock

NOW = 1_000_000.0


def _feed(clock: NodeClock, offset_s: float, seconds: range, latency_s: float = 0.01) -> None:
    for second in seconds:
        clock.take(NOW + second + latency_s, NOW + second + offset_s, float(second))


def test_latency_is_not_taken_for_an_offset() -> None:
    """Half a second of delay says nothing about the clock."""
    clock = NodeClock()
    _feed(clock, 0.0, range(20), latency_s=0.5)
    assert clock.correction_s == 0.0


def test_a_clock_that_is_ahead_is_corrected_with_the_first_batch() -> None:
    """Nothing comes before it was sent."""
    clock = NodeClock()
    _feed(clock, 30.0, range(1))
    assert abs(clock.offset_s - 30.0) < 0.1


def test_a_clock_that_is_behind_is_corrected_once_batches_come_live() -> None:
    """Three batches at their own pace are enough."""
    clock = NodeClock()
    _feed(clock, -30.0, range(5))
    assert abs(clock.offset_s + 30.0) < 0.1


def test_a_spool_that_catches_up_is_not_taken_for_a_clock_that_is_behind() -> None:
    """Old batches come faster than they were made."""
    clock = NodeClock()
    for second in range(100):
        clock.take(NOW + 100 + second * 0.01, NOW + second, float(second))
    assert clock.correction_s == 0.0


def test_a_clock_that_was_set_right_is_believed_again() -> None:
    """A jump of the node's wall clock against its monotonic one starts the estimate anew."""
    clock = NodeClock()
    _feed(clock, -30.0, range(10))
    _feed(clock, 0.0, range(10, 20))
    assert clock.jumps == 1
    assert clock.correction_s == 0.0
