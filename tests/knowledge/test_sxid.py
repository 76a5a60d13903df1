"""Tests of the SXid catalogue."""

import pytest

from ringwatch_knowledge import sxid


def test_every_code_has_a_class_and_sources() -> None:
    """Each row says how fatal it usually is, and who says so."""
    for code in sxid.codes():
        meaning = sxid.lookup(code)
        assert meaning.known
        assert meaning.fatality in {"non_fatal", "potentially_fatal", "fatal", "always_fatal", "unknown"}
        assert meaning.severity in (1, 2, 3)
        assert meaning.sources


@pytest.mark.parametrize("code", [0, 1, 99999])
def test_an_unknown_code_is_unknown(code: int) -> None:
    """Nothing is made up about a code that the catalogue lacks."""
    meaning = sxid.lookup(code)

    assert not meaning.known
    assert meaning.fault_class == "unknown"
    assert meaning.severity == 2


def test_the_word_of_the_line_beats_the_table() -> None:
    """The switch itself says Fatal or Non-fatal; the table only knows the usual class."""
    assert sxid.lookup(22013).severity == 1
    assert sxid.lookup(22013, "Fatal").severity == 3
    assert sxid.lookup(22013, "Fatal").fault_class == "nvswitch.fatal"
    assert sxid.lookup(20034, "Non-fatal").severity <= 2
    assert sxid.lookup(20034, "Non-fatal").fault_class == "nvswitch.nonfatal"


def test_the_catalogue_says_its_month() -> None:
    """Data ages: the month is part of it."""
    assert sxid.as_of() >= "2026-01"
