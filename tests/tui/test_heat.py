"""The fleet's map: the worst wins, whatever the grain."""

from dataclasses import replace

import pytest
from tests.tui import world

from ringwatch_tui.state.model import Gpu, Node
from ringwatch_tui.state.text import width
from ringwatch_tui.views.heat import METRICS, Cell, Map, gpu_state, lay_out, node_cell, node_state


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
