"""The undo record of the lab."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.undo import UndoRecord, kill_marked, only_lab, process_mark

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def record(tmp_path: Path) -> UndoRecord:
    return UndoRecord(tmp_path)


def make_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "file").write_text("x")
    return folder


def test_what_was_noted_is_undone_and_forgotten(record: UndoRecord, tmp_path: Path) -> None:
    """By a later process as well: the record is on disk."""
    folder = make_folder(tmp_path, "ringwatch-lab-abc")
    record.note("folder", str(folder))

    troubles = UndoRecord(tmp_path).undo()

    assert troubles == []
    assert not folder.exists()
    assert len(record) == 0


def test_only_what_came_after_is_undone_when_a_run_ends(record: UndoRecord, tmp_path: Path) -> None:
    """The lab's own parts stay for the next run."""
    stays, goes = make_folder(tmp_path, "ringwatch-lab-stays"), make_folder(tmp_path, "ringwatch-lab-goes")
    record.note("folder", str(stays))
    kept = len(record)
    record.note("folder", str(goes))

    record.undo(keep=kept)

    assert stays.exists()
    assert not goes.exists()
    assert record.entries() == [("folder", str(stays))]


def test_a_line_that_a_crash_cut_short_is_skipped(record: UndoRecord, tmp_path: Path) -> None:
    """What it would have undone was never made."""
    folder = make_folder(tmp_path, "ringwatch-lab-abc")
    record.note("folder", str(folder))
    with (tmp_path / "undo.jsonl").open("a") as file:
        file.write('{"kind": "folder", "argu')

    assert record.undo() == []
    assert not folder.exists()


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("folder", "/etc"),
        ("namespace", "default"),
        ("namespace", "rwlab-../x"),
        ("cgroup", "/sys/fs/cgroup/cpu"),
        ("cgroup", "/tmp/ringwatch-lab-n0"),
        ("quota", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        ("file", "/etc/passwd"),
        ("nonsense", "x"),
    ],
)
def test_a_damaged_record_harms_nothing(record: UndoRecord, tmp_path: Path, kind: str, argument: str) -> None:
    """Whatever is not the lab's own is left alone, and said."""
    (tmp_path / "undo.jsonl").write_text(json.dumps({"kind": kind, "argument": argument}) + "\n")

    troubles = record.undo()

    assert len(troubles) == 1
    assert Path("/etc/passwd").exists()


def test_a_noted_process_is_killed_and_a_later_one_with_its_pid_is_not() -> None:
    """The mark holds the time of its start."""
    with subprocess.Popen(SLEEP, start_new_session=True) as process:
        pid, _, started = process_mark(process.pid).partition(":")

        kill_marked(f"{pid}:{int(started) - 1}")
        assert process.poll() is None

        kill_marked(f"{pid}:{started}")
        assert process.wait(10) == -9


def test_a_second_lab_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """And let in afterwards."""
    with only_lab(tmp_path), pytest.raises(LabError, match="another lab"), only_lab(tmp_path):
        pass
    with only_lab(tmp_path) as record:
        assert len(record) == 0


def test_the_record_is_for_root_alone(tmp_path: Path) -> None:
    """Who can write it can have things deleted."""
    folder = tmp_path / "run"

    with only_lab(folder):
        assert os.stat(folder).st_mode & 0o077 == 0
