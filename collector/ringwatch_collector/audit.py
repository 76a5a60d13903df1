"""The audit log: who did what, where, why, with which result; append-only and hash-chained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import RowMapping

from ringwatch_collector.clock import Clock
from ringwatch_collector.store.store import Store
from ringwatch_collector.validate import clean
from ringwatch_proto.codec import to_ns
from ringwatch_proto.v1 import query_pb2

# A row as read back, or as it is about to be written.
Row = Mapping[str, Any] | RowMapping

GENESIS: Final = "0" * 64
_CHAINED: Final = ("sequence", "wall_ns", "actor", "action", "target", "incident", "reason", "result")


class AuditLog:
    """Appends records; each digest covers the record and the digest before it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        tail = store.audit_tail()
        self._sequence: int = tail["sequence"] if tail is not None else 0
        self._digest: str = tail["digest"] if tail is not None else GENESIS

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
        """Append one record and return it once it is on disk."""
        row: dict[str, object] = {
            "sequence": self._sequence + 1,
            "wall_ns": to_ns(self._clock.now_s()),
            "actor": clean(actor, 128),
            "action": clean(action, 128),
            "target": clean(target, 256),
            "incident": clean(incident, 64),
            "reason": clean(reason, 4096),
            "result": clean(result, 4096),
        }
        row["digest"] = digest_of(self._digest, row)
        # Both move on before the wait, so that records appended meanwhile chain to this one.
        self._sequence += 1
        self._digest = str(row["digest"])
        await self._store.put_audit(row)
        return _to_message(row)

    def records(self, limit: int, incident: str = "") -> query_pb2.AuditList:
        """Return the newest records, oldest first, and whether the whole chain is intact. Reads the disk."""
        rows = self._store.audit()
        wanted = [row for row in rows if not incident or row["incident"] == incident]
        return query_pb2.AuditList(
            records=[_to_message(row) for row in wanted[-limit:]],
            chain_intact=is_intact(rows),
        )


def digest_of(before: str, row: Row) -> str:
    """Return the digest of a record that follows the one with digest ``before``."""
    body = json.dumps([before, *(row[name] for name in _CHAINED)], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def is_intact(rows: Iterable[Row]) -> bool:
    """Return whether no record was changed, taken out or put in."""
    before, expected = GENESIS, 1
    for row in rows:
        if row["sequence"] != expected or row["digest"] != digest_of(before, row):
            return False
        before, expected = row["digest"], expected + 1
    return True


def _to_message(row: Row) -> query_pb2.AuditRecord:
    return query_pb2.AuditRecord(digest=row["digest"], **{name: row[name] for name in _CHAINED})
