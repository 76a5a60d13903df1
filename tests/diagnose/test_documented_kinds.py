"""Every kind that the page lists is read, and its sample gives the answer that the page says."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from ringwatch.diagnose import app
from ringwatch_agent.evidence.all import LINE_READERS

PAGE = Path(__file__).parents[2] / "docs" / "diagnose.md"


def _rows() -> list[tuple[str, str, str]]:
    section = PAGE.read_text(encoding="utf-8").split("## What is read")[1].split("By documents")[0]
    rows = []
    for row in section.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        if len(cells) == 4 and row.startswith("| ") and cells[0] != "kind":
            sample = re.search(r"`([^`]*)`", re.split(r"(?<!\\)\|", row)[3])
            assert sample, row
            rows.append((cells[0], sample[1].replace("⏎", "\n").replace("\\|", "|"), cells[3].strip("`")))
    return rows


@pytest.mark.parametrize(("kind", "sample", "fault"), _rows())
def test_sample_gives_the_documented_answer(kind: str, sample: str, fault: str) -> None:
    """The first finding is the one that the page names, and the file is said to be of that kind."""
    diagnosis = app.of_evidence([], io.BytesIO(sample.encode()))
    found = [each.fault_class for each in diagnosis.answer.conclusions]
    assert (found[0] if found else "none") == fault
    assert kind in diagnosis.reading.kinds["-"]


def test_page_lists_every_line_reader() -> None:
    """A new reader needs a row with a sample."""
    listed = {kind for kind, _, _ in _rows()}
    assert {make().kind for make in LINE_READERS} - {"familiar"} == listed - {"nvidia-smi -q -x"}
