"""The statements of the writer by name. It runs none of them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, Executable, bindparam, update

from ringwatch_collector.store.engine import insert_new, insert_or_replace
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

# Changes of an alert that waits. Each takes rows of ``p_*`` parameters.
SETTLE_NOTICE: Final = "outbox.settle"
RETELL_NOTICE: Final = "outbox.retell"
CANCEL_NOTICE: Final = "outbox.cancel"
ABANDON_CHANNEL: Final = "outbox.abandon"


def statements(engine: Engine) -> dict[str, Executable]:
    """Return every statement for an engine's dialect."""
    untold = (OUTBOX.c.key == bindparam("p_key")) & (OUTBOX.c.state == "waiting") & (OUTBOX.c.tries == 0)
    return {
        EVENTS.name: insert_new(engine, EVENTS),
        PROGRESS.name: insert_or_replace(engine, PROGRESS, ("node", "spool")),
        INCIDENTS.name: insert_or_replace(engine, INCIDENTS, ("id",)),
        RUNS.name: insert_or_replace(engine, RUNS, ("id",)),
        AUDIT.name: insert_new(engine, AUDIT),
        SILENCES.name: insert_or_replace(engine, SILENCES, ("id",)),
        LEARNED.name: insert_or_replace(engine, LEARNED, ("subject",)),
        OUTBOX.name: insert_new(engine, OUTBOX),
        SETTLE_NOTICE: update(OUTBOX)
        .where(OUTBOX.c.row_number == bindparam("p_number"))
        .values(
            state=bindparam("p_state"),
            tries=bindparam("p_tries"),
            due_ns=bindparam("p_due_ns"),
            settled_ns=bindparam("p_settled_ns"),
            error=bindparam("p_error"),
        ),
        RETELL_NOTICE: update(OUTBOX).where(untold).values(document=bindparam("p_document")),
        ABANDON_CHANNEL: update(OUTBOX)
        .where((OUTBOX.c.channel == bindparam("p_channel")) & (OUTBOX.c.state == "waiting"))
        .values(state="obsolete", error="the channel is no longer set", settled_ns=bindparam("p_settled_ns")),
        CANCEL_NOTICE: update(OUTBOX)
        .where(untold)
        .values(state="obsolete", settled_ns=bindparam("p_settled_ns")),
    }
