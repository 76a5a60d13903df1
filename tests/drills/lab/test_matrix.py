"""A campaign of the lab is resumed where it stopped, and its matrix counts what was concluded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringwatch_drills.lab import matrix
from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.faults import BY_NAME


def line(
    fault: str, *, correct: bool = True, kind: str = "job.hang", cause: str = "process_stopped"
) -> dict[str, Any]:
    """Return a run as the lab writes it."""
    incident = {"kind": kind, "cause": cause} if kind else None
    return {
        "fault": fault,
        "target": "n1",
        "correct": correct,
        "delay_s": 3.0,
        "reason": "",
        "incident": incident,
    }


def test_all_faults_take_turns() -> None:
    """Cut short, a campaign has some runs of each."""
    first = [name for name, _ in matrix.still_to_do([], 2, 4)][: len(BY_NAME)]
    assert first == list(BY_NAME)


def test_what_is_done_is_not_done_again() -> None:
    """Of two runs of each one hang is done; of none twice as many are wanted."""
    left = list(matrix.still_to_do([line("hang")], 2, 4))
    assert [number for name, number in left if name == "hang"] == [1]
    assert [number for name, number in left if name == "none"] == [0, 1, 2, 3]


def test_a_line_cut_short_by_a_kill_is_done_again(tmp_path: Path) -> None:
    """The torn end counts for nothing and does not spoil the next line."""
    path = tmp_path / "runs.jsonl"
    matrix.append(path, line("hang"))
    with path.open("a") as file:
        file.write('{"fault": "cra')
    assert len(matrix.read(path)) == 1
    matrix.append(path, line("crash"))
    assert [each["fault"] for each in matrix.read(path)] == ["hang", "crash"]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """Nothing is added to a file that holds no runs."""
    path = tmp_path / "notes.txt"
    path.write_text("milk\nbread\n")
    with pytest.raises(LabError, match="no run of the lab"):
        matrix.read(path)


def test_the_matrix_has_a_row_a_fault_and_a_column_a_conclusion() -> None:
    """Right and wrong answers are counted, and the wrong ones told."""
    done = [line("hang"), line("hang", correct=False, kind="", cause=""), line("none", kind="")]
    told = matrix.table(done)
    assert "hang     2      1" in told
    assert "nothing" in told
    assert "not correct:" in told
    assert matrix.as_object(done)["matrix"]["hang"] == {"job.hang (process_stopped)": 1, "nothing": 1}
