"""Brings a database to this Ringwatch's schema, one starter at a time. It reads and writes no data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from ringwatch_collector.store.tables import SCHEMA_REVISION
from ringwatch_proto.errors import StoreError

_LOG: Final = logging.getLogger("ringwatch.collector.store")
# What it has to say, the line of ours says in one.
logging.getLogger("alembic").setLevel(logging.WARNING)
_SCRIPTS: Final = Path(__file__).parent / "migrations"
# Any number, as long as every Ringwatch takes the same one.
_LOCK_KEY: Final = 0x72_77_5F_64_62
# The only number that collectors before migrations wrote.
_BEFORE_MIGRATIONS: Final = 1


def upgrade(connection: Connection) -> None:
    """Run the missing steps within the connection's write transaction; raise StoreError when there is no way.

    SQLite's write transaction is the lock; PostgreSQL gets one that ends with the transaction.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("set local lock_timeout = '60s'"))
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    found = _revision(connection)
    if found == SCHEMA_REVISION:
        return
    if found is None and _adopted(connection):
        command.stamp(config, "0001")
        found = "0001"
    command.upgrade(config, "head")
    _LOG.info("the database was brought from schema %s to %s", found or "nothing", SCHEMA_REVISION)


def _revision(connection: Connection) -> str | None:
    """Return the revision of the database, None for one without; raise StoreError for one we do not know."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("select version_num from alembic_version")).scalar()
    if found is None:
        return None
    revision = str(found)
    if not revision.isdecimal():
        raise StoreError(f"the database has schema {revision[:40]!r}, which is not Ringwatch's")
    if revision > SCHEMA_REVISION:
        raise StoreError(
            f"the database has schema {revision} of a newer Ringwatch; this one knows {SCHEMA_REVISION}: "
            "start the newer one, or restore a copy from before it"
        )
    return revision


def _adopted(connection: Connection) -> bool:
    """Tell whether a collector from before migrations made it; raise StoreError for a stranger's."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return False
    if "schema_version" not in tables:
        raise StoreError(
            f"the database holds tables that are not Ringwatch's: {', '.join(sorted(tables))[:200]}"
        )
    version = connection.execute(text("select version from schema_version")).scalar()
    if version is not None and int(version) > _BEFORE_MIGRATIONS:
        raise StoreError(f"the database has schema {version} of another Ringwatch and says no more about it")
    return True
