"""Themes, and how each mark of meaning looks in them. Four hues: red, orange, blue, magenta; no green.

Healthy has no colour. Mono uses bold, dim and reverse only, for NO_COLOR and for paper-like terminals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.style import Style
from textual.theme import Theme

from ringwatch_tui.palettes import COLOURS, DEFAULT, MONO, THEMES, Colours
from ringwatch_tui.views.lines import CELL, DIM, DRILL, FAULT, HEAD, INFO, PLAIN, STRONG, TROUBLE, WARN

SELECTED: Final = "selected"


NAMES: Final = THEMES


def _looks(colours: Colours) -> dict[str, Style]:
    return {
        PLAIN: Style(color=colours.text),
        DIM: Style(color=colours.dim),
        STRONG: Style(color=colours.strong, bold=True),
        HEAD: Style(color=colours.dim, bold=True),
        FAULT: Style(color=colours.background, bgcolor=colours.fault, bold=True),
        TROUBLE: Style(color=colours.fault, bold=True),
        CELL: Style(color=colours.cell),
        WARN: Style(color=colours.warn, bold=True),
        INFO: Style(color=colours.info),
        DRILL: Style(color=colours.drill, bold=True),
        SELECTED: Style(bgcolor=colours.selection),
    }


_MONO_LOOKS: Final[dict[str, Style]] = {
    PLAIN: Style(),
    DIM: Style(dim=True),
    STRONG: Style(bold=True),
    HEAD: Style(dim=True, bold=True),
    FAULT: Style(bold=True, reverse=True),
    TROUBLE: Style(bold=True),
    CELL: Style(dim=True),
    WARN: Style(bold=True),
    INFO: Style(),
    DRILL: Style(bold=True),
    SELECTED: Style(reverse=True),
}
_ALL_LOOKS: Final[dict[str, Mapping[str, Style]]] = {
    **{name: _looks(colours) for name, colours in COLOURS.items()},
    MONO: _MONO_LOOKS,
}


def looks(theme: str, *, frozen: bool = False) -> Mapping[str, Style]:
    """Return how each mark looks; frozen data are dim whatever they meant."""
    found = _ALL_LOOKS.get(theme, _ALL_LOOKS[DEFAULT])
    if not frozen:
        return found
    return {**dict.fromkeys(found, found[DIM]), SELECTED: found[SELECTED]}


def _theme(name: str, colours: Colours) -> Theme:
    return Theme(
        name=name,
        primary=colours.info,
        secondary=colours.dim,
        warning=colours.warn,
        error=colours.fault,
        success=colours.text,
        accent=colours.info,
        foreground=colours.text,
        background=colours.background,
        surface=colours.background,
        panel=colours.raised,
        dark=colours.dark,
        variables={
            "edge": colours.edge,
            "edge-focus": colours.info,
            "quiet": colours.dim,
            "raised": colours.raised,
            "drill": colours.drill,
            "scrollbar": colours.edge,
            "scrollbar-background": colours.background,
            "scrollbar-corner-color": colours.background,
            "scrollbar-hover": colours.dim,
            "scrollbar-background-hover": colours.background,
            "scrollbar-background-active": colours.background,
        },
    )


_VARIABLES: Final = ("edge", "edge-focus", "quiet", "raised", "drill", "scrollbar", "scrollbar-background")
# What Textual asks of a theme that leaves colours to the terminal.
_ANSI: Final = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "border-blurred": "ansi_default",
    "block-cursor-foreground": "ansi_default",
    "block-cursor-background": "ansi_default",
    "block-cursor-text-style": "reverse",
    "input-cursor-background": "ansi_default",
    "input-cursor-foreground": "ansi_default",
    "input-cursor-text-style": "reverse",
    "input-selection-background": "ansi_default",
    "input-selection-foreground": "ansi_default",
    "screen-selection-background": "ansi_default",
    "screen-selection-foreground": "ansi_default",
}
_SCROLLBAR: Final = ("corner-color", "hover", "background-hover", "background-active")


def _mono() -> Theme:
    none = "ansi_default"
    names = (*_VARIABLES, *(f"scrollbar-{name}" for name in _SCROLLBAR))
    return Theme(
        name=MONO,
        ansi=True,
        primary=none,
        secondary=none,
        warning=none,
        error=none,
        success=none,
        accent=none,
        foreground=none,
        background=none,
        surface=none,
        panel=none,
        boost=none,
        variables={**_ANSI, **dict.fromkeys(names, none)},
    )


def themes() -> tuple[Theme, ...]:
    """Return the themes to register."""
    return (*(_theme(name, colours) for name, colours in COLOURS.items()), _mono())


def after(theme: str) -> str:
    """Return the theme that follows this one."""
    return NAMES[(NAMES.index(theme) + 1) % len(NAMES)] if theme in NAMES else DEFAULT
