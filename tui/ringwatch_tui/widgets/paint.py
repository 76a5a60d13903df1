"""Turns lines of marked text into strips of the terminal, cleaned: everything shown passes through here."""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from ringwatch_tui import themes
from ringwatch_tui.state.text import clean, pad
from ringwatch_tui.views.lines import Line, fit
from ringwatch_tui.views.marks import to_ascii

FROZEN_CLASS = "-frozen"
ASCII_CLASS = "-ascii"


def looks_of(widget: Widget) -> Mapping[str, Style]:
    """Return how marks look on this widget now."""
    return themes.looks(widget.app.theme, frozen=widget.screen.has_class(FROZEN_CLASS))


def base_style(widget: Widget) -> Style:
    """Return the style under everything that the widget draws."""
    return widget.visual_style.rich_style


def strip_of(widget: Widget, content: Line, cells: int, *, under: Style | None = None) -> Strip:
    """Return a line as a strip of exactly so many cells; ``under`` is laid beneath every span."""
    looks = looks_of(widget)
    base = base_style(widget) + (under or Style.null())
    ascii_only = widget.screen.has_class(ASCII_CLASS)
    reverse = bool(under and under.reverse)
    segments = []
    for span in fit(content, cells):
        text = to_ascii(clean(span.text)) if ascii_only else clean(span.text)
        style = looks.get(span.mark, Style.null())
        # A selected row keeps its own ground: a mark that is reversed too would cancel out.
        style = Style(bold=style.bold) if reverse else style
        segments.append(Segment(text, base + style + (_ground(under) if under else Style.null())))
    return Strip(segments).adjust_cell_length(cells, base)


def _ground(under: Style) -> Style:
    """Return only what lies beneath of a style, so that letters keep their colour on it."""
    return Style(reverse=under.reverse) if under.reverse else Style.null()


def set_frame(widget: Widget, title: str | None, hint: str | None = None) -> None:
    """Name a widget's frame. The names are text that came from elsewhere, never markup."""
    ascii_only = widget.screen.has_class(ASCII_CLASS)
    for name, text in (("border_title", title), ("border_subtitle", hint)):
        if text:
            content = Content(to_ascii(clean(text)) if ascii_only else clean(text))
            if getattr(widget, name) != content.markup:
                setattr(widget, name, content)


def marker(selected: bool) -> str:
    """Return what stands before a row."""
    return pad(">" if selected else "", 1)
