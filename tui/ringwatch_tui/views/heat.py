"""Where each node or GPU of the fleet lies on the heat map, and what its cell shows. The worst wins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from ringwatch_tui.state.columns import column, current, states
from ringwatch_tui.state.format import STALE_AFTER_S
from ringwatch_tui.state.model import GpuReading, Node
from ringwatch_tui.state.text import natural, pad, width
from ringwatch_tui.views.lines import CELL, DIM, HEAD, STRONG, Span
from ringwatch_tui.views.marks import ramp, state_of

GROUP_LABELS: Final = ("su", "rack", "pod", "cluster")
# How the map can be parted: by the first site label that tells nodes apart, by one label, by job, not at all.
BY_ITSELF: Final = ""
BY_JOB: Final = "job"
BY_NOTHING: Final = "none"
# What a cell can stand for: whatever fits, or always the same, and then the map scrolls.
ZOOMS: Final = ("", "gpu", "node", "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What the ramp of healthy cells shows."""

    key: str
    title: str
    low: float
    high: float
    unit: str


METRICS: Final = (
    Metric(key="utilization_percent", title="GPU utilization", low=0, high=100, unit="%"),
    Metric(key="power_watts", title="power", low=0, high=1000, unit="W"),
    Metric(key="temperature_celsius", title="temperature", low=20, high=100, unit="C"),
    Metric(key="sm_clock_mhz", title="SM clock", low=0, high=2000, unit="MHz"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: the object it opens, what it is called, its letter or block, and its badness."""

    node: str
    title: str
    glyph: str
    mark: str
    rank: int


_RANK: Final = attrgetter("rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """One line of the map, left to right: cells, and spans that only label or part them."""

    items: tuple[Cell | Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """The laid-out map and the words for what one cell stands for."""

    rows: tuple[MapRow, ...]
    grain: str
    # How it is parted: a label, job, or empty.
    by: str = ""

    def placed(self) -> tuple[tuple[int, int, Cell], ...]:
        """Return every cell with its line and column."""
        out: list[tuple[int, int, Cell]] = []
        for y, row in enumerate(self.rows):
            x = 0
            for item in row.items:
                if isinstance(item, Cell):
                    out.append((y, x, item))
                    x += 1
                else:
                    x += width(item.text)
        return tuple(out)


def gpu_state(gpu: GpuReading) -> str:
    """Return the state of a GPU; a reading too old to be called current is no data."""
    return current(gpu.state, gpu.reading_age_s)


def node_state(node: Node) -> str:
    """Return the state of a node; one that was not seen for long is silent whatever it said last."""
    return "silent" if node.state == "ok" and node.last_seen_age_s > STALE_AFTER_S else node.state


def gpu_cell(node: Node, gpu: GpuReading, metric: Metric) -> Cell:
    """Return the cell of one GPU; a node that is out of sight hides its GPUs."""
    whole = node_state(node)
    state = whole if state_of(whole)[0] == "?" or whole in ("drained", "maintenance") else gpu_state(gpu)
    return _cell(node.name, f"{node.name} {gpu.name}", state, getattr(gpu, metric.key), metric)


def _cell(node: str, title: str, state: str, value: float, metric: Metric) -> Cell:
    letter, mark, rank = state_of(state)
    if rank == 0:
        block = ramp(value, metric.low, metric.high) if math.isfinite(value) else letter
        return Cell(node=node, title=title, glyph=block, mark=CELL, rank=0)
    return Cell(node=node, title=f"{title} {state}", glyph=letter, mark=mark, rank=rank)


def node_cell(node: Node, metric: Metric) -> Cell:
    """Return one cell for a node: its own state or its worst GPU's, whichever is worse."""
    # By column, without an object a GPU: this runs for the whole fleet at every picture.
    worst = _worst({node_state(node), *states(node.gpus)})
    if state_of(worst)[2]:
        return _cell(node.name, node.name, worst, math.nan, metric)
    values = column(node.gpus, metric.key)
    total = sum(values)
    if total != total:  # noqa: PLR0124  (NaN: some are absent)
        values = [value for value in values if math.isfinite(value)]
        total = sum(values)
    return _cell(node.name, node.name, worst, total / len(values) if values else math.nan, metric)


def _worst(found: set[str]) -> str:
    if len(found) == 1:
        return next(iter(found))
    return max(found, key=lambda state: state_of(state)[2])


def node_strip(node: Node, metric: Metric = METRICS[0]) -> tuple[Span, ...]:
    """Return one span a GPU, in order: the GPU column of a node list."""
    return tuple(Span(cell.glyph, cell.mark) for cell in (gpu_cell(node, gpu, metric) for gpu in node.gpus))


def _value(node: Node, by: str) -> str:
    return node.job if by == BY_JOB else node.labels.get(by, "")


def _tells_apart(nodes: Sequence[Node], by: str) -> bool:
    return len({_value(node, by) for node in nodes}) > 1


def groupings(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return the ways of parting these nodes that tell any apart, none at all last."""
    found = [by for by in (*GROUP_LABELS, BY_JOB) if _tells_apart(nodes, by)]
    return (BY_ITSELF, *found, BY_NOTHING)


def grouped(nodes: Sequence[Node], by: str = BY_ITSELF) -> list[tuple[str, list[Node]]]:
    """Return the nodes in groups, by name; one nameless group where nothing tells them apart."""
    if by == BY_ITSELF:
        by = next((each for each in GROUP_LABELS if _tells_apart(nodes, each)), BY_NOTHING)
    if by == BY_NOTHING:
        return [("", list(nodes))] if nodes else []
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(_value(node, by), []).append(node)
    return sorted(groups.items(), key=lambda item: (item[0] == "", natural(item[0])))


def lay_out(
    nodes: Sequence[Node],
    cells: int,
    rows: int,
    metric: Metric,
    *,
    by: str = BY_ITSELF,
    zoom: str = "",
) -> Map:
    """Return the map parted by a label and with cells of one grain, by itself the finest that fits.

    With a grain that was asked for there may be more rows than fit.
    """
    groups = grouped(nodes, by)
    asked = {
        "group": ("1 cell = 1 group, worst wins", _group_rows),
        "gpu": ("1 cell = 1 GPU", _gpu_rows),
        "node": ("1 cell = 1 node, worst wins", _one_node_rows),
    }
    if zoom in asked:
        grain, build = asked[zoom]
        return Map(rows=tuple(build(groups, cells, metric)), grain=grain, by=by)
    return replace(_fitted(nodes, groups, cells, rows, metric), by=by)


def _fitted(
    nodes: Sequence[Node], groups: list[tuple[str, list[Node]]], cells: int, rows: int, metric: Metric
) -> Map:
    """Return the map with the finest grain that fits: named nodes, GPUs, a node, then several a cell."""
    places = sum(len(node.gpus) or 1 for node in nodes)
    if places <= cells * rows:
        whole = [("", list(nodes))]
        for build, parts in ((_named_rows, groups), (_gpu_rows, groups), (_gpu_rows, whole)):
            out = build(parts, cells, metric)
            if len(out) <= rows and all(_row_cells(row) <= cells for row in out):
                return Map(rows=tuple(out), grain="1 cell = 1 GPU")
    per_cell = _nodes_a_cell(groups, cells, rows)
    if per_cell == 0:
        # More groups than lines: the groups give way, no node does.
        groups = [("", list(nodes))]
        room = max(1, cells - _label_cells(groups))
        per_cell = max(1, math.ceil(len(nodes) / (room * max(1, rows))))
    grain = "1 cell = 1 node" if per_cell == 1 else f"1 cell = {per_cell} nodes"
    return Map(rows=tuple(_node_rows(groups, cells, metric, per_cell)), grain=grain + ", worst wins")


def _nodes_a_cell(groups: list[tuple[str, list[Node]]], cells: int, rows: int) -> int:
    """Return how many nodes share a cell so that every group has lines of its own; 0 if none will do."""
    room = max(1, cells - _label_cells(groups))
    per_cell = 1
    while sum(math.ceil(math.ceil(len(nodes) / per_cell) / room) for _, nodes in groups) > rows:
        if per_cell > max(len(nodes) for _, nodes in groups):
            return 0
        per_cell *= 2
    return per_cell


def _row_cells(row: MapRow) -> int:
    return sum(1 if isinstance(item, Cell) else width(item.text) for item in row.items)


def _label_cells(groups: list[tuple[str, list[Node]]]) -> int:
    names = [name or nodes[0].name for name, nodes in groups]
    return min(12, max((width(name) for name in names), default=0)) + 1


def _cells_of(node: Node, metric: Metric) -> list[Cell]:
    return [gpu_cell(node, gpu, metric) for gpu in node.gpus] or [node_cell(node, metric)]


def _flag(node: Node, strip: list[Cell], metric: Metric) -> Cell | Span:
    """Return the letter of a node that is worse off than each of its GPUs, else a gap."""
    whole = node_cell(node, metric)
    return whole if node.gpus and whole.rank > max(cell.rank for cell in strip) else Span(" ")


def _named_rows(groups: list[tuple[str, list[Node]]], cells: int, metric: Metric) -> list[MapRow]:
    """Return rows in which each node has its name before its GPUs: for fleets that leave the room."""
    everyone = [node for _, nodes in groups for node in nodes]
    name_cells = min(14, max((width(node.name) for node in everyone), default=0))
    slots = max((len(node.gpus) for node in everyone), default=1) or 1
    label_cells = _label_cells(groups) if any(name for name, _ in groups) else 0
    across = max(1, (cells - label_cells + 2) // (name_cells + 1 + slots + 2))
    out: list[MapRow] = []
    for name, nodes in groups:
        for start in range(0, len(nodes), across):
            label = pad(name if start == 0 else "", max(0, label_cells - 1)) + " "
            items: list[Cell | Span] = [Span(label, HEAD)] if label_cells else []
            for node in nodes[start : start + across]:
                strip = _cells_of(node, metric)
                flag = _flag(node, strip, metric)
                bad = isinstance(flag, Cell) or max(cell.rank for cell in strip) > 0
                items.append(Span(pad(node.name, name_cells), STRONG if bad else DIM))
                items.extend([flag, *strip, Span(" " * (slots - len(strip) + 2))])
            out.append(MapRow(items=tuple(items[:-1])))
    return out


def _gpu_rows(groups: list[tuple[str, list[Node]]], cells: int, metric: Metric) -> list[MapRow]:
    label_cells = _label_cells(groups)
    room = max(1, cells - label_cells)
    out: list[MapRow] = []
    for name, nodes in groups:
        label = name or nodes[0].name
        items: list[Cell | Span] = []
        used = 0
        for node in nodes:
            strip = _cells_of(node, metric)
            if items and used + 1 + len(strip) > room:
                out.append(_labelled(label, label_cells, items))
                label, items, used = "" if name else node.name, [], 0
            items.extend([_flag(node, strip, metric), *strip])
            used += len(strip) + 1
        out.append(_labelled(label, label_cells, items))
    return out


def _node_rows(groups: list[tuple[str, list[Node]]], cells: int, metric: Metric, per: int) -> list[MapRow]:
    label_cells = _label_cells(groups)
    room = max(1, cells - label_cells)
    out: list[MapRow] = []
    for name, nodes in groups:
        cells_of = [node_cell(node, metric) for node in nodes]
        worst = [
            max(cells_of[start : start + per], key=_RANK) if per > 1 else cells_of[start]
            for start in range(0, len(nodes), per)
        ]
        for start in range(0, len(worst), room):
            label = (name if start == 0 else "") if name else worst[start].node
            out.append(_labelled(label, label_cells, worst[start : start + room]))
    return out


def _one_node_rows(groups: list[tuple[str, list[Node]]], cells: int, metric: Metric) -> list[MapRow]:
    return _node_rows(groups, cells, metric, 1)


def _group_rows(groups: list[tuple[str, list[Node]]], cells: int, metric: Metric) -> list[MapRow]:
    """Return rows of groups: the name, one cell, and how many of its nodes are not ok."""
    found = [(name or "(none)", *_group_cell(name or "(none)", nodes, metric)) for name, nodes in groups]
    name_cells = min(16, max((width(name) for name, _, _ in found), default=0))
    count_cells = max((len(count) for _, _, count in found), default=0)
    across = max(1, (cells + 2) // (name_cells + 1 + 1 + 1 + count_cells + 2))
    out: list[MapRow] = []
    for start in range(0, len(found), across):
        items: list[Cell | Span] = []
        for name, cell, count in found[start : start + across]:
            mark = STRONG if cell.rank else DIM
            items.extend([Span(pad(name, name_cells) + " ", mark), cell])
            items.append(Span(f" {pad(count, count_cells)}  ", mark))
        out.append(MapRow(items=tuple(items)))
    return out


def _group_cell(name: str, nodes: list[Node], metric: Metric) -> tuple[Cell, str]:
    """Return the cell of a group, which opens its worst node, and its nodes: ``2/16`` are not ok."""
    every = [node_cell(node, metric) for node in nodes]
    bad = sum(1 for cell in every if cell.rank)
    worst = max(every, key=_RANK)
    if not bad:
        values = [value for node in nodes for value in column(node.gpus, metric.key) if math.isfinite(value)]
        mean = sum(values) / len(values) if values else math.nan
        return _cell(worst.node, f"{name}: {len(nodes)} nodes ok", "ok", mean, metric), f"{len(nodes)}"
    title = f"{name}: {bad} of {len(nodes)} nodes not ok, worst {worst.title}"
    return replace(worst, title=title), f"{bad}/{len(nodes)}"


def _labelled(label: str, cells: int, items: Sequence[Cell | Span]) -> MapRow:
    return MapRow(items=(Span(pad(label, cells - 1) + " ", DIM), *items))
