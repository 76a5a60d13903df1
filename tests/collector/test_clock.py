"""The collector's clock: slewed for small errors, stepped and counted for large ones."""

from __future__ import annotations

from ringwatch_collector.clock import Clock


class Hands:
    """A wall clock and a monotonic one that a test moves."""

    def __init__(self) -> None:
        self.wall_s = 1_000_000.0
        self.monotonic_s = 50.0

    def pass_(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall_s += seconds
        self.monotonic_s += seconds

    def clock(self) -> Clock:
        """Return a clock on these hands."""
        return Clock(lambda: self.wall_s, lambda: self.monotonic_s)


def test_a_small_step_of_the_wall_clock_is_slewed() -> None:
    """No node becomes silent because of it."""
    hands = Hands()
    clock = hands.clock()
    hands.wall_s += 10.0
    hands.pass_(1.0)
    assert abs(clock.now_s() - 1_000_001.001) < 1e-6
    for _ in range(20_000):
        hands.pass_(1.0)
        clock.now_s()
    assert abs(clock.now_s() - hands.wall_s) < 1e-6
    assert clock.steps == 0


def test_a_large_step_is_taken_at_once_and_counted() -> None:
    """A clock that is an hour off is worth less than a step."""
    hands = Hands()
    clock = hands.clock()
    hands.wall_s -= 3600.0
    hands.pass_(1.0)
    assert clock.now_s() == hands.wall_s
    assert clock.steps == 1
