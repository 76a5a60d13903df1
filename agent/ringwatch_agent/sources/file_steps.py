"""What the sources that read steps out of files have in common: which files, at which pace, what was lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.followed_files import FollowedFile, matching
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_proto.errors import SourceUnsupported

# Files are looked for so often; those that are known are read at every period.
_FIND_EVERY_S: Final = 10.0


class FileReader(Protocol):
    """Reads one followed file of one job."""

    def read(self, dropped: Counter[str]) -> tuple[bytes, bytes]:
        """Return the packed steps and collectives that were added; count what cannot be read."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class MakeReader(Protocol):
    """Makes the reader of a file."""

    def __call__(self, job: str, file: FollowedFile, roster: Roster) -> FileReader:
        """Return the reader; the roster gives out rows."""
        ...


class FileStepsSource:
    """Follows the files of ``patterns``, job -> path or pattern, each with a reader of its own."""

    def __init__(
        self,
        name: str,
        patterns: Mapping[str, str],
        make: MakeReader,
        roster: Roster,
        *,
        period_s: float = 1.0,
        skip_to_last_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.period_s = period_s
        self.roster = roster
        self._patterns = list(patterns.items())
        self._make = make
        self._skip = skip_to_last_bytes
        self._readers: dict[tuple[str, Path], FileReader] = {}
        self._found_s = -_FIND_EVERY_S
        self._looked = False
        self._leaving: set[tuple[str, Path]] = set()

    def open(self) -> None:
        """Raise SourceUnsupported when no file is named in the settings."""
        if not self._patterns:
            raise SourceUnsupported(f"no file is named: set {self.name} to JOB=PATTERN")

    def close(self) -> None:
        """Let go of the files; when it opens again they are what was there before, as at the first look."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._leaving.clear()
        self._found_s = -_FIND_EVERY_S
        self._looked = False

    def read(self) -> Reading:
        """Return what was added to any file."""
        dropped: Counter[str] = Counter()
        self._find()
        parts = [reader.read(dropped) for reader in self._readers.values()]
        refused, self.roster.refused = self.roster.refused, 0
        dropped[f"{self.name}.no_room"] += refused
        return Reading(
            outsiders=self.roster.outsiders(),
            steps=b"".join(steps for steps, _ in parts),
            collectives=b"".join(collectives for _, collectives in parts),
            dropped={kind: count for kind, count in dropped.items() if count},
        )

    def _find(self) -> None:
        now_s = time.monotonic()
        if now_s - self._found_s < _FIND_EVERY_S:
            return
        self._found_s = now_s
        wanted = matching(self._patterns)
        # A file that was there before this agent looked may hold days; a new one is read from its begin.
        skip = None if self._looked else self._skip
        self._looked = True
        for job, path in wanted:
            if (job, path) not in self._readers:
                file = FollowedFile(path, skip_to_last_bytes=skip)
                self._readers[job, path] = self._make(job, file, self.roster)
        gone = self._readers.keys() - set(wanted)
        # A file that was moved away is read to its end until the next look, then let go.
        for key in gone & self._leaving:
            self._readers.pop(key).close()
        self._leaving = gone - self._leaving
