"""The collector's memory on disk: typed reads and writes over the schema. It decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, RowMapping, Select, delete, select
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import open_engine
from ringwatch_collector.store.rows import event_of, event_row, incident_of, incident_row
from ringwatch_collector.store.tables import (
    AUDIT,
    EVENTS,
    INCIDENTS,
    METADATA,
    PROGRESS,
    RUNS,
    SCHEMA,
    SCHEMA_VERSION,
)
from ringwatch_collector.store.writer import Row, Writer, in_table
from ringwatch_collector.view import SeenEvent
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one spool of one node was taken in, and when."""

    node: str
    spool: str
    sequence: int
    updated_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A runbook run; ``document`` is the engine's own JSON."""

    id: str
    incident: str
    state: str
    updated_s: float
    document: str


class Store:
    """Reads on any thread, writes through one writer thread.

    Raises StoreError when the database cannot be opened or is of a newer Ringwatch.
    """

    def __init__(self, url: str, counters: Counters, retry_s: float = 0.5) -> None:
        try:
            self._engine: Engine = open_engine(url)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreError(f"cannot open the database: {error}") from error
        try:
            self._prepare()
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise StoreError(f"cannot open the database: {error}") from error
        except StoreError:
            self._engine.dispose()
            raise
        self._writer = Writer(self._engine, counters, retry_s)
        self._writer.start()

    def _prepare(self) -> None:
        METADATA.create_all(self._engine)
        with self._engine.begin() as connection:
            version = connection.execute(select(SCHEMA.c.version)).scalar()
            if version is None:
                connection.execute(SCHEMA.insert().values(version=SCHEMA_VERSION))
            elif version > SCHEMA_VERSION:
                raise StoreError(f"the database has schema {version}; this Ringwatch knows {SCHEMA_VERSION}")

    @property
    def trouble(self) -> str:
        """Return why the database does not work, empty while it does."""
        return self._writer.trouble

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits and close."""
        self._writer.stop(timeout_s)
        self._engine.dispose()

    def put_events(self, spool: str, events: Iterable[tuple[int, int, SeenEvent]]) -> asyncio.Future[None]:
        """Store (event id, the node's own wall_ns, event) once each; done when they are on disk."""
        rows = [event_row(spool, number, wall_ns, event) for number, wall_ns, event in events]
        return self._writer.submit(in_table(EVENTS, *rows))

    def note_progress(self, node: str, spool: str, sequence: int, now_s: float) -> None:
        """Remember how far a spool was taken, after the events of its batches were put."""
        self._writer.note_progress(node, spool, sequence, to_ns(now_s))

    def flush(self) -> None:
        """Have noted progress written."""
        self._writer.flush()

    def put_incidents(self, incidents: Iterable[Incident]) -> asyncio.Future[None]:
        """Store incidents as they are now."""
        return self._writer.submit(in_table(INCIDENTS, *[incident_row(each) for each in incidents]))

    def put_run(self, run: StoredRun) -> asyncio.Future[None]:
        """Store a run as it is now."""
        row = {
            "id": run.id,
            "incident": run.incident,
            "state": run.state,
            "updated_ns": to_ns(run.updated_s),
            "document": run.document,
        }
        return self._writer.submit(in_table(RUNS, row))

    def put_audit(self, row: Row) -> asyncio.Future[None]:
        """Store one audit record."""
        return self._writer.submit(in_table(AUDIT, row))

    def progress(self, since_s: float) -> list[Progress]:
        """Return how far each spool was taken that was heard since then."""
        query = (
            select(PROGRESS).where(PROGRESS.c.updated_ns >= to_ns(since_s)).order_by(PROGRESS.c.updated_ns)
        )
        return [
            Progress(
                node=row["node"],
                spool=row["spool"],
                sequence=row["sequence"],
                updated_s=row["updated_ns"] / 1e9,
            )
            for row in self._read(query)
        ]

    def incidents(self, closed_since_s: float) -> list[Incident]:
        """Return every incident that is not resolved, and those resolved since then, oldest first."""
        query = (
            select(INCIDENTS)
            .where((INCIDENTS.c.state != "resolved") | (INCIDENTS.c.updated_ns >= to_ns(closed_since_s)))
            .order_by(INCIDENTS.c.opened_ns)
        )
        return [incident_of(row) for row in self._read(query)]

    def newest_incidents(self, limit: int) -> list[Incident]:
        """Return the newest incidents of any state, newest first."""
        query = select(INCIDENTS).order_by(INCIDENTS.c.opened_ns.desc()).limit(limit)
        return [incident_of(row) for row in self._read(query)]

    def incident(self, incident_id: str) -> Incident | None:
        """Return one incident."""
        rows = self._read(select(INCIDENTS).where(INCIDENTS.c.id == incident_id))
        return incident_of(rows[0]) if rows else None

    def incident_ids(self) -> list[str]:
        """Return the id of every incident there ever was."""
        return [row["id"] for row in self._read(select(INCIDENTS.c.id))]

    def runs(self, limit: int = 1000) -> list[StoredRun]:
        """Return the newest runs, oldest first."""
        rows = self._read(select(RUNS).order_by(RUNS.c.updated_ns.desc()).limit(limit))
        return [
            StoredRun(
                id=row["id"],
                incident=row["incident"],
                state=row["state"],
                updated_s=row["updated_ns"] / 1e9,
                document=row["document"],
            )
            for row in reversed(rows)
        ]

    def events(
        self, *, node: str = "", since_s: float = 0.0, limit: int = 1000
    ) -> list[tuple[str, int, SeenEvent]]:
        """Return (spool, event id, event), the newest ``limit`` received since then, oldest first."""
        query = select(EVENTS).where(EVENTS.c.received_ns >= to_ns(since_s))
        if node:
            query = query.where(EVENTS.c.node == node)
        rows = self._read(
            query.order_by(EVENTS.c.received_ns.desc(), EVENTS.c.row_number.desc()).limit(limit)
        )
        return [(row["spool"], row["event_id"], event_of(row)) for row in reversed(rows)]

    def audit(self) -> list[RowMapping]:
        """Return every audit record in order."""
        return list(self._read(select(AUDIT).order_by(AUDIT.c.sequence)))

    def audit_tail(self) -> RowMapping | None:
        """Return the newest audit record."""
        rows = self._read(select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(1))
        return rows[0] if rows else None

    def forget_events(self, before_s: float, most: int = 5000) -> int:
        """Delete the oldest events received before then, ``most`` at a time; return how many went."""
        old = select(EVENTS.c.row_number).where(EVENTS.c.received_ns < to_ns(before_s)).limit(most)
        try:
            with self._engine.begin() as connection:
                return connection.execute(delete(EVENTS).where(EVENTS.c.row_number.in_(old))).rowcount
        except SQLAlchemyError as error:
            raise StoreError(f"cannot delete old events: {error}") from error

    def _read(self, query: Select[Any]) -> Sequence[RowMapping]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).mappings().all()
        except SQLAlchemyError as error:
            raise StoreError(f"cannot read the database: {error}") from error
