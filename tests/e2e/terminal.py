"""A program in a tmux terminal, driven by keys and read as text, as a person would."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Keys of a person: the console ignores what comes faster after a dialog opened.
_PACE_S = 0.5
_TIMEOUT_S = 60.0


class Terminal:
    """One tmux session. ``pictures`` holds the screen at each thing that was waited for."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self.pictures: list[str] = []

    def screen(self) -> str:
        """Return what is on the screen."""
        return self._tmux("capture-pane", "-p", "-t", self._name)

    def until(self, *texts: str) -> str:
        """Wait until all these texts are on the screen; return it."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            shown = self.screen()
            if all(text in shown for text in texts):
                self.pictures.append(shown)
                return shown
            assert time.monotonic() < deadline, f"never saw {texts} on\n{shown}"
            time.sleep(0.2)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names."""
        for key in keys:
            time.sleep(_PACE_S)
            self._tmux("send-keys", "-t", self._name, key)

    def type(self, text: str) -> None:
        """Type a text and enter."""
        time.sleep(_PACE_S)
        self._tmux("send-keys", "-t", self._name, "-l", text)
        self.press("Enter")

    def _tmux(self, *arguments: str) -> str:
        """Talk to a tmux server of our own: one that runs already has settings and sizes of its own."""
        command = [
            "env",
            "-u",
            "COLUMNS",
            "-u",
            "LINES",
            "tmux",
            "-L",
            self._name,
            "-f",
            "/dev/null",
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def start(self, command: Sequence[str], folder: Path, columns: int, rows: int) -> None:
        """Run a command in a new session of this size."""
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux("new-session", "-d", "-s", self._name, *size, "-c", str(folder), shlex.join(command))

    def end(self) -> None:
        """End the server and what runs in it; the command may have ended it already."""
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)


@contextmanager
def terminal(
    name: str, command: Sequence[str], folder: Path, *, size: tuple[int, int] = (140, 40)
) -> Iterator[Terminal]:
    """Run a command in a terminal of so many columns and rows, in a folder; end it with the block."""
    found = Terminal(name, _TIMEOUT_S)
    found.start(command, folder, *size)
    try:
        yield found
    finally:
        found.end()
