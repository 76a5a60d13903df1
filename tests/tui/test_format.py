"""Numbers, ages and times in words."""

import math

import pytest

from ringwatch_tui.state.format import age, clock, duration, fresh, iso, mmss, number, percent, versus


def test_absent_is_a_dash_and_never_zero() -> None:
    """A missing reading must not look like a reading of nothing."""
    assert number(math.nan) == number(None) == duration(math.nan) == age(math.inf) == percent(math.nan) == "-"
    assert clock(None) == "-"
    assert iso(None) is None


def test_a_stale_value_is_a_question_mark() -> None:
    """The last good value is never shown as current."""
    assert fresh(97.0, 31.0, 0, "%") == "?"
    assert fresh(97.0, 0.4, 0, "%") == "97 %"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.42, "0.4 s"), (12.4, "12 s"), (200, "03:20"), (7500, "2h05"), (532_800, "6d04h"), (-3, "0.0 s")],
)
def test_ages_fit_six_cells(seconds: float, shown: str) -> None:
    """An age column does not jump."""
    assert age(seconds) == shown
    assert len(shown) <= 6


def test_an_incomplete_share_is_never_rounded_up_to_all() -> None:
    """99.96 % of the input is not all of it."""
    assert percent(0.9996, 1) == "99.9 %"
    assert percent(1.0, 1) == "100.0 %"


def test_times_beyond_the_calendar_do_not_raise() -> None:
    """A node with a broken clock still has a row."""
    assert clock(1e30) == "-"
    assert clock(1_764_079_351.0) == "14:02:31"


def test_durations_keep_two_or_three_digits() -> None:
    """A step of milliseconds and one of minutes are both readable."""
    assert [duration(value) for value in (120.0, 4.12, 0.553, 0.0042, 0.0)] == [
        "120 s",
        "4.12 s",
        "553 ms",
        "4.2 ms",
        "0",
    ]
    assert mmss(42) == "00:42"
    assert versus(4.12, 2.9) == "+42 %"
    assert versus(4.12, math.nan) == "-"
