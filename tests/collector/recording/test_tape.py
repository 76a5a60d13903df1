"""Tests of the pictures on disk: the window that comes back, and what is deleted."""

import os
from pathlib import Path

import pytest

from ringwatch_collector.recording import tape as module
from ringwatch_collector.recording.tape import Tape
from ringwatch_proto.errors import RecordingError

S = 1_000_000_000
_FOREVER_S = 1e9


def _seconds(tape: Tape, since_s: float, until_s: float) -> list[float]:
    return [kept.wall_ns / S for kept in tape.window(round(since_s * S), round(until_s * S))]


def _filled(folder: Path, seconds: int, max_bytes: int = 1 << 30, max_age_s: float = _FOREVER_S) -> Tape:
    """Return a tape with a picture a second, of a size that fills a file in four."""
    tape = Tape(folder, max_bytes, max_age_s)
    for second in range(seconds):
        tape.write(second * S, os.urandom(1 << 20 if max_bytes < 1 << 30 else 100))
    tape.close()
    return tape


def test_a_window_begins_with_the_picture_that_was_in_force(tmp_path: Path) -> None:
    """Whoever looks back to 3.5 s wants to see what stood on the screen then."""
    tape = _filled(tmp_path, 10)

    assert _seconds(tape, 3.5, 6) == [3, 4, 5, 6]
    assert _seconds(tape, 0, 1) == [0, 1]
    assert _seconds(tape, 100, 200) == [9]
    assert _seconds(Tape(tmp_path / "none", 1, 1), 0, 10) == []


def test_the_oldest_go_when_the_disk_is_full(tmp_path: Path) -> None:
    """The folder stays within its bytes and the newest pictures stay."""
    tape = _filled(tmp_path, 40, max_bytes=16 << 20)
    held = sum(path.stat().st_size for path in tmp_path.iterdir())

    assert held <= 17 << 20
    assert _seconds(tape, 0, 1000)[-1] == 39
    assert _seconds(tape, 0, 1000)[0] > 20


def test_old_pictures_go_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody will look at again is not kept."""
    monkeypatch.setattr(module, "_FILE_BYTES", 500)
    tape = _filled(tmp_path, 60, max_age_s=10.0)

    assert _seconds(tape, 0, 1000)[0] >= 40
    assert _seconds(tape, 0, 1000)[-1] == 59


def test_a_new_collector_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """A restart begins a new file and keeps the old ones."""
    _filled(tmp_path, 3)
    tape = Tape(tmp_path, 1 << 30, _FOREVER_S)
    tape.write(5 * S, b"x")
    tape.close()

    assert _seconds(tape, 0, 10) == [0, 1, 2, 5]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The message names the folder."""
    (tmp_path / "file").write_text("")
    tape = Tape(tmp_path / "file" / "folder", 1 << 20, 1.0)

    with pytest.raises(RecordingError, match="folder"):
        tape.write(1, b"x")


def test_a_write_after_the_end_opens_no_file(tmp_path: Path) -> None:
    """A thread that was still to write when the collector stopped finds the tape closed."""
    tape = _filled(tmp_path, 1)

    with pytest.raises(RecordingError, match="closed"):
        tape.write(9 * S, b"late")
    assert _seconds(Tape(tmp_path, 1 << 30, _FOREVER_S), 0, 10) == [0]
