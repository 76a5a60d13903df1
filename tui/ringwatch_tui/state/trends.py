"""Trends of a node over hours, from the answers of history: each device beside the others of its node."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from ringwatch_tui.state.format import age
from ringwatch_tui.state.model import History, Trend

# How far back trends go, in seconds; 0 stands for the minutes that come with a node.
SPANS: Final = (0.0, 900.0, 3600.0, 21600.0, 86400.0)
# Fewer others than this are no measure of what is normal.
_LEAST_PEERS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanTrends:
    """Trends over a span, and where they come from."""

    trends: tuple[Trend, ...] = ()
    # Who answered: memory, victoriametrics, or both.
    who: str = ""
    source: str = ""
    note: str = ""


def span_word(span_s: float) -> str:
    """Return what a span is called: ``15 min``, ``6 h``."""
    return f"{span_s / 3600:.0f} h" if span_s >= 3600 else f"{span_s / 60:.0f} min"


def next_span(span_s: float) -> float:
    """Return the span after this one; the last is followed by the live minutes."""
    return SPANS[(SPANS.index(span_s) + 1) % len(SPANS)] if span_s in SPANS else SPANS[0]


def trends_over(found: Sequence[History], troubles: Sequence[str]) -> SpanTrends:
    """Return the trends of these series; gaps stay gaps, and who answered is said."""
    trends = tuple(trend for history in found for trend in _trends(history))
    sources = dict.fromkeys(
        f"{each.source}, a point every {age(each.step_s)} of readings {age(each.resolution_s)} apart"
        for each in found
    )
    notes = dict.fromkeys([*(each.note for each in found if each.note), *troubles])
    who = ", ".join(dict.fromkeys(each.source for each in found))
    return SpanTrends(trends=trends, who=who, source="; ".join(sources), note="; ".join(notes))


def _trends(history: History) -> list[Trend]:
    lines = history.lines
    return [
        Trend(
            signal=history.series,
            unit=history.unit,
            device=line.device,
            values=line.values,
            peers=_middle([other.values for other in lines if other is not line]),
        )
        for line in lines
    ]


def _middle(others: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the median of the others at each step; NaN where fewer than two have a reading."""
    if len(others) < _LEAST_PEERS:
        return ()
    return tuple(_median(at) for at in zip(*others, strict=False))


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return median(known) if len(known) >= _LEAST_PEERS else math.nan
