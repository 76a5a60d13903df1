"""Every theme can be read, and none of them tells red from green."""

import colorsys

import pytest

from ringwatch_tui.palettes import COLOURS, THEMES, Colours

_WORDS = ("text", "strong", "dim", "fault", "warn", "info", "drill")
_HUES = ("fault", "warn", "info", "drill")


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _luminance(colour: str) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_there_are_eight() -> None:
    """Seven with colours and one without."""
    assert len(THEMES) == 8
    assert len(set(THEMES)) == 8


@pytest.mark.parametrize("colours", COLOURS.values(), ids=COLOURS)
def test_every_word_can_be_read(colours: Colours) -> None:
    """WCAG's AA for words on background and raised bars, and its 3:1 for the blocks of the map."""
    for name in _WORDS:
        assert _contrast(getattr(colours, name), colours.background) >= 4.5, name
        assert _contrast(getattr(colours, name), colours.selection) >= 3.0, name
    assert _contrast(colours.dim, colours.raised) >= 4.3
    assert _contrast(colours.cell, colours.background) >= 3.0


@pytest.mark.parametrize("name", ["ringwatch-contrast", "ringwatch-paper"])
def test_high_contrast_is_high(name: str) -> None:
    """WCAG's AAA for every word."""
    colours = COLOURS[name]
    assert min(_contrast(getattr(colours, word), colours.background) for word in _WORDS) >= 7.0


@pytest.mark.parametrize("colours", COLOURS.values(), ids=COLOURS)
def test_no_meaning_is_green(colours: Colours) -> None:
    """Red beside green is one colour to one man in twelve."""
    for name in _HUES:
        hue, _, saturation = colorsys.rgb_to_hls(*_rgb(getattr(colours, name)))
        assert not (0.22 < hue < 0.47 and saturation > 0.2), name
