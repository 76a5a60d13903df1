"""Opens a database and knows what differs between SQLite and PostgreSQL. Nothing else may know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert

# A write transaction of SQLite takes its lock at the start: one that reads first and finds it taken later
# is refused at once instead of waiting.
_WRITES: Final = {"ringwatch_writes": True}
# SQLite's primary result codes for "not a database" and "malformed": https://www.sqlite.org/rescode.html
_CORRUPT: Final = frozenset({11, 26})
# A peer that vanished must not hold the writer for the two hours of TCP's own patience.
_POSTGRES_ARGUMENTS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def sqlite_url(folder: Path) -> str:
    """Return the URL of the default database in a folder."""
    return f"sqlite:///{folder / 'ringwatch.db'}"


def open_engine(url: str) -> Engine:
    """Return an engine; on SQLite each connection writes ahead and syncs every commit."""
    if url.startswith(("postgres://", "postgresql://")):
        url = "postgresql+psycopg://" + url.partition("://")[2]
    arguments = _POSTGRES_ARGUMENTS if url.startswith("postgresql") else {}
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), connect_args=arguments)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401  (a DBAPI connection)
    # Python's driver would begin transactions by itself, and none for a change of the schema.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=1000")
    # Before the first table: freed pages go back to the disk a few at a time.
    cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    cursor.execute("PRAGMA journal_mode=WAL")
    # NORMAL would lose the last commits of WAL with the power; an acknowledged event must stay.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA journal_size_limit=67108864")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ringwatch_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in one write transaction, committed at the end."""
    with engine.connect().execution_options(**_WRITES) as connection, connection.begin():
        yield connection


def is_corrupt(error: BaseException) -> bool:
    """Tell whether SQLite says that the file is no sound database."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _CORRUPT


def check_file(engine: Engine, most_bytes: int) -> str:
    """Return what SQLite's quick check finds wrong in a file of at most that size, empty for nothing."""
    path = sqlite_file(engine)
    if path is None or not path.exists() or path.stat().st_size > most_bytes:
        return ""
    with engine.connect() as connection:
        found = str(connection.execute(text("pragma quick_check(1)")).scalar())
    return "" if found == "ok" else found


def sqlite_file(engine: Engine) -> Path | None:
    """Return the file of an SQLite database, None for another database."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return Path(engine.url.database)


def give_back_pages(engine: Engine, pages: int) -> int:
    """Return up to that many free pages to the disk, and how many are left; empty the write-ahead log."""
    if engine.dialect.name != "sqlite":
        return 0  # PostgreSQL's autovacuum does it
    pooled = engine.raw_connection()
    try:
        connection: Any = pooled.driver_connection
        if connection.execute("pragma auto_vacuum").fetchone()[0] == 0:
            return 0  # a file from before migrations only uses its pages again
        # A script runs to its end; a single statement that returns no rows would free one page.
        connection.executescript(f"pragma incremental_vacuum({int(pages)}); pragma wal_checkpoint(passive);")
        return int(connection.execute("pragma freelist_count").fetchone()[0])
    finally:
        pooled.close()


def copy_to(engine: Engine, file: Path) -> None:
    """Write all that an open connection sees to a file that is not there yet. SQLite only."""
    pooled = engine.raw_connection()
    try:
        connection: Any = pooled.driver_connection
        connection.execute("vacuum into ?", (str(file),))
    finally:
        pooled.close()


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
