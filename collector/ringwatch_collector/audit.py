"""The audit log: who did what, where, why, with which result; append-only and hash-chained."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, select, text
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.clock import Clock
from ringwatch_collector.store.database import Database
from ringwatch_collector.store.engine import writing
from ringwatch_collector.store.store import Store
from ringwatch_collector.store.tables import AUDIT
from ringwatch_collector.validate import clean
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import StoreError
from ringwatch_proto.v1 import query_pb2

# A row as read back, or as it is about to be written.
Row = Mapping[str, Any] | RowMapping

GENESIS: Final = "0" * 64
_CHAINED: Final = ("sequence", "wall_ns", "actor", "action", "target", "incident", "reason", "result")
# Longest text of each field; what is longer is cut, and says so by its last character.
_MOST: Final = {"actor": 128, "action": 128, "target": 256, "incident": 64, "reason": 4096, "result": 4096}
_RETRY_S: Final = 0.5
# Any number, as long as every Ringwatch takes the same one.
_LOCK_KEY: Final = 0x72_77_5F_61_75
_LOG: Final = logging.getLogger("ringwatch.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The first place where the chain is broken."""

    sequence: int
    sentence: str


class Chain:
    """The chain on disk. Collectors and commands append beside each other; the transaction orders them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, fields: Mapping[str, str], now_s: float) -> Row:
        """Append one record and return it once it is on disk; raise StoreError when it cannot be."""
        kept = {name: clean(fields.get(name, ""), most) for name, most in _MOST.items()}
        try:
            with writing(self._database.engine) as connection:
                return _append(connection, kept, to_ns(now_s))
        except SQLAlchemyError as error:
            raise StoreError(f"cannot write the audit log: {error}") from error


def _append(connection: Connection, kept: Mapping[str, str], wall_ns: int) -> Row:
    if connection.dialect.name == "postgresql":  # SQLite's write transaction is a lock of its own
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    newest = select(AUDIT.c.sequence, AUDIT.c.digest).order_by(AUDIT.c.sequence.desc()).limit(1)
    tail = connection.execute(newest).first()
    row: dict[str, object] = {"sequence": 1 + (tail.sequence if tail else 0), "wall_ns": wall_ns, **kept}
    row["digest"] = digest_of(tail.digest if tail else GENESIS, row)
    connection.execute(AUDIT.insert().values(row))
    # Outside the database, a log that is shipped off the machine holds what a later verify can be held to.
    _LOG.info("record %d %s %s %s", row["sequence"], row["digest"], kept["actor"], kept["action"])
    return row


class AuditLog:
    """The chain for a running collector: tries again while the database does not work."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._chain = Chain(store.database)
        self._clock = clock
        self._in_turn = asyncio.Lock()
        self._waiting = 0

    async def append(
        self,
        *,
        actor: str,
        action: str,
        target: str = "",
        incident: str = "",
        reason: str = "",
        result: str = "",
    ) -> query_pb2.AuditRecord:
        """Append one record and return it once it is on disk, however long that takes."""
        fields = {
            "actor": actor,
            "action": action,
            "target": target,
            "incident": incident,
            "reason": reason,
            "result": result,
        }
        now_s = self._clock.now_s()
        self._waiting += 1
        try:
            async with self._in_turn:
                return _to_message(await self._appended(fields, now_s))
        finally:
            self._waiting -= 1

    async def _appended(self, fields: Mapping[str, str], now_s: float) -> Row:
        while True:
            try:
                return await asyncio.to_thread(self._chain.append, fields, now_s)
            except StoreError:
                # The store's own trouble is on every screen; the record waits for it to pass.
                await asyncio.sleep(_RETRY_S)

    async def settle(self, within_s: float) -> bool:
        """Wait until no record waits for the disk; return whether that came in time."""
        try:
            async with asyncio.timeout(within_s):
                while self._waiting:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return False
        return True

    def records(self, limit: int, incident: str = "") -> query_pb2.AuditList:
        """Return the newest records, oldest first, and whether the whole chain is intact. Reads the disk."""
        rows = self._store.audit()
        wanted = [row for row in rows if not incident or row["incident"] == incident]
        return query_pb2.AuditList(
            records=[_to_message(row) for row in wanted[-limit:]],
            chain_intact=first_fault(rows) is None,
        )


def digest_of(before: str, row: Row) -> str:
    """Return the digest of a record that follows the one with digest ``before``."""
    body = json.dumps([before, *(row[name] for name in _CHAINED)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


class Verifier:
    """Follows the chain record by record and remembers the first place where it is broken.

    Records that were cut off at the end, and a chain that was made anew from some record on, are
    whole in themselves: only a digest that was noted elsewhere, ``expected``, shows them.
    """

    def __init__(self, expected: tuple[int, str] = (0, GENESIS)) -> None:
        self.sequence = 0
        self.digest = GENESIS
        self._expected = expected
        self._fault: Fault | None = None

    def take(self, row: Row) -> bool:
        """Look at the next record; return False, and take no more, once one is not as it was written."""
        number = self.sequence + 1
        if row["sequence"] != number:
            self._fault = Fault(
                sequence=number, sentence=f"record {number} is missing: {row['sequence']} comes next"
            )
        elif row["digest"] != digest_of(self.digest, row):
            sentence = f"record {number} is not what was written, or the one before it is not"
            self._fault = Fault(sequence=number, sentence=sentence)
        else:
            self.sequence, self.digest = number, row["digest"]
            if number == self._expected[0] and self.digest != self._expected[1]:
                sentence = f"record {number} is whole, but not the one whose digest was noted"
                self._fault = Fault(sequence=number, sentence=sentence)
        return self._fault is None

    def fault(self) -> Fault | None:
        """Return where the chain is broken, None when all records are as they were written."""
        if self._fault is None and self.sequence < self._expected[0]:
            sentence = f"records {self.sequence + 1} to {self._expected[0]} were cut off"
            return Fault(sequence=self.sequence + 1, sentence=sentence)
        return self._fault


def first_fault(rows: Iterable[Row]) -> Fault | None:
    """Return where a record was changed, taken out or put in, None when all are as they were written."""
    verifier = Verifier()
    for row in rows:
        if not verifier.take(row):
            break
    return verifier.fault()


def _to_message(row: Row) -> query_pb2.AuditRecord:
    return query_pb2.AuditRecord(digest=row["digest"], **{name: row[name] for name in _CHAINED})
