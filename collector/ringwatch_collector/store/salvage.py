"""Moves a corrupt SQLite file aside and copies what can still be read into a fresh one. Deletes nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, Table

from ringwatch_collector.store.engine import insert_new, writing
from ringwatch_collector.store.tables import (
    AUDIT,
    CERTIFICATES,
    DENIED,
    EVENTS,
    INCIDENTS,
    LEARNED,
    OUTBOX,
    PROGRESS,
    RUNS,
    SILENCES,
    TOKENS,
)

_MARK: Final = ".corrupt-"
_PARTS: Final = ("", "-wal", "-shm")
# What people decided first: the search has an end, and the events are many.
ORDER: Final = (
    DENIED,
    TOKENS,
    CERTIFICATES,
    SILENCES,
    INCIDENTS,
    RUNS,
    AUDIT,
    OUTBOX,
    LEARNED,
    PROGRESS,
    EVENTS,
)
_LONGEST_S: Final = 30.0
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """Where the corrupt file lies now and how many rows of it were saved."""

    file: Path
    rows: int
    complete: bool
    """Whether every table was read to its end; a corrupt file may still have lost rows unseen."""


def move_aside(file: Path) -> Path:
    """Rename a database with its companions and return the new path."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = file.with_name(f"{file.name}{_MARK}{stamp}")
    for part in _PARTS:
        source = Path(f"{file}{part}")
        if source.exists():
            source.rename(f"{target}{part}")
    return target


def moved_aside(file: Path) -> list[Path]:
    """Return the corrupt files that lie beside a database and wait for a person."""
    found = file.parent.glob(f"{file.name}{_MARK}*Z")
    return sorted(found)


def salvage(corrupt: Path, into: Engine) -> Salvaged:
    """Copy what can be read, for at most half a minute."""
    until_s = time.monotonic() + _LONGEST_S
    saved, complete = 0, True
    with closing(sqlite3.connect(f"file:{corrupt}?mode=ro", uri=True)) as source:
        source.row_factory = sqlite3.Row
        for table in ORDER:
            rows, whole = _copy(source, table, into, until_s)
            saved += rows
            complete = complete and whole
    return Salvaged(file=corrupt, rows=saved, complete=complete)


def _copy(source: sqlite3.Connection, table: Table, into: Engine, until_s: float) -> tuple[int, bool]:
    """Copy a table from its first row on; where that breaks off, from its last row backwards."""
    forward, whole = _read(source, table, "asc", into, until_s)
    if whole:
        return forward, True
    backward, _ = _read(source, table, "desc", into, until_s)
    return forward + backward, False


def _read(
    source: sqlite3.Connection, table: Table, order: str, into: Engine, until_s: float
) -> tuple[int, bool]:
    taken = 0
    try:
        # The names are those of our own schema.
        cursor = source.execute(f"select * from {table.name} order by rowid {order}")  # noqa: S608
        for rows in _some(cursor):
            if time.monotonic() > until_s:
                return taken, False
            taken += _put(into, table, rows)
    except sqlite3.Error:
        return taken, False
    return taken, True


def _some(cursor: sqlite3.Cursor) -> Iterator[list[sqlite3.Row]]:
    """Yield rows in groups, and the last good ones before an error."""
    rows: list[sqlite3.Row] = []
    try:
        for row in cursor:
            rows.append(row)
            if len(rows) >= _AT_ONCE:
                yield rows
                rows = []
    except sqlite3.Error:
        yield rows
        raise
    yield rows


def _put(into: Engine, table: Table, rows: Sequence[sqlite3.Row]) -> int:
    known = [
        {column.name: row[column.name] for column in table.columns}
        for row in rows
        if {column.name for column in table.columns} <= set(row.keys())
    ]
    if not known:
        return 0
    with writing(into) as connection:
        return max(0, connection.execute(insert_new(into, table), known).rowcount)
