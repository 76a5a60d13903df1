"""Opens a database and knows what differs between SQLite and PostgreSQL. Nothing else may know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert


def sqlite_url(folder: Path) -> str:
    """Return the URL of the default database in a folder."""
    return f"sqlite:///{folder / 'ringwatch.db'}"


def open_engine(url: str) -> Engine:
    """Return an engine; on SQLite each connection writes ahead and syncs every commit."""
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401  (a DBAPI connection)
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=1000")
    cursor.execute("PRAGMA journal_mode=WAL")
    # NORMAL would lose the last commits of WAL with the power; an acknowledged event must stay.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA journal_size_limit=67108864")
    cursor.close()


def insert_new(engine: Engine, table: Table) -> Insert:
    """Return an insert that leaves rows alone which are there already."""
    return _insert(engine, table).on_conflict_do_nothing()


def insert_or_replace(engine: Engine, table: Table, keys: Sequence[str]) -> Insert:
    """Return an insert that overwrites the row with the same keys."""
    statement = _insert(engine, table)
    changed = {
        column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys
    }
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


def _insert(engine: Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
