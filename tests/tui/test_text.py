"""Text that came from elsewhere is made safe and fitted to cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringwatch_tui.state.text import REPLACEMENT, clean, clip, pad, width, wrap

HOSTILE = {
    "escape": "n1\x1b[2J\x1b]52;c;cm0gLXJm\x07",
    "c1 control": "n1\x9b31m",
    "line break": "n1\nFAKE CRIT",
    "carriage return": "n1\rok",
    "bidi override": "n1\u202egnp.exe",
    "zero width": "n\u200b1",
    "line separator": "n1\u2028x",
    "lone surrogate": "n1\ud800",
    "private use": "n1\ue000",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_terminal_could_act_on_becomes_a_visible_mark(name: str) -> None:
    """Nothing that moves, colours, hides or reorders text survives."""
    cleaned = clean(HOSTILE[name])

    assert cleaned.isprintable()
    assert REPLACEMENT in cleaned


def test_other_languages_stay_as_they_are() -> None:
    """Names are not only ASCII."""
    assert clean("训练-节点 é") == "训练-节点 é"


def test_a_pile_of_combining_marks_is_cut() -> None:
    """Marks stacked on one letter would draw over the neighbouring lines."""
    assert len(clean("e" + "\u0301" * 50)) == 3


def test_wide_characters_count_two_cells() -> None:
    """A column of Chinese names lines up with a column of Latin ones."""
    assert width("训练") == 4
    assert width(pad("训练", 7)) == 7
    assert pad("ab", 4, "right") == "  ab"


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    """A cut name is seen to be cut."""
    assert clip("abcdef", 4) == "abc…"
    assert width(clip("训练训练", 4)) <= 4
    assert clip("abc", 0) == ""


@given(st.text(max_size=80), st.integers(min_value=0, max_value=40))
def test_any_text_fits_the_cells_it_is_given(text: str, cells: int) -> None:
    """Whatever comes, a cell never pushes its neighbours."""
    assert width(pad(text, cells)) == cells
    assert width(clip(text, cells)) <= cells


@given(st.text(max_size=200), st.integers(min_value=2, max_value=40))
def test_wrapping_loses_no_letter(text: str, cells: int) -> None:
    """Every word is still there, and no line is too long."""
    lines = wrap(text, cells)

    assert all(width(line) <= cells for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean(text).split())
