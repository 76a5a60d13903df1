"""What was told to whom, as consoles ask for it. It reads rows and changes none."""

from __future__ import annotations

from ringwatch_collector.store.reads import Reads
from ringwatch_proto.v1 import query_pb2

_COLUMNS = (
    "channel", "incident", "what", "state", "tries", "error", "created_ns", "due_ns", "settled_ns", "key",
)  # fmt: skip


def listed(store: Reads, limit: int, state: str) -> query_pb2.AlertList:
    """Return the newest alerts of a state, or of any, newest first. Reads the disk."""
    rows = store.newest_notices(limit, state)
    return query_pb2.AlertList(
        alerts=[query_pb2.Alert(**{name: row[name] for name in _COLUMNS}) for row in rows]
    )
