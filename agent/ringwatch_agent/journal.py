"""Mirrors a spool in files, so that what was not acknowledged outlives the agent and the machine.

A disk that fails is an OSError of one call: the spool goes on in memory, and the next call begins a
new segment. Every method may block on the disk; nothing here knows of time or network.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ringwatch_agent.frames import Parsed, batch_frame, hello_frame, parse
from ringwatch_agent.spool import Kept, Record
from ringwatch_agent.spool_mark import Mark, read_mark, remove_mark, sync_directory, write_mark
from ringwatch_proto.errors import SpoolError
from ringwatch_proto.v1 import telemetry_pb2 as pb

SEGMENT_BYTES: Final = 1 << 20
_SUFFIX: Final = ".spool"
# Sequences that may be given out before the mark is written again: a day at one a second.
RESERVED: Final = 100_000
# Where the mark is lost as well, sequences go on from the clock: what was sent and is lost on disk must
# not lend its number to something else, or the collector would take that for a repetition.
_SEQUENCES_A_SECOND: Final = 1000


@dataclass(slots=True, kw_only=True)
class _Segment:
    path: Path
    last: int
    bytes: int


class Journal:
    """The files of one spool. One process at a time owns the directory."""

    def __init__(self, directory: Path, *, limit_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Take the directory; raise SpoolError when it cannot be written or has an owner."""
        self.written_sequence = 0
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._file: int | None = None
        self._schema_id = 0
        self._lock: int | None = _take(directory)

    def load(self) -> Kept:
        """Return the state that an earlier agent left, or a fresh one; torn ends are counted."""
        mark = read_mark(self._directory)
        records: dict[int, Record] = {}
        hellos: dict[int, bytes] = {}
        dropped: Counter[str] = Counter()
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            parsed = _parse_file(path)
            hellos |= parsed.hellos
            dropped["spool.torn"] += parsed.torn
            readable = [each for each in parsed.records if each.schema_id in hellos]
            dropped["spool.batches"] += len(parsed.records) - len(readable)
            records |= {record.sequence: record for record in readable}
            self._adopt(path, readable)
        last = max([mark.last, *records])
        first = last + 1 if mark.spool_id else _first_without_mark(last, hellos)
        mark = _with_spool_id(mark, hellos)
        self.written_sequence = first - 1
        kept = Kept(
            spool_id=mark.spool_id,
            next_sequence=first,
            hellos=hellos,
            records=tuple(records[each] for each in sorted(records) if each > mark.acked),
            dropped=+dropped,
        )
        self._begin(Mark(spool_id=mark.spool_id, last=first + RESERVED, acked=mark.acked))
        return kept

    def write(self, records: Sequence[Record], hellos: Mapping[int, bytes], *, sync: bool) -> None:
        """Append ``records``, each behind the Hello it needs; with ``sync``, onto the platter."""
        try:
            for record in records:
                self._append(record, hellos)
            if sync and self._file is not None:
                os.fdatasync(self._file)
        except OSError:
            self._end_segment()  # its tail may be torn: go on in another
            raise

    def trim(self, acked: int) -> None:
        """Remove the segments of which everything is acknowledged."""
        for segment in [each for each in self._segments if each.last <= acked]:
            if segment is self._segments[-1] and self._file is not None:
                if segment.bytes < self._segment_bytes:
                    return
                self._end_segment()
            self._remove(segment)

    def mark(self, mark: Mark) -> None:
        """Write down how far things are."""
        write_mark(self._directory, mark)

    @property
    def is_empty(self) -> bool:
        """Return whether there are no files to trim."""
        return not self._segments

    @property
    def is_over_limit(self) -> bool:
        """Return whether the files hold more than they should: time to ``rewrite``."""
        return sum(each.bytes for each in self._segments) > self._limit_bytes

    def rewrite(self, records: Sequence[Record], hellos: Mapping[int, bytes]) -> None:
        """Replace all files by one that holds ``records``: what the spool has thinned goes for good."""
        self._end_segment()
        fresh = self._directory / "rewrite.tmp"
        path = self._path(records[0].sequence if records else self.written_sequence)
        try:
            with fresh.open("wb") as file:
                file.writelines(_frames(records, hellos))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        for segment in [each for each in self._segments if each.path != path]:
            self._remove(segment)
        self._segments.clear()
        self._adopt(path, records)
        self.written_sequence = records[-1].sequence if records else self.written_sequence

    def close(self) -> None:
        """Let go of the directory. Safe to call twice."""
        self._end_segment()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self, mark: Mark) -> None:
        try:
            self.mark(mark)
        except OSError:
            # Better no mark than one of a clean stop, which would have sequences used twice.
            remove_mark(self._directory)

    def _append(self, record: Record, hellos: Mapping[int, bytes]) -> None:
        if self._file is None or self._segments[-1].bytes >= self._segment_bytes:
            self._begin_segment(record.sequence)
        assert self._file is not None
        data = batch_frame(record)
        if record.schema_id != self._schema_id:
            data = hello_frame(record.schema_id, hellos[record.schema_id]) + data
        if os.write(self._file, data) != len(data):
            raise OSError(errno.ENOSPC, "No space left on device: it took part of a record")
        self._schema_id = record.schema_id
        segment = self._segments[-1]
        segment.last, segment.bytes = record.sequence, segment.bytes + len(data)
        self.written_sequence = record.sequence

    def _begin_segment(self, first: int) -> None:
        self._end_segment()
        path = self._path(first)
        self._file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o640)
        self._segments = [each for each in self._segments if each.path != path]
        self._segments.append(_Segment(path=path, last=first - 1, bytes=0))
        sync_directory(self._directory)  # a synced file whose name is lost with the power is lost too

    def _end_segment(self) -> None:
        self._schema_id = 0
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _adopt(self, path: Path, records: Sequence[Record]) -> None:
        last = records[-1].sequence if records else 0
        self._segments.append(_Segment(path=path, last=last, bytes=path.stat().st_size))

    def _remove(self, segment: _Segment) -> None:
        segment.path.unlink(missing_ok=True)
        self._segments.remove(segment)

    def _path(self, first: int) -> Path:
        return self._directory / f"{first:020d}{_SUFFIX}"


def _take(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise SpoolError(f"{directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise SpoolError(f"{directory}: another agent uses this directory") from error
    return lock


def _parse_file(path: Path) -> Parsed:
    try:
        return parse(path.read_bytes())
    except OSError:
        return Parsed(torn=True)


def _with_spool_id(mark: Mark, hellos: Mapping[int, bytes]) -> Mark:
    """Recover a lost mark from a Hello; where there is none either, begin a new spool."""
    if mark.spool_id:
        return mark
    for payload in hellos.values():
        return replace(mark, spool_id=pb.AgentMessage.FromString(payload).hello.spool_id)
    return Mark(spool_id=uuid.uuid4().hex)


def _first_without_mark(last: int, hellos: Mapping[int, bytes]) -> int:
    return max(last + 1, int(time.time() * _SEQUENCES_A_SECOND)) if hellos else 1


def _frames(records: Sequence[Record], hellos: Mapping[int, bytes]) -> Iterator[bytes]:
    schema_id = 0
    for record in records:
        if record.schema_id != schema_id:
            schema_id = record.schema_id
            yield hello_frame(schema_id, hellos[schema_id])
        yield batch_frame(record)
