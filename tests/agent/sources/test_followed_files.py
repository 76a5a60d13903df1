"""Files that grow, are rotated, truncated, torn, or are none."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ringwatch_agent.sources.followed_files import CHUNK_BYTES, FollowedFile, Lines, matching


def read(file: FollowedFile) -> bytes:
    """Return everything that is there now."""
    parts = []
    while data := file.read().data:
        parts.append(data)
    return b"".join(parts)


def test_only_new_bytes_are_read(tmp_path: Path) -> None:
    """And a file that is not there yet is no error."""
    path = tmp_path / "log"
    file = FollowedFile(path)
    assert read(file) == b""
    path.write_bytes(b"one")
    assert read(file) == b"one"
    with path.open("ab") as more:
        more.write(b" two")
    assert read(file) == b" two"
    file.close()


def test_what_is_rotated_away_is_read_to_its_end_first(tmp_path: Path) -> None:
    """Nothing between two reads is lost, and the new file is read from its begin."""
    path = tmp_path / "log"
    path.write_bytes(b"one")
    file = FollowedFile(path, skip_to_last_bytes=2)
    first = file.read()
    assert (first.data, first.anew) == (b"ne", True)
    with path.open("ab") as more:
        more.write(b" last")
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"fresh")
    assert file.read().data == b" last"
    fresh = file.read()
    assert (fresh.data, fresh.anew) == (b"fresh", True)
    file.close()


def test_a_file_that_is_cut_begins_anew(tmp_path: Path) -> None:
    """As with copytruncate."""
    path = tmp_path / "log"
    path.write_bytes(b"a long line")
    file = FollowedFile(path)
    read(file)
    path.write_bytes(b"new")
    chunk = file.read()
    assert (chunk.data, chunk.anew) == (b"new", True)
    file.close()


def test_a_long_backlog_comes_in_parts(tmp_path: Path) -> None:
    """One file never holds up the others."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * (CHUNK_BYTES + 5))
    file = FollowedFile(path)
    assert [len(file.read().data) for _ in range(3)] == [CHUNK_BYTES, 5, 0]
    file.close()


def test_links_pipes_and_folders_are_not_opened(tmp_path: Path) -> None:
    """A path may be a user's: it leads nowhere else, and blocks nobody."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "fifo")
    assert [read(FollowedFile(tmp_path / name)) for name in ("link", "fifo", ".")] == [b""] * 3
    assert [path.name for _, path in matching([("j", f"{tmp_path}/*")])] == ["secret"]


def test_a_line_that_is_not_whole_waits_for_its_end(tmp_path: Path) -> None:
    """And is counted when the file begins anew before it comes."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    file, lines, dropped = FollowedFile(path), Lines(), Counter[str]()
    assert lines.take(file.read(), dropped, "torn") == [b"one"]
    with path.open("ab") as more:
        more.write(b"o\nthr")
    assert lines.take(file.read(), dropped, "torn") == [b"two"]
    path.write_bytes(b"x\n")
    assert lines.take(file.read(), dropped, "torn") == [b"x"]
    assert dropped["torn"] == 1
    file.close()


def test_a_line_without_an_end_is_left_out_and_the_next_is_read(tmp_path: Path) -> None:
    """Memory is bounded by the longest line."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * (2 * CHUNK_BYTES) + b"\nok\n")
    file, lines, dropped = FollowedFile(path), Lines(), Counter[str]()
    found = [line for _ in range(4) for line in lines.take(file.read(), dropped, "torn")]
    assert found == [b"ok"]
    assert dropped["torn"] >= 1
    file.close()
