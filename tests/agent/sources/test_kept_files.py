"""Files that are read again and again."""

from __future__ import annotations

import os
from pathlib import Path

from ringwatch_agent.sources.kept_files import KeptFile, children, numbers, pairs, read_number, read_word


def test_a_kept_file_shows_what_stands_there_now(tmp_path: Path) -> None:
    """It is opened once and read from the start each time."""
    path = tmp_path / "carrier"
    path.write_text("1\n")
    file = KeptFile(path)
    assert file.number() == 1
    path.write_text("0\n")
    assert file.number() == 0
    file.close()


def test_a_file_that_goes_is_absent_and_is_found_again(tmp_path: Path) -> None:
    """As when a driver is loaded again."""
    path = tmp_path / "x"
    file = KeptFile(path)
    assert file.read() is None
    path.write_text("5\n")
    assert file.number() == 5
    path.write_text("")
    path.unlink()
    assert file.number() is None
    path.write_text("6\n")
    assert file.number() == 6
    file.close()
    file.close()


def test_descriptors_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    """A node with many ports must not run out of them."""
    path = tmp_path / "x"
    path.write_text("5\n")
    before = len(os.listdir("/proc/self/fd"))
    files = [KeptFile(path, keep=False) for _ in range(8)]
    assert [file.number() for file in files] == [5] * 8
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_longer_than_a_page_is_read_whole() -> None:
    """The kernel answers a page at a time; this one is many pages for any Python process."""
    file = KeptFile(Path("/proc/self/smaps"))
    first, second = file.read(), file.read()
    file.close()
    assert first is not None
    assert second is not None
    assert len(first) > 1 << 16
    assert second.splitlines()[-1].startswith(b"VmFlags:")


def test_what_is_no_number_is_absent(tmp_path: Path) -> None:
    """ "N/A (no PMA)" of a virtual function, an empty file, a folder."""
    (tmp_path / "a").write_text("N/A (no PMA)\n")
    (tmp_path / "b").write_text("")
    assert [read_number(tmp_path / name) for name in ("a", "b", ".", "none")] == [None] * 4
    assert (read_word(tmp_path / "a"), read_word(tmp_path / "none")) == ("N/A (no PMA)", "")


def test_pairs_take_lines_with_a_number_and_leave_the_rest() -> None:
    """With or without a colon and a unit."""
    assert pairs(b"MemTotal:  12 kB\noom_kill 3\nx y\n\n\xff 1\n") == {
        "MemTotal": 12,
        "oom_kill": 3,
        "\ufffd": 1,
    }
    assert pairs(None) == {}


def test_numbers_are_those_of_whole_names() -> None:
    """A name that only begins alike is another one; text is no number."""
    data = b"oom_kill_x 5\nMemFree:  7 kB\noom_kill 3\nother x\n"
    assert numbers(data, ("oom_kill", "MemFree", "other", "none")) == {"MemFree": 7, "oom_kill": 3}
    assert numbers(None, ("x",)) == {}


def test_children_of_nothing_are_none(tmp_path: Path) -> None:
    """A tree that the machine does not have is empty."""
    assert children(tmp_path / "none") == []
