"""The ``inspector`` source: collectives out of the JSON lines that NCCL's Inspector plugin writes.

Format: https://github.com/NVIDIA/nccl/tree/master/ext-profiler/inspector (versions 4 and 5). One file a
process and group; RCCL's Inspector writes the same.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ringwatch_agent.sources.file_steps import FileStepsSource
from ringwatch_agent.sources.followed_files import FollowedFile, Lines
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_agent.sources.sequences import Call, Period, RankSequence
from ringwatch_agent.sources.step_records import kind_of

_US: Final = 1e-6
_MOST_RANKS: Final = 1_000_000
# What lies further back in a file when the agent starts is history.
LAST_BYTES: Final = 1 << 20
_MOST_GROUPS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: whose it is, which sequence it belongs to, and the call."""

    group: str
    rank: int
    ranks: int
    host: str
    pid: int
    coll: str
    call: Call


@dataclass(slots=True, kw_only=True)
class _Group:
    period: Period
    bytes_moved: int = 0


class Groups:
    """The sequences of one job, shared by its files: (group, operation) -> its period.

    Numbers count within a group and an operation. Steps of different sequences do not agree, so one stands
    for the job: of the groups with the most ranks, the one that moves the most bytes.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}
        self._ranks: dict[str, int] = {}

    def note(self, line: Line) -> _Group | None:
        """Take in a line; return its sequence, None when there are too many."""
        key = (line.group, line.coll)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _MOST_GROUPS:
                return None
            group = self._groups[key] = _Group(period=Period())
        self._ranks[line.group] = max(self._ranks.get(line.group, 0), line.ranks)
        group.bytes_moved += line.call.size
        group.period.note(line.call)
        return group

    def stands_for_the_job(self, line: Line) -> bool:
        """Tell whether the line's sequence is the one that the job's steps are made of."""
        most = max(self._groups, key=lambda key: (self._ranks[key[0]], self._groups[key].bytes_moved, key))
        return most == (line.group, line.coll)


class InspectorFile:
    """The collectives of one file."""

    def __init__(
        self, job: str, file: FollowedFile, roster: Roster, *, groups: dict[str, Groups], host: str
    ) -> None:
        self._job = job
        self._file = file
        self._roster = roster
        self._groups = groups.setdefault(job, Groups())
        self._host = host
        self._lines = Lines()
        self._sequences: dict[tuple[str, str, int], RankSequence] = {}

    def read(self, dropped: Counter[str]) -> tuple[bytes, bytes]:
        """Return the packed steps and collectives of the steps that are over."""
        steps, collectives = [], []
        chunk = self._file.read()
        for text in self._lines.take(chunk, dropped, "inspector.torn", first_is_torn=not _begins(chunk.data)):
            line = parse(text)
            if line is None:
                dropped["inspector.bad_line"] += 1
            elif line.host == self._host:
                step, group = self._take(line, dropped)
                steps.append(step)
                collectives.append(group)
        return b"".join(steps), b"".join(collectives)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _take(self, line: Line, dropped: Counter[str]) -> tuple[bytes, bytes]:
        group = self._groups.note(line)
        if group is None:
            dropped["inspector.too_many_groups"] += 1
            return b"", b""
        length = group.period.length()
        if not length or not self._groups.stands_for_the_job(line):
            return b"", b""
        key = (line.group, line.coll, line.rank)
        sequence = self._sequences.get(key)
        if sequence is None:
            row = self._roster.rank(self._job, line.rank, line.ranks, pid=line.pid, backend="nccl")
            index = self._roster.communicator(self._job, f"{line.group} {line.coll}")
            self._sequences = {key: RankSequence(row, index)}
            sequence = self._sequences[key]
        return sequence.take(line.call, length)


def _begins(data: bytes) -> bool:
    """Tell whether the data begins with a line and not within one."""
    return data.startswith(b'{"header"') or not data


def parse(text: bytes) -> Line | None:
    """Return the line, None when it is not one of the Inspector."""
    try:
        said = json.loads(text)
        header, metadata, performance = said["header"], said["metadata"], said["coll_perf"]
        took_s = float(performance["coll_exec_time_us"]) * _US
        line = Line(
            group=str(header["id"])[:32],
            rank=int(header["rank"]),
            ranks=int(header["n_ranks"]),
            host=str(metadata["hostname"])[:128],
            pid=int(metadata["pid"]),
            coll=str(performance["coll"])[:32],
            call=Call(
                number=int(performance["coll_sn"]),
                kind=kind_of(str(performance["coll"])),
                size=int(performance["coll_msg_size_bytes"]),
                ended_s=_ended_s(performance, metadata),
                duration_s=took_s,
            ),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    sound = 0 <= line.rank < line.ranks <= _MOST_RANKS and line.call.number >= 0 and 0 <= took_s < 86400
    return line if sound and (line.group + line.coll).isprintable() else None


def _ended_s(performance: Mapping[str, Any], metadata: Mapping[str, Any]) -> float:
    """Return when the kernel ended where the plugin is verbose, else when the line was written.

    Lines are written by a thread with an interval of its own (500 us is its advice), which is how far off the
    times, and with them steps and computing, may be; durations are the kernel's.
    """
    trace = performance.get("event_trace_ts")
    kernels = trace.get("kernel_events", []) if isinstance(trace, dict) else []
    stops = [float(each["kernel_stop_ts"]) for each in kernels if "kernel_stop_ts" in each]
    written = float(metadata["dump_timestamp_us"])
    ended = max(stops, default=written)
    return ended * _US if math.isfinite(ended) else math.nan


def inspector_source(patterns: Mapping[str, str], roster: Roster, *, host: str) -> FileStepsSource:
    """Return the source; lines of other hosts, in a folder that nodes share, are theirs to read."""
    make = partial(InspectorFile, groups={}, host=host)
    return FileStepsSource("inspector", patterns, make, roster, skip_to_last_bytes=LAST_BYTES)
