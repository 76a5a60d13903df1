"""The confusion matrix of the lab: which runs are still to do, and what those done concluded. Runs nothing.

Runs are JSON lines in a file, one a run, so that a campaign goes on where it was interrupted.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.faults import BY_NAME

# How often each fault is struck; nothing at all twice as often, for a false page is the dearest mistake.
RUNS: Final = 20
QUIET_RUNS: Final = 40
QUIET: Final = "none"

Line = dict[str, Any]


def read(path: Path) -> list[Line]:
    """Return the runs done so far; a line that a kill cut short does not count.

    Raises LabError for a file that holds something else.
    """
    if not path.exists():
        return []
    done: list[Line] = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        line = _line(text)
        if line is not None:
            done.append(line)
        elif not text.startswith("{"):
            raise LabError(f"{path}: line {number} is no run of the lab")
    return done


def _line(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and line.get("fault") in BY_NAME and "correct" in line else None


def append(path: Path, line: Line) -> None:
    """Write one run down for good. What a killed run left of a line is closed first."""
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if torn else "") + json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def still_to_do(done: Sequence[Line], runs: int, quiet_runs: int) -> Iterator[tuple[str, int]]:
    """Yield (fault, number of the run), all faults in turn, so that a campaign cut short has some of each."""
    have = Counter(line["fault"] for line in done)
    want = {name: quiet_runs if name == QUIET else runs for name in BY_NAME}
    for number in range(max(want.values(), default=0)):
        for name, most in want.items():
            if have[name] <= number < most:
                yield name, number


def concluded(line: Line) -> str:
    """Return what a run was answered with, in the word of a column."""
    incident = line.get("incident")
    if not incident:
        return "nothing"
    return f"{incident['kind']} ({incident['cause']})"


def table(done: Sequence[Line]) -> str:
    """Return the matrix: a row a fault, a column a conclusion, and how many were right after how long."""
    columns = sorted({concluded(line) for line in done})
    marks = {name: f"[{at}]" for at, name in enumerate(columns, 1)}
    head = ["fault", "runs", "right", "delay s p50", "max", *marks.values()]
    rows = [head, *(_row(name, done, columns) for name in BY_NAME if any(d["fault"] == name for d in done))]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = ["  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    wrong = [f"  {d['fault']} on {d['target']}: {d['reason']}" for d in done if not d["correct"]]
    legend = [f"{mark} {name}" for name, mark in marks.items()]
    return "\n".join([*lines, "", *legend, *(["", "not correct:", *wrong] if wrong else [])])


def _row(fault: str, done: Sequence[Line], columns: Sequence[str]) -> list[str]:
    mine = [line for line in done if line["fault"] == fault]
    counts = Counter(concluded(line) for line in mine)
    delays = sorted(line["delay_s"] for line in mine if line.get("delay_s") is not None)
    middle = f"{delays[len(delays) // 2]:.1f}" if delays else "-"
    longest = f"{delays[-1]:.1f}" if delays else "-"
    right = sum(bool(line["correct"]) for line in mine)
    return [fault, str(len(mine)), str(right), middle, longest, *(str(counts[c] or ".") for c in columns)]


def as_object(done: Sequence[Line]) -> Line:
    """Return the matrix as one JSON object."""
    return {
        "runs": len(done),
        "right": sum(bool(line["correct"]) for line in done),
        "matrix": {
            name: dict(Counter(concluded(line) for line in done if line["fault"] == name))
            for name in BY_NAME
            if any(line["fault"] == name for line in done)
        },
    }
