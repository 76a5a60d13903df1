"""Keeps what probes of this node found, so that the next one can be compared. Judges nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ringwatch_proto import probe
from ringwatch_proto.errors import WireError

_KEPT: Final = 200
_STATE: Final = Path("/var/lib/ringwatch")


def default_file() -> Path:
    """Return where results are kept: the state folder of the service, else that of the user."""
    if os.access(_STATE, os.W_OK):
        return _STATE / "probe.jsonl"
    base = os.environ.get("XDG_STATE_HOME", "") or str(Path.home() / ".local" / "state")
    return Path(base) / "ringwatch" / "probe.jsonl"


def load(files: Iterable[Path]) -> tuple[list[probe.ProbeResult], int]:
    """Return the results of files that are there, and how many lines are none."""
    found: list[probe.ProbeResult] = []
    bad = 0
    for file in files:
        if not file.exists():
            continue
        with file.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    found.append(probe.from_json(line))
                except WireError:
                    bad += 1
    return found, bad


def keep(file: Path, earlier: Iterable[probe.ProbeResult], result: probe.ProbeResult) -> None:
    """Write the newest results, this one last, in place of the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = [*earlier, result][-_KEPT:]
    fresh = file.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as stream:
        stream.writelines(probe.to_json(each) + "\n" for each in kept)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
