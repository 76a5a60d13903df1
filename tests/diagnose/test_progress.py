"""A long reading says how far it is, to a terminal only."""

from __future__ import annotations

import io
from pathlib import Path

from ringwatch.diagnose.progress import Progress, size_of


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_short_reading_says_nothing() -> None:
    """Most logs are read before anyone wonders."""
    terminal, clock = _Terminal(), _Clock()
    progress = Progress(terminal, 10, clock)
    clock.now_s = 0.9
    progress(5)
    progress.close()
    assert terminal.getvalue() == ""


def test_a_long_reading_says_how_much_of_what() -> None:
    """And leaves the line empty for the findings."""
    terminal, clock = _Terminal(), _Clock()
    progress = Progress(terminal, 200_000_000, clock)
    clock.now_s = 1.0
    progress(50_000_000)
    progress(51_000_000)
    assert terminal.getvalue() == "\r\x1b[Kread 50 MB of 200 MB [######..................] 25%"
    progress.close()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_pipe_gets_no_bar() -> None:
    """Programs read stderr too."""
    pipe, clock = io.StringIO(), _Clock()
    progress = Progress(pipe, 10, clock)
    clock.now_s = 5.0
    progress(5)
    progress.close()
    assert pipe.getvalue() == ""


def test_the_size_of_a_folder_is_not_known(tmp_path: Path) -> None:
    """A bar that lies is worse than none."""
    (tmp_path / "a.log").write_bytes(b"12345")
    (tmp_path / "a.log.gz").write_bytes(b"12345")
    assert size_of([tmp_path / "a.log"]) == 5
    assert size_of([tmp_path / "a.log", tmp_path]) == 0
    assert size_of([tmp_path / "a.log.gz"]) == 0
