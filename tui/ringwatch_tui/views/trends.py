"""What is said about trends: of the last minutes, or over hours from wherever the collector has them."""

from __future__ import annotations

import math
from dataclasses import replace

from ringwatch_tui.state.format import number
from ringwatch_tui.state.model import NodeDetail, Trend
from ringwatch_tui.state.text import pad
from ringwatch_tui.state.trends import SpanTrends, span_word
from ringwatch_tui.views.lines import DIM, HEAD, WARN, Line, Section, Span, line, paragraph
from ringwatch_tui.views.marks import spark


def trends_section(
    detail: NodeDetail,
    span_s: float = 0.0,
    over: SpanTrends | None = None,
    devices: frozenset[str] | None = None,
) -> Section:
    """Return the trends of a node, or of some of its devices; ``over`` is what history answered so far."""
    if not span_s:
        return Section(
            key="trends",
            title="Trends",
            hint="t further back",
            build=lambda cells: trend_lines(detail, cells),
        )
    return Section(
        key="trends",
        title=f"Trends, last {span_word(span_s)}" + (f", from {over.who}" if over and over.who else ""),
        hint="t other span",
        build=lambda cells: _span_lines(detail, over, devices, cells),
    )


def _span_lines(
    detail: NodeDetail, over: SpanTrends | None, devices: frozenset[str] | None, cells: int
) -> list[Line]:
    if over is None:
        return [line(Span("Asking for it ...", DIM))]
    kept = tuple(each for each in over.trends if devices is None or each.device in devices)
    out = trend_lines(replace(detail, trends=kept), cells, empty="No reading of that time.")
    said = f"from {over.source}; a blank is no reading" if over.source else ""
    out.extend(paragraph(said, cells, DIM) if said else [])
    out.extend(paragraph(over.note, cells, WARN) if over.note else [])
    return out


def trend_lines(
    detail: NodeDetail, cells: int, *, empty: str = "No reading of the last minutes."
) -> list[Line]:
    """Return recent values of each signal beside its peers' median, what departs most from it first."""
    names = {gpu.id: gpu.name for gpu in detail.summary.gpus}
    shown = [trend for trend in detail.trends if any(math.isfinite(value) for value in trend.values)]
    shown.sort(key=lambda trend: -_departure(trend))
    if not shown:
        return [line(Span(empty, DIM))]
    return [_trend_line(trend, names.get(trend.device, trend.device), cells) for trend in shown]


def _departure(trend: Trend) -> float:
    """Return how far the newest value is from the peers', as a share of theirs; 0 without peers."""
    if not trend.peers or not (math.isfinite(trend.peers[-1]) and math.isfinite(trend.values[-1])):
        return 0.0
    return abs(trend.values[-1] - trend.peers[-1]) / max(abs(trend.peers[-1]), 1e-9)


def _trend_line(trend: Trend, device: str, cells: int) -> Line:
    signal = trend.signal.partition(".")[2].removesuffix("_percent").removesuffix("_celsius")
    newest = number(trend.values[-1], 0, trend.unit)
    peers = f" (peers {number(trend.peers[-1])})" if trend.peers else ""
    away = _departure(trend) >= 0.05
    name_cells = min(26, cells // 3)
    room = max(4, cells - name_cells - 27)
    return line(
        Span(pad(f"{device} {signal}".strip(), name_cells), HEAD),
        Span(spark(trend.values, room, squeeze=True), WARN if away else ""),
        Span(f" {newest}", WARN if away else ""),
        Span(peers, DIM),
    )
