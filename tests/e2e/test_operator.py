"""An operator at the console, by keys alone, over the demo: from page to hand-over, and back in time."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.e2e.terminal import Terminal, terminal

RINGWATCH = (sys.executable, "-m", "ringwatch.main")
_WORDS = "handing over to bo: the inlet of that rack is warm"
pytestmark = pytest.mark.timeout(180)


def _json(address: str, *command: str) -> dict[str, object]:
    done = subprocess.run(
        [*RINGWATCH, *command, "--collector", address, "--json"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout.splitlines()[0])
    return found


def _address() -> str:
    """Return where the collector of this demo listens; other tests may run collectors of their own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = _words(entry)
            parent = Path("/proc", _parent(entry))
            if "collector" in words and "--listen" in words and {"demo", "--after"} <= set(_words(parent)):
                return words[words.index("--listen") + 1]
    raise AssertionError("no demo runs")


def _words(process: Path) -> list[str]:
    """Return the command line of a process, nothing of one that has ended."""
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _parent(process: Path) -> str:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return "0"


def _find_the_cause(at: Terminal) -> str:
    """Open the worst incident; return its id."""
    shown = at.until("CRIT  I-", "Open incidents")
    id = shown.partition("CRIT  ")[2].split()[0]
    at.press("g", "Enter")
    at.until("What we think", "thermal", "RULED OUT")
    return id


def _hand_over(at: Terminal, id: str) -> None:
    at.press("a")
    at.until(f"Acknowledge {id}")
    at.type("looking at it")
    at.until("acknowledge by")
    at.press("c")
    at.until(f"Note on {id}")
    at.type(_WORDS)
    at.until("handing over to bo")


def _replay(at: Terminal, id: str) -> None:
    at.press("H")
    at.until("Back in time", f"a minute before {id} began")
    at.press("Enter")
    at.until("REPLAY")
    at.press("Escape")
    assert f"CRIT  {id}" not in at.until("Fleet map", "REPLAY")
    at.press("Space", "Space", "Space")
    at.until(f"CRIT  {id}", "REPLAY")
    at.press("L")
    at.until("SIMULATED")


def test_from_the_page_to_the_hand_over_and_back_in_time(tmp_path: Path) -> None:
    """Page, cause, why it is not the network, acknowledge, hand over, export, replay from the start."""
    command = [*RINGWATCH, "demo", "--nodes", "16", "--after", "12"]
    with terminal(f"operator-{os.getpid()}", command, tmp_path) as at:
        id = _find_the_cause(at)
        _hand_over(at, id)
        at.press("E")
        at.until(".tar.gz", "files")
        _replay(at, id)
        kept = _json(_address(), "incident", id)
        (tmp_path / "transcript.txt").write_text("\n\f\n".join(at.pictures))
        at.press("q", "q")

    notes = kept["notes"]
    assert isinstance(notes, list)
    assert [note["text"] for note in notes][-1] == _WORDS
    assert kept["state"] == "acknowledged"
    (archive,) = tmp_path.glob(f"ringwatch-{id}-*.tar.gz")
    with tarfile.open(archive) as found:
        names = {name.rpartition("/")[2] for name in found.getnames()}
    assert {"incident.txt", "incident.json", "recording.rwrec", "README.txt"} <= names
