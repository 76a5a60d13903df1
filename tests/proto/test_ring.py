"""The ring's text form of rank lists, and its geometry."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch_proto import ring


@given(st.sets(st.integers(min_value=0, max_value=20_000), max_size=200))
def test_ranks_come_back_as_they_were_written(ranks: set[int]) -> None:
    """Any set of ranks survives the text form."""
    ordered = sorted(ranks)

    assert ring.parse_ranks(ring.format_ranks(ordered)) == ordered


def test_ranges_are_compact() -> None:
    """A whole world is one range."""
    assert ring.format_ranks(list(range(16384))) == "0-16383"


@pytest.mark.parametrize("text", ["x", "1-", "1-2-3", "-1", "1,,x"])
def test_anything_else_is_refused(text: str) -> None:
    """Text that ``format_ranks`` cannot have written raises ValueError."""
    with pytest.raises(ValueError, match=r"invalid literal|ranks"):
        ring.parse_ranks(text)


def test_a_hostile_range_is_refused_before_it_is_made() -> None:
    """A range of billions costs nothing."""
    with pytest.raises(ValueError, match="more than 1000 ranks"):
        ring.parse_ranks("0-99999999999", limit=1000)


def test_a_record_is_one_cache_line() -> None:
    """Header and records keep 64-byte steps."""
    assert ring.RECORD.size == 64
    assert ring.HEADER_BYTES % 64 == 0


@pytest.mark.parametrize(
    ("tokens", "work"), [(4096.0, 1.5e9), (4096.0, float("nan")), (float("nan"), 2.0**40)]
)
def test_the_amounts_of_a_step_come_back(tokens: float, work: float) -> None:
    """Two float32 lie in the word that a collective keeps its bytes in."""
    assert ring.amounts_of(ring.pack_amounts(tokens, work)) == pytest.approx((tokens, work), nan_ok=True)


def test_a_step_without_amounts_told_none() -> None:
    """A writer that knows of no amounts leaves 0 there: absent, not zero tokens."""
    assert all(math.isnan(value) for value in ring.amounts_of(0))
