"""One GPU: every reading with its age, its trends beside its peers, and what happened to it."""

from __future__ import annotations

from dataclasses import replace

from ringwatch_tui.state.format import STALE_AFTER_S, age, fresh
from ringwatch_tui.state.model import GpuReading, NodeDetail, Reading
from ringwatch_tui.state.trends import SpanTrends
from ringwatch_tui.views.heat import gpu_state
from ringwatch_tui.views.lines import (
    DIM,
    STRONG,
    WARN,
    Column,
    Line,
    Row,
    Section,
    Span,
    Table,
    line,
    table_lines,
)
from ringwatch_tui.views.marks import state_of
from ringwatch_tui.views.node import event_lines
from ringwatch_tui.views.trends import trends_section

_READINGS = (
    Column(key="signal", title="SIGNAL", cells=30, flex=1),
    Column(key="value", title="VALUE", cells=14, align="right"),
    Column(key="age", title="READ", cells=6, align="right", priority=1),
)


def found_in(detail: NodeDetail, name: str) -> GpuReading | None:
    """Return the GPU of a node by name, stable id or place; None when there is none."""
    gpus = detail.summary.gpus
    named = next((each for each in gpus if name in (each.name, each.id)), None)
    if named is None and name.isdecimal() and int(name) < len(gpus):
        return gpus[int(name)]
    return named


def headline(detail: NodeDetail, gpu: GpuReading) -> Line:
    """Return the GPU in one line."""
    state = gpu_state(gpu)
    job = f"  {gpu.job} rank {gpu.rank}" if gpu.job and gpu.rank >= 0 else f"  {gpu.job}" if gpu.job else ""
    old = gpu.reading_age_s > STALE_AFTER_S
    return line(
        Span(f"{detail.summary.name} {gpu.name}", STRONG),
        "  ",
        Span(state.upper(), state_of(state)[1]),
        Span(f"  read {age(gpu.reading_age_s)} ago", WARN if old else DIM),
        Span(job),
        Span(f"  {gpu.id}", DIM),
    )


def sections(
    detail: NodeDetail, gpu: GpuReading, span_s: float = 0.0, over: SpanTrends | None = None
) -> tuple[Section, ...]:
    """Return readings, trends and events of the GPU."""
    own = replace(
        detail,
        trends=tuple(each for each in detail.trends if each.device in (gpu.id, gpu.name)),
        events=tuple(each for each in detail.events if each.device in (gpu.id, gpu.name)),
    )
    readings = [each for each in detail.readings if each.device in (gpu.id, gpu.name)]
    return (
        Section(key="readings", title="Readings", build=lambda cells: _readings(readings, cells)),
        trends_section(own, span_s, over, frozenset({gpu.id, gpu.name})),
        Section(key="events", title="Events", build=lambda cells: event_lines(own, cells)),
    )


def _readings(readings: list[Reading], cells: int) -> list[Line]:
    rows = tuple(
        Row(
            id=each.signal,
            values={
                "signal": Span(each.signal.partition(".")[2]),
                "value": Span(fresh(each.value, each.age_s, _digits(each.value), each.unit)),
                "age": Span(age(each.age_s), WARN if each.age_s > STALE_AFTER_S else DIM),
            },
        )
        for each in readings
    )
    empty = [line(Span("No reading of this GPU.", DIM))]
    return table_lines(Table(columns=_READINGS, rows=rows, empty=lambda _cells: empty), cells)


def _digits(value: float) -> int:
    return 0 if value == round(value) or abs(value) >= 100 else 2
