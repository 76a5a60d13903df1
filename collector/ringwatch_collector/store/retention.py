"""Deletes what is older than is kept, in parts so small that the writer does not wait for them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Engine, Table, and_, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.store.engine import give_back_pages, writing
from ringwatch_collector.store.tables import EVENTS, INCIDENTS, LEARNED, OUTBOX, RUNS, SILENCES
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import ConfigError, StoreError

_DAY_S: Final = 86400.0
# A delete of so many rows holds the lock for some 20 ms; the pause lets the writer in between.
_AT_ONCE: Final = 1000
_PAUSE_S: Final = 0.02
_PAGES: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Section [store]: how long what is kept. Audit records are never deleted: their chain would break."""

    event_days: float = 30.0
    """Days for which events are kept."""
    most_events: int = 20_000_000
    """Events beyond this many are deleted, oldest first, however young."""
    incident_days: float = 365.0
    """Days for which resolved incidents and ended runs are kept."""
    notice_days: float = 30.0
    """Days for which alerts that were sent, given up or overtaken are kept."""
    learned_days: float = 30.0
    """Days for which the reference of a job is kept that was not seen again."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not 0 < getattr(self, name) < 1e12:
                raise ConfigError(f"store.{name} must be above 0 and finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    table: Table
    key: ColumnElement[object]
    old: ColumnElement[bool]


class Sweeper:
    """One sweep of one database. It runs on a thread of its own and takes its time."""

    def __init__(self, engine: Engine, kept: Kept, at_once: int = _AT_ONCE) -> None:
        self._engine = engine
        self._kept = kept
        self._at_once = at_once

    def sweep(self, now_s: float) -> int:
        """Delete and give pages back; return how many rows went; raise StoreError when it cannot."""
        try:
            gone = sum(self._empty(rule) for rule in self._rules(now_s))
            while give_back_pages(self._engine, _PAGES):
                time.sleep(_PAUSE_S)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"cannot delete what is old: {error}") from error
        return gone

    def _empty(self, rule: _Rule) -> int:
        gone = 0
        while True:
            part = select(rule.key).where(rule.old).limit(self._at_once)
            with writing(self._engine) as connection:
                count = connection.execute(delete(rule.table).where(rule.key.in_(part))).rowcount
            gone += count
            if count < self._at_once:
                return gone
            time.sleep(_PAUSE_S)

    def _rules(self, now_s: float) -> Iterator[_Rule]:
        kept = self._kept

        def before_ns(days: float) -> int:
            return to_ns(max(0.0, now_s - days * _DAY_S))

        events = EVENTS.c
        yield _Rule(table=EVENTS, key=events.row_number, old=events.received_ns < before_ns(kept.event_days))
        yield _Rule(table=EVENTS, key=events.row_number, old=events.row_number <= self._surplus())
        closed = before_ns(kept.incident_days)
        # The newest incident stays: its number is not given again.
        newest = select(func.max(INCIDENTS.c.opened_ns)).scalar_subquery()
        yield _Rule(
            table=INCIDENTS,
            key=INCIDENTS.c.id,
            old=and_(
                INCIDENTS.c.state == "resolved",
                INCIDENTS.c.updated_ns < closed,
                INCIDENTS.c.opened_ns < newest,
            ),
        )
        yield _Rule(
            table=RUNS,
            key=RUNS.c.id,
            old=and_(RUNS.c.updated_ns < closed, RUNS.c.incident.not_in(select(INCIDENTS.c.id))),
        )
        yield _Rule(
            table=OUTBOX,
            key=OUTBOX.c.row_number,
            old=and_(OUTBOX.c.state != "waiting", OUTBOX.c.settled_ns < before_ns(kept.notice_days)),
        )
        last = select(func.max(SILENCES.c.until_ns)).scalar_subquery()
        yield _Rule(
            table=SILENCES,
            key=SILENCES.c.id,
            old=and_(SILENCES.c.until_ns < closed, SILENCES.c.until_ns < last),
        )
        yield _Rule(
            table=LEARNED,
            key=LEARNED.c.subject,
            old=LEARNED.c.updated_ns < before_ns(kept.learned_days),
        )

    def _surplus(self) -> int:
        """Return the row number up to which events are too many."""
        with self._engine.connect() as connection:
            newest = connection.execute(select(func.max(EVENTS.c.row_number))).scalar()
        return (newest or 0) - self._kept.most_events
