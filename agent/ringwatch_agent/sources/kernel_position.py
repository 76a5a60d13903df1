"""Remembers how far the kernel log was read, so that an agent that starts again repeats nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path


class KernelPosition:
    """A file of one number; it is about one boot of the kernel and nothing after it."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id

    def load(self) -> int | None:
        """Return the next sequence to read, None where nothing is known of this boot."""
        try:
            found = json.loads(self._path.read_text())
            return int(found["next"]) if found["boot_id"] == self._boot_id else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, next_sequence: int) -> None:
        """Write the position down; on a disk that takes nothing, lines are told again, as backfill."""
        fresh = self._path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps({"boot_id": self._boot_id, "next": next_sequence}))
            fresh.replace(self._path)
