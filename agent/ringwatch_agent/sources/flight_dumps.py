"""The ``flight`` source: collectives and states out of dumps of PyTorch's flight recorder, as they appear.

PyTorch writes a dump a rank when a collective times out, or when it is asked to. The dump is opened by the
reader of evidence, which runs no code of a pickle. A rank's state is that of the dump, told for a few seconds
after it was written and not longer: nothing says that it still holds then.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ringwatch_agent.evidence.flight_recorder import load
from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.followed_files import matching
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_agent.sources.sequences import Call, Period, RankSequence
from ringwatch_agent.sources.step_records import kind_of
from ringwatch_proto.errors import EvidenceError, SourceUnsupported
from ringwatch_proto.layout import RANK_STATE, Collective, Phase

_NAN: Final = math.nan
_LARGEST_BYTES: Final = 64 << 20
# All ranks dump within seconds of each other: so long a state is told, that they are seen together.
_TOLD_S: Final = 10.0
_FIND_EVERY_S: Final = 5.0
# Older dumps are of another incident.
_OLDEST_S: Final = 600.0
_RANK: Final = re.compile(r"(?<!\d)(\d{1,6})(?:\.\w{1,16})?$")
_U16: Final = (1 << 16) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    state: bytes
    until_s: float


class FlightDumpsSource:
    """Reads each dump once, when it has not changed for a moment."""

    name = "flight"
    period_s = 1.0

    def __init__(self, patterns: Mapping[str, str], roster: Roster) -> None:
        self._patterns = list(patterns.items())
        self.roster = roster
        self._read: dict[Path, tuple[int, float]] = {}
        self._sizes: dict[Path, int] = {}
        self._states: dict[tuple[str, int], _Told] = {}
        self._found_s = -_FIND_EVERY_S

    def open(self) -> None:
        """Raise SourceUnsupported when no dump is named in the settings."""
        if not self._patterns:
            raise SourceUnsupported("no file is named: set flight to JOB=PATTERN")

    def close(self) -> None:
        """Hold nothing open."""

    def read(self) -> Reading:
        """Return what new dumps say, and the states of those written just now."""
        dropped: Counter[str] = Counter()
        now_s = time.monotonic()
        parts: list[tuple[bytes, bytes]] = []
        if now_s - self._found_s >= _FIND_EVERY_S:
            self._found_s = now_s
            parts = [self._dump(job, path, dropped) for job, path in matching(self._patterns)]
        self._states = {key: told for key, told in self._states.items() if time.time() < told.until_s}
        return Reading(
            outsiders=self.roster.outsiders(),
            steps=b"".join(steps for steps, _ in parts),
            collectives=b"".join(collectives for _, collectives in parts),
            rank_states=b"".join(told.state for told in self._states.values()),
            dropped={kind: count for kind, count in dropped.items() if count},
        )

    def _dump(self, job: str, path: Path, dropped: Counter[str]) -> tuple[bytes, bytes]:
        data, written_s = self._new_data(path, dropped)
        if not data:
            return b"", b""
        try:
            dump = load(path.name, data)
        except EvidenceError:
            dropped["flight.bad_dump"] += 1
            return b"", b""
        found = _RANK.search(path.name)
        rank = dump.get("rank") if isinstance(dump.get("rank"), int) else int(found[1]) if found else -1
        if not isinstance(rank, int) or not 0 <= rank < 1_000_000:
            dropped["flight.no_rank"] += 1
            return b"", b""
        return self._take(job, rank, dump, written_s)

    def _new_data(self, path: Path, dropped: Counter[str]) -> tuple[bytes, float]:
        """Return a dump that was not read yet and is written out, nothing otherwise."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:
            return b"", 0.0
        with os.fdopen(fd, "rb") as file:
            told = os.fstat(fd)
            mark = (told.st_size, told.st_mtime)
            growing = self._sizes.get(path) != told.st_size and time.time() - told.st_mtime < 1.0
            self._sizes[path] = told.st_size
            if not stat.S_ISREG(told.st_mode) or self._read.get(path) == mark or growing:
                return b"", 0.0
            self._read[path] = mark
            if time.time() - told.st_mtime > _OLDEST_S:
                return b"", 0.0
            if told.st_size > _LARGEST_BYTES:
                dropped["flight.too_large"] += 1
                return b"", 0.0
            return file.read(_LARGEST_BYTES), told.st_mtime

    def _take(self, job: str, rank: int, dump: dict[str, Any], written_s: float) -> tuple[bytes, bytes]:
        entries = [each for each in dump.get("entries", []) if isinstance(each, dict)]
        row = self.roster.rank(job, rank, rank + 1, backend="nccl")
        if row < 0:
            return b"", b""
        state = _state(row, entries, dump, written_s)
        self._states[job, rank] = _Told(state=state, until_s=written_s + _TOLD_S)
        name, calls = _longest_group(entries)
        index = self.roster.communicator(job, name) if calls else -1
        return _steps(calls, RankSequence(row, index)) if index >= 0 else (b"", b"")


