"""What is said about nodes: the list, and one node with its GPUs, sources and events."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ringwatch_tui.state.columns import column, states
from ringwatch_tui.state.format import STALE_AFTER_S, age, clock, fresh, number
from ringwatch_tui.state.model import GpuReading, Node, NodeDetail
from ringwatch_tui.state.query import Term, matches
from ringwatch_tui.state.text import pad, wrap
from ringwatch_tui.state.trends import SpanTrends
from ringwatch_tui.views.heat import METRICS, gpu_cell, gpu_state, node_state, node_strip
from ringwatch_tui.views.lines import (
    DIM,
    FAULT,
    INFO,
    PLAIN,
    STRONG,
    TROUBLE,
    WARN,
    Build,
    Column,
    LazyRows,
    Line,
    Row,
    Section,
    Span,
    Table,
    line,
    paragraph,
    table_lines,
)
from ringwatch_tui.views.marks import state_of, state_span
from ringwatch_tui.views.trends import trends_section

_COLUMNS = (
    Column(key="node", title="NODE", cells=12, flex=1),
    Column(key="state", title="STATE", cells=11),
    Column(key="gpus", title="GPUS", cells=8),
    Column(key="util", title="UTIL", cells=5, align="right", priority=4),
    Column(key="temp", title="TEMP", cells=5, align="right", priority=5),
    Column(key="power", title="POWER", cells=8, align="right", priority=6),
    Column(key="job", title="JOB", cells=12, priority=3),
    Column(key="seen", title="SEEN", cells=6, align="right", priority=2),
    Column(key="site", title="SITE", cells=8, priority=7),
    Column(key="note", title="NOTE", cells=22, flex=3, priority=1),
)


def node_table(
    nodes: Sequence[Node], *, terms: tuple[Term, ...] = (), empty: Build = lambda _cells: ()
) -> Table:
    """Return the nodes, the worst first, then by name."""
    kept = [node for node in nodes if not terms or matches(terms, _fields(node))]
    kept.sort(key=lambda node: (-_badness(node), node.name))
    rows = LazyRows([node.name for node in kept], lambda place: _row(kept[place]))
    return Table(columns=_COLUMNS, rows=rows, empty=empty)


def _badness(node: Node) -> int:
    return max(state_of(state)[2] for state in {node_state(node), *states(node.gpus)})


def _mean(node: Node, key: str, digits: int, unit: str, *, total: bool = False) -> str:
    if node_state(node) == "silent":
        return "?"
    values = [value for value in column(node.gpus, key) if math.isfinite(value)]
    if not values:
        return "-"
    return number(sum(values) if total else sum(values) / len(values), digits, unit)


def _row(node: Node) -> Row:
    state = node_state(node)
    site = next((node.labels[label] for label in ("su", "rack", "pod") if label in node.labels), "-")
    note = _note(node)
    return Row(
        id=node.name,
        values={
            "node": Span(node.name, STRONG if state_of(state)[2] else PLAIN),
            "state": state_span(state),
            "gpus": node_strip(node) or Span("-", DIM),
            "util": Span(_mean(node, "utilization_percent", 0, "%")),
            "temp": Span(_mean(node, "temperature_celsius", 0, "C")),
            "power": Span(_mean(node, "power_watts", 0, "W", total=True)),
            "job": Span(node.job or "-"),
            "seen": Span(age(node.last_seen_age_s), WARN if node.last_seen_age_s > STALE_AFTER_S else DIM),
            "site": Span(site),
            "note": Span(note, DIM),
        },
        fields=_fields(node),
    )


def _note(node: Node) -> str:
    return node.note or ("agent silent" if node_state(node) == "silent" else "")


def _fields(node: Node) -> dict[str, str]:
    site = {key: value for key, value in node.labels.items() if key not in ("node", "state", "job")}
    own = {"node": node.name, "state": node_state(node), "job": node.job, "note": _note(node)}
    return {**own, **site}


def headline(node: Node) -> Line:
    """Return the node in one line."""
    state = node_state(node)
    offset = node.clock_offset_s
    skew = f"  clock {offset:+.1f} s" if math.isfinite(offset) and abs(offset) >= 1 else ""
    labels = " ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    return line(
        Span(node.name, STRONG),
        "  ",
        Span(state.upper(), state_of(state)[1]),
        Span(f"  seen {age(node.last_seen_age_s)} ago", DIM),
        Span(skew, WARN),
        Span("  SIMULATED" if node.simulated else "", INFO),
        Span(f"  {node.note}" if node.note else ""),
        Span(f"  {labels}" if labels else "", DIM),
    )


_GPUS = (
    Column(key="gpu", title="GPU", cells=6),
    Column(key="state", title="STATE", cells=8),
    Column(key="util", title="UTIL", cells=6, align="right"),
    Column(key="clock", title="SM CLOCK", cells=9, align="right", priority=2),
    Column(key="temp", title="TEMP", cells=5, align="right", priority=1),
    Column(key="power", title="POWER", cells=7, align="right", priority=3),
    Column(key="age", title="READ", cells=6, align="right", priority=5),
    Column(key="job", title="JOB RANK", cells=14, flex=1, priority=4),
    Column(key="id", title="ID", cells=14, flex=1, priority=6),
)


def gpu_table(node: Node) -> Table:
    """Return the GPUs of a node in slot order."""
    return Table(
        columns=_GPUS,
        rows=tuple(_gpu_row(node, gpu) for gpu in node.gpus),
        empty=lambda _cells: [line(Span("This node reports no GPU.", DIM))],
    )


def _gpu_row(node: Node, gpu: GpuReading) -> Row:
    state = gpu_state(gpu)
    cell = gpu_cell(node, gpu, METRICS[0])
    old = max(gpu.reading_age_s, node.last_seen_age_s if node_state(node) == "silent" else 0.0)
    job = f"{gpu.job} {gpu.rank}" if gpu.job and gpu.rank >= 0 else gpu.job
    return Row(
        id=gpu.id,
        values={
            "gpu": Span(gpu.name, STRONG if cell.rank else PLAIN),
            "state": state_span("silent" if cell.glyph == "?" else state),
            "util": Span(fresh(gpu.utilization_percent, old, 0, "%")),
            "clock": Span(fresh(gpu.sm_clock_mhz, old, 0, "MHz")),
            "temp": Span(fresh(gpu.temperature_celsius, old, 0, "C")),
            "power": Span(fresh(gpu.power_watts, old, 0, "W")),
            "age": Span(age(gpu.reading_age_s), WARN if gpu.reading_age_s > STALE_AFTER_S else DIM),
            "job": Span(job or "-"),
            "id": Span(gpu.id, DIM),
        },
        fields={"gpu": gpu.name, "state": state, "job": gpu.job},
    )


def sections(detail: NodeDetail, span_s: float = 0.0, over: SpanTrends | None = None) -> tuple[Section, ...]:
    """Return the node: GPUs, trends over a span, what happened, and which sources can be read."""
    return (
        Section(key="gpus", title="GPUs", build=lambda cells: table_lines(gpu_table(detail.summary), cells)),
        trends_section(detail, span_s, over),
        Section(key="sources", title="Sources", build=lambda cells: source_lines(detail, cells)),
        Section(key="events", title="Events", build=lambda cells: event_lines(detail, cells)),
    )


def source_lines(detail: NodeDetail, cells: int) -> list[Line]:
    """Return each source of the agent, the failing ones first with their reason."""
    if not detail.sources:
        return [line(Span("No source was reported.", DIM))]
    out: list[Line] = []
    for source in sorted(detail.sources, key=lambda each: (each.up, each.name)):
        word = Span("up   ", DIM) if source.up else Span("DOWN ", TROUBLE)
        name = Span(pad(source.name, 11), "" if source.up else STRONG)
        timing = f"{age(source.age_s)} ago, {number(source.duration_ms, 1, 'ms')}"
        rows = [timing] if source.up else wrap(source.reason or "no reason given", cells - 16)
        out.append(line(word, name, Span(rows[0], DIM if source.up else "")))
        out.extend(line(" " * 16, Span(row)) for row in rows[1:])
    if detail.agent_version:
        verbs = ", ".join(detail.verbs) or "none"
        out.extend(paragraph(f"agent {detail.agent_version}; verbs allowed: {verbs}", cells, DIM))
    return out


_EVENT_MARK = {3: FAULT, 2: WARN}


def event_lines(detail: NodeDetail, cells: int) -> list[Line]:
    """Return what happened on the node, newest first."""
    if not detail.events:
        return [line(Span("Nothing has happened.", DIM))]
    out: list[Line] = []
    for event in sorted(detail.events, key=lambda each: -each.at_s):
        head = f"{clock(event.at_s)} "
        kind = f"{event.kind}{f' {event.code}' if event.code else ''}"
        tail = " (before the agent started)" if event.backfill else ""
        text = " ".join(part for part in (event.device, event.text) if part) + tail
        rows = wrap(text, cells - 9 - 20)
        out.append(
            line(Span(head, DIM), Span(pad(kind, 20), _EVENT_MARK.get(event.severity, PLAIN)), Span(rows[0]))
        )
        out.extend(line(" " * 29, Span(row)) for row in rows[1:])
    return out
