"""Typed reads over the schema, on any thread. It changes nothing and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.store.database import Database
from ringwatch_collector.store.rows import event_of, incident_of
from ringwatch_collector.store.tables import (
    AUDIT,
    EVENTS,
    INCIDENTS,
    LEARNED,
    OUTBOX,
    PROGRESS,
    RUNS,
    SILENCES,
)
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


class Reads:
    """What can be asked of a database; raises StoreError when it does not answer."""

    _database: Database

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

    def notices(self, channel: str, after: int = 0, limit: int = 500) -> list[RowMapping]:
        """Return the alerts that wait to go out by a channel, oldest first, behind that row."""
        query = (
            select(OUTBOX)
            .where(OUTBOX.c.state == "waiting", OUTBOX.c.channel == channel, OUTBOX.c.row_number > after)
            .order_by(OUTBOX.c.row_number)
            .limit(limit)
        )
        return list(self._read(query))

    def untold_notices(self) -> list[tuple[str, str, float]]:
        """Return (incident, key, due_s) of the alerts that were not tried yet."""
        query = select(OUTBOX.c.incident, OUTBOX.c.key, OUTBOX.c.due_ns).where(
            OUTBOX.c.state == "waiting", OUTBOX.c.tries == 0
        )
        return [(row["incident"], row["key"], row["due_ns"] / 1e9) for row in self._read(query)]

    def newest_notices(self, limit: int, state: str = "") -> list[RowMapping]:
        """Return alerts of one state or of any, newest first."""
        query = select(OUTBOX).order_by(OUTBOX.c.row_number.desc()).limit(limit)
        return list(self._read(query.where(OUTBOX.c.state == state) if state else query))

    def notice_counts(self) -> dict[tuple[str, str], int]:
        """Return how many alerts there are for each (channel, state)."""
        query = select(OUTBOX.c.channel, OUTBOX.c.state, func.count().label("rows")).group_by(
            OUTBOX.c.channel, OUTBOX.c.state
        )
        return {(row["channel"], row["state"]): row["rows"] for row in self._read(query)}

    def silences(self, until_s: float) -> list[str]:
        """Return the documents of silences that end or ended after then."""
        query = select(SILENCES.c.document).where(SILENCES.c.until_ns >= to_ns(until_s))
        return [row["document"] for row in self._read(query)]

    def silence_ids(self) -> list[str]:
        """Return the id of every silence there ever was."""
        return [row["id"] for row in self._read(select(SILENCES.c.id))]

    def learned(self, since_s: float) -> dict[str, bytes]:
        """Return what was learned of each subject, last written since then."""
        query = select(LEARNED).where(LEARNED.c.updated_ns >= to_ns(since_s))
        return {row["subject"]: row["content"] for row in self._read(query)}

    def _read(self, query: Select[Any]) -> Sequence[RowMapping]:
        healed = self._database.healed
        try:
            return self._rows(query)
        except SQLAlchemyError as error:
            if healed == self._database.healed:
                raise StoreError(f"cannot read the database: {error}") from error
        # It was corrupt, and a fresh file with what could be saved stands in.
        try:
            return self._rows(query)
        except SQLAlchemyError as error:
            raise StoreError(f"cannot read the database: {error}") from error

    def _rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with self._database.reading() as connection:
            return connection.execute(query).mappings().all()