def _longest_group(entries: list[dict[str, Any]]) -> tuple[str, list[Call]]:
    """Return the group with the most completed collectives, and those, in the order of their numbers."""
    groups: dict[str, list[Call]] = {}
    for entry in entries:
        call = _call(entry)
        if call is not None:
            groups.setdefault(_group(entry), []).append(call)
    name = max(groups, key=lambda each: len(groups[each]), default="")
    return name, sorted(groups.get(name, []), key=lambda call: call.number)


def _steps(calls: list[Call], sequence: RankSequence) -> tuple[bytes, bytes]:
    period = Period()
    for call in calls:
        period.note(call)
    length = period.length()
    done = [sequence.take(call, length) for call in calls] if length else []
    return b"".join(steps for steps, _ in done), b"".join(collectives for _, collectives in done)


def _group(entry: dict[str, Any]) -> str:
    group = entry.get("process_group") or ()
    name = " ".join(map(str, group)) if isinstance(group, tuple | list) else str(group)
    return "".join(letter if letter.isprintable() else "?" for letter in name[:96]) or "default"


def _call(entry: dict[str, Any]) -> Call | None:
    """Return a completed collective with times, None for anything else.

    ``duration_ms`` is there with TORCH_NCCL_ENABLE_TIMING; without it the watchdog's own looks, some hundred
    milliseconds apart, bound the duration.
    """
    number, over_ns = entry.get("collective_seq_id"), entry.get("time_discovered_completed_ns")
    if entry.get("is_p2p") or not isinstance(number, int) or not isinstance(over_ns, int):
        return None
    took_ms, started_ns = entry.get("duration_ms"), entry.get("time_discovered_started_ns")
    if isinstance(took_ms, int | float):
        took_s = took_ms / 1e3
    elif isinstance(started_ns, int):
        took_s = (over_ns - started_ns) / 1e9
    else:
        return None
    if not 0 <= took_s < 86400 or number < 0:
        return None
    kind = kind_of(str(entry.get("profiling_name", "")))
    return Call(number=number, kind=kind, size=_size(entry), ended_s=over_ns / 1e9, duration_s=took_s)


def _size(entry: dict[str, Any]) -> int:
    """Return the elements of the inputs: the dump names types but not their width."""
    total = 0
    for shape in entry.get("input_sizes") or ():
        if isinstance(shape, tuple | list) and all(isinstance(each, int) for each in shape):
            total += math.prod(shape[:16])
    return min(max(total, 0), (1 << 62))


def _state(row: int, entries: list[dict[str, Any]], dump: dict[str, Any], written_s: float) -> bytes:
    """Pack where the rank stood: in the oldest collective that it began and did not end, or outside."""
    pending = [each for each in entries if _is_pending(each)]
    began = [each for each in pending if each.get("state") == "started"] or pending
    status = dump.get("pg_status") if isinstance(dump.get("pg_status"), dict) else {}
    launched, completed = _sum(status, "last_enqueued_collective"), _sum(status, "last_completed_collective")
    if not launched:
        launched, completed = len(entries), len(entries) - len(pending)
    if entries:
        # The number of the last one that completed lags where completions were noted out of order (PyTorch
        # 2.13 with gloo does): what no entry has under way is done.
        completed = max(0, launched - len(pending))
    inside = launched > completed
    latest = began[:1] if inside and began else entries[-1:]
    created = latest[0].get("time_created_ns") if latest else None
    age_s = max(0.0, written_s - created / 1e9) if isinstance(created, int) else _NAN
    kind = kind_of(str(latest[0].get("profiling_name", ""))) if inside and latest else Collective.UNKNOWN
    return RANK_STATE.pack(
        row,
        int(Phase.COLLECTIVE if inside else Phase.COMPUTE),
        0,
        1,
        int(kind),
        _U16,
        0,
        0,
        max(launched, completed),
        completed,
        age_s,
        age_s,
        _NAN,
        _NAN,
        _NAN,
        _NAN,
        _NAN,
        0,
    )


def _is_pending(entry: dict[str, Any]) -> bool:
    """Tell whether a collective is under way: gloo leaves what it is done with "scheduled" but retired."""
    return entry.get("state") != "completed" and not entry.get("retired") and not entry.get("is_p2p")


def _sum(status: object, name: str) -> int:
    groups = status.values() if isinstance(status, dict) else ()
    counts = (each.get(name) for each in groups if isinstance(each, dict))
    return sum(count for count in counts if isinstance(count, int) and 0 <= count < 1 << 60)
