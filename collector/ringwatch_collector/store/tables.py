"""The schema of the database. It names tables and columns and runs nothing."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# The newest script under migrations/versions. A change here is a new script there; a test compares them.
SCHEMA_REVISION: Final = "0004"

METADATA: Final = MetaData()

# SQLite numbers rows by itself only for INTEGER, PostgreSQL needs BIGINT for as many.
_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")

# What collectors from before migrations look at: they refuse any number but 1.
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

# Alerts on their way out, written with the incident's change. ``state`` is waiting, sent, dead or obsolete.
OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("row_number", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("channel", String(64), nullable=False),
    Column("key", String(160), nullable=False),
    Column("incident", String(64), nullable=False),
    Column("what", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("settled_ns", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("channel", "key"),
    Index("outbox_state", "state", "channel", "row_number"),
)

SILENCES: Final = Table(
    "silences",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("until_ns", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

# What a job or a flow looked like while it was healthy; ``subject`` is ``job/NAME`` or ``flows``.
LEARNED: Final = Table(
    "learned",
    METADATA,
    Column("subject", String(300), primary_key=True),
    Column("updated_ns", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

# Secrets are 256 random bits, so that one round of SHA-256 keeps them as well as a slow hash would.
TOKENS: Final = Table(
    "access_tokens",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    # A role's word, or "join".
    Column("role", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    # Of join tokens: the names that may join with it, as a shell pattern.
    Column("nodes", String(128), nullable=False),
    # Of join tokens: how many more may join; -1 for any number.
    Column("uses_left", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    # 0 for never.
    Column("expires_ns", BigInteger, nullable=False),
)

CERTIFICATES: Final = Table(
    "access_certificates",
    METADATA,
    Column("serial", String(48), primary_key=True),
    Column("node", String(64), nullable=False),
    Column("issued_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Index("access_certificates_node", "node"),
)

# What is refused although it has not expired: the id of a token or the serial of a certificate.
DENIED: Final = Table(
    "access_denied",
    METADATA,
    Column("credential", String(48), primary_key=True),
    Column("denied_ns", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),
)

# Which detector has which partition of the bus until when, and how far its batches are durable.
LEASES: Final = Table(
    "bus_leases",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    # Empty for nobody.
    Column("owner", String(128), nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    # The last message of the partition on the bus, and its time.
    Column("sequence", BigInteger, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)

# The detectors that are there.
WORKERS: Final = Table(
    "bus_workers",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("expires_ns", BigInteger, nullable=False),
)
