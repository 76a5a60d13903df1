"""The fleet's map: the worst wins, whatever the grain."""

from dataclasses import replace

import pytest
from tests.tui import world

from ringwatch_proto.v1 import query_pb2
from ringwatch_tui.client import decode
from ringwatch_tui.client.gpu_view import GpuViews
from ringwatch_tui.state.columns import column, states
from ringwatch_tui.state.model import Gpu, Node
from ringwatch_tui.state.text import width
from ringwatch_tui.views.heat import (
    METRICS,
    Cell,
    Map,
    gpu_state,
    grouped,
    groupings,
    lay_out,
    node_cell,
    node_state,
)


def _fleet(nodes: int, gpus: int = 8) -> tuple[Node, ...]:
    slots = tuple(
        Gpu(id=f"g{slot}", name=f"gpu{slot}", state="ok", utilization_percent=90.0) for slot in range(gpus)
    )
    return tuple(Node(name=f"n{index:05d}", state="ok", gpus=slots) for index in range(nodes))


def _sick(nodes: tuple[Node, ...], index: int) -> tuple[Node, ...]:
    gpus = (*nodes[index].gpus[:-1], world.altered(nodes[index].gpus[-1], state="fault"))
    return (*nodes[:index], replace(nodes[index], gpus=gpus), *nodes[index + 1 :])


def _bad(laid: Map) -> list[Cell]:
    return [cell for _, _, cell in laid.placed() if cell.rank]


@pytest.mark.parametrize("count", [1, 7, 64, 200, 1250, 12_500])
@pytest.mark.parametrize(("cells", "rows"), [(80, 16), (58, 7), (20, 3)])
def test_one_sick_gpu_shows_at_every_scale(count: int, cells: int, rows: int) -> None:
    """From one node to a hundred thousand GPUs, a fault is one visible letter on a map that fits."""
    laid = lay_out(_sick(_fleet(count), count // 2), cells, rows, METRICS[0])

    assert [cell.glyph for cell in _bad(laid)] == ["F"]
    assert len(laid.rows) <= rows
    for row in laid.rows:
        assert sum(1 if isinstance(each, Cell) else width(each.text) for each in row.items) <= cells


def test_a_small_fleet_names_each_node() -> None:
    """With room for it, every node has its name and its GPUs side by side."""
    laid = lay_out(world.fleet().nodes, 80, 18, METRICS[0])

    assert laid.grain == "1 cell = 1 GPU"
    assert len(laid.rows) == 16


def test_a_node_worse_than_its_gpus_shows_its_own_letter() -> None:
    """A slow node whose GPUs all answer is not a healthy picture."""
    nodes = _fleet(3)
    laid = lay_out((replace(nodes[0], state="slow"), *nodes[1:]), 80, 16, METRICS[0])

    assert [cell.glyph for cell in _bad(laid)] == ["s"]


def test_a_silent_node_hides_what_its_gpus_said_last() -> None:
    """No last good value is shown as current."""
    nodes = _fleet(2)
    laid = lay_out((replace(nodes[0], last_seen_age_s=31.0), nodes[1]), 80, 16, METRICS[0])

    assert [cell.glyph for cell in _bad(laid)] == ["?"] * 8
    assert node_state(replace(nodes[0], last_seen_age_s=31.0)) == "silent"
    assert gpu_state(world.altered(nodes[0].gpus[0], reading_age_s=31.0)) == "silent"


def test_a_word_from_a_newer_collector_is_no_data_and_not_ok() -> None:
    """What is not understood is not healthy."""
    assert node_cell(replace(_fleet(1)[0], state="exploded"), METRICS[0]).glyph == "?"


def test_a_map_is_parted_by_what_tells_its_nodes_apart() -> None:
    """A label that all share, or that none has, is not offered; job and nothing are."""
    nodes = world.fleet().nodes

    assert groupings(nodes) == ("", "rack", "job", "none")
    assert groupings(_fleet(3)) == ("", "none")
    assert [name for name, _ in grouped(nodes, "job")] == ["llm-70b", "moe-8x22"]
    assert [name for name, _ in grouped(nodes, "none")] == [""]


@pytest.mark.parametrize(("zoom", "cells"), [("gpu", 512), ("node", 64), ("group", 4)])
def test_a_grain_that_was_asked_for_hides_nothing(zoom: str, cells: int) -> None:
    """Whatever fits: the map then has more lines, and each kind of trouble is still on it."""
    laid = lay_out(world.fleet().nodes, 40, 6, METRICS[0], by="rack", zoom=zoom)
    shown = [cell for _, _, cell in laid.placed()]

    assert len(shown) >= cells
    assert {"s", "?"} <= {cell.glyph for cell in shown}


def test_a_group_shows_its_worst_node_and_how_many_are_not_ok() -> None:
    """One cell a rack; it opens the worst node."""
    laid = lay_out(world.fleet().nodes, 80, 6, METRICS[0], by="rack", zoom="group")
    text = "".join(
        each.glyph if isinstance(each, Cell) else each.text for row in laid.rows for each in row.items
    )
    first = laid.placed()[0][2]

    assert (first.node, first.glyph) == ("n011", "s")
    assert "1 of 16 nodes not ok" in first.title
    assert "r0 s 1/16" in text
    assert "r1 " in text


def test_columns_say_what_single_gpus_say() -> None:
    """The quick way through a message and the slow one agree, absent readings and stale ones included."""
    nan = float("nan")
    message = query_pb2.NodeSummary(
        node="n1",
        state="ok",
        gpus=[
            query_pb2.GpuSummary(id="a", state="ok", utilization_percent=50.0, reading_age_s=1.0),
            query_pb2.GpuSummary(id="b", state="ok", utilization_percent=nan, reading_age_s=31.0),
            query_pb2.GpuSummary(
                id="c", name="gpu2", state="slow", utilization_percent=70.0, job="j", rank=4
            ),
        ],
    )
    slow, quick = decode.node(message), decode.node(message, GpuViews)

    assert list(states(quick.gpus)) == list(states(slow.gpus)) == ["ok", "silent", "slow"]
    assert [gpu_state(each) for each in quick.gpus] == ["ok", "silent", "slow"]
    assert [each.name for each in quick.gpus] == [each.name for each in slow.gpus] == ["a", "b", "gpu2"]
    assert [each.rank for each in quick.gpus[:2]] == [-1, -1]
    assert quick.gpus[2].rank == 4
    assert str(column(quick.gpus, "utilization_percent")) == str(column(slow.gpus, "utilization_percent"))
    assert node_cell(quick, METRICS[0]) == node_cell(slow, METRICS[0])
