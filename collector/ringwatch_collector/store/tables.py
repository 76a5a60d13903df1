"""The schema of the database. It names tables and columns and runs nothing."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION: Final = 1

METADATA: Final = MetaData()

# SQLite numbers rows by itself only for INTEGER, PostgreSQL needs BIGINT for as many.
_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")

SCHEMA: Final = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("row_number", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("node", String(128), nullable=False),
    Column("spool", String(128), nullable=False),
    Column("event_id", BigInteger, nullable=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    Column("kind", String(128), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("source", String(128), nullable=False),
    Column("device", String(128), nullable=False),
    Column("code", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("backfill", Boolean, nullable=False),
    UniqueConstraint("node", "spool", "event_id"),
    Index("events_received", "received_ns"),
    Index("events_node", "node", "at_ns"),
)

# How far each spool was taken in. `updated_ns` also says when the node was last heard.
PROGRESS: Final = Table(
    "progress",
    METADATA,
    Column("node", String(128), primary_key=True),
    Column("spool", String(128), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
)

INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("incidents_state", "state", "updated_ns"),
)

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("incident", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("runs_incident", "incident"),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("wall_ns", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(128), nullable=False),
    Column("target", String(256), nullable=False),
    Column("incident", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Index("audit_incident", "incident"),
)
