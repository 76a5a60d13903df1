"""Counters to rates."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ringwatch_agent.sources.rates import Rates


def test_growth_is_a_rate_over_the_interval() -> None:
    """From the second value on."""
    rates = Rates()
    assert math.isnan(rates.per_s("a", 100, 10.0))
    assert rates.per_s("a", 160, 12.0) == 30.0


def test_an_absent_counter_starts_anew() -> None:
    """A gap is not a long interval."""
    rates = Rates()
    rates.per_s("a", 100, 1.0)
    assert math.isnan(rates.per_s("a", None, 2.0))
    assert math.isnan(rates.per_s("a", 200, 3.0))


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.floats(0, 1e9)), max_size=20))
def test_no_sequence_of_counts_and_times_gives_a_negative_rate(seen: list[tuple[int, float]]) -> None:
    """Wraps, resets and clocks that stand still are NaN."""
    rates = Rates()
    for count, at_s in seen:
        rate = rates.per_s("a", count, at_s)
        assert math.isnan(rate) or rate >= 0
