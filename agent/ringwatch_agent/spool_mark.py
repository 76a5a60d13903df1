"""The mark beside a spool: whose it is, how far it came, and whether it was left in good order."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAME: Final = "mark.json"
_FIELDS: Final = ("spool_id", "last", "acked", "clean")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a spool came. After an orderly stop it is ``clean`` and ``last`` is the newest sequence.

    While an agent runs, ``last`` lies ahead of it: no sequence above it was given out. So an agent that
    was killed goes on behind it, whatever the clock says, and lends no number to something else.
    """

    spool_id: str
    last: int = 0
    acked: int = 0
    clean: bool = False


def read_mark(directory: Path) -> Mark:
    """Return the mark; one without a spool id where there is none that can be read."""
    try:
        found = json.loads((directory / _NAME).read_text())
        return Mark(
            spool_id=str(found["spool_id"]),
            last=int(found["last"]),
            acked=int(found["acked"]),
            clean=bool(found["clean"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Mark(spool_id="")


def write_mark(directory: Path, mark: Mark) -> None:
    """Write the mark through to the disk: a power cut must not bring back that of an earlier clean stop."""
    fresh = directory / "mark.tmp"
    with fresh.open("w") as file:
        file.write(json.dumps({field: getattr(mark, field) for field in _FIELDS}))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / _NAME)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Write the names of a directory through to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_mark(directory: Path) -> None:
    """Take the mark away. Raise OSError when even that cannot be done."""
    (directory / _NAME).unlink(missing_ok=True)
