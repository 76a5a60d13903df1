"""Three rows of the fault table, through a real agent, a real collector and a real scan."""

from __future__ import annotations

import shutil

import pytest

from ringwatch_drills.bench.agent_faults import Row, markdown, measure


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Run the three rows at the same time."""
    if shutil.which("cc") is None:
        pytest.skip("the emulated driver needs a C compiler")
    return {row.fault: row for row in measure(["lost", "blocked", "mismatch"], at_once=3)}


def test_every_cell_of_three_faults_is_right(rows: dict[str, Row]) -> None:
    """A lost GPU, a blocked one, a driver that does not fit."""
    assert {name: row.right for name, row in rows.items()} == dict.fromkeys(rows, True), list(rows.values())


def test_a_blocked_gpu_is_named_by_all_three_faces_and_the_others_stay_live(rows: dict[str, Row]) -> None:
    """The words of each cell."""
    row = rows["blocked"]
    assert row.metrics == "state 3 (not answering)"
    assert "gpu.not_answering" in row.collector
    assert (row.scan, row.scan_exit) == ("gpu.not_answering -> drain_and_reset", 20)
    assert row.others_live


def test_the_table_has_a_line_a_fault(rows: dict[str, Row]) -> None:
    """As the page shows it."""
    lines = markdown(list(rows.values())).splitlines()
    assert len(lines) == 2 + len(rows)
