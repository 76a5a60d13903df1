"""The one thread that writes to the database: groups what is waiting into one commit. Decides nothing."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Table
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.database import Database
from ringwatch_collector.store.engine import is_corrupt, writing
from ringwatch_collector.store.statements import statements
from ringwatch_collector.store.tables import INCIDENTS, PROGRESS
from ringwatch_proto.errors import StoreError

Row = Mapping[str, object]
# Statement or table name -> its rows, in the order in which they are run.
Rows = Mapping[str, Sequence[Row]]

_LOG: Final = logging.getLogger("ringwatch.collector.store")
_MOST_GROUPED: Final = 2000


@dataclass(slots=True, kw_only=True)
class Write:
    """Rows of some tables that have to become durable together."""

    rows: dict[str, Sequence[Row]]
    done: asyncio.Future[None] | concurrent.futures.Future[None]


class Writer:
    """Commits writes in the order in which they came.

    While the database refuses, the same group is tried again for ever and nothing is reported as
    done; ``trouble`` says why. A row that the database can never take is left out and counted.
    """

    def __init__(self, database: Database, counters: Counters, retry_s: float) -> None:
        self._database = database
        self._counters = counters
        self._retry_s = retry_s
        self._waiting: deque[Write] = deque()
        # The last waiting write of an incident that nothing but its newest state depends on.
        self._newest: dict[str, Write] = {}
        self._progress: dict[tuple[str, str], Row] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._statements = statements(database.engine)
        self.trouble = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, rows: Rows) -> asyncio.Future[None]:
        """Queue rows; the future is done once they are on disk. Called on the event loop."""
        done = asyncio.get_running_loop().create_future()
        self._queue(Write(rows=dict(rows), done=done))
        return done

    def submit_incident(self, incident_id: str, row: Row) -> asyncio.Future[None]:
        """Queue an incident that changed in nothing that anyone is told of.

        While the database refuses work, a newer state takes the place of the one that still waits,
        so that a day of trouble does not fill the memory. Called on the event loop.
        """
        with self._changed:
            older = self._newest.get(incident_id)
            if older is not None and isinstance(older.done, asyncio.Future):
                older.rows[INCIDENTS.name] = [row]
                return older.done
            write = Write(rows={INCIDENTS.name: [row]}, done=asyncio.get_running_loop().create_future())
            self._waiting.append(write)
            self._newest[incident_id] = write
            self._changed.notify()
        return write.done  # type: ignore[return-value]  # made four lines above

    def submit_from_thread(self, rows: Rows) -> concurrent.futures.Future[None]:
        """Queue rows from a thread without a loop."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._queue(Write(rows=dict(rows), done=done))
        return done

    def _queue(self, write: Write) -> None:
        with self._changed:
            self._waiting.append(write)
            # What comes now must not be overtaken by an older state that was let in before it.
            for row in write.rows.get(INCIDENTS.name, ()):
                self._newest.pop(str(row["id"]), None)
            self._changed.notify()

    def note_progress(self, node: str, spool: str, sequence: int, now_ns: int) -> None:
        """Remember how far a spool was taken; written with the next commit or ``flush``."""
        row = {"node": node, "spool": spool, "sequence": sequence, "updated_ns": now_ns}
        with self._changed:
            self._progress[node, spool] = row

    def note_all_progress(self, marks: Iterable[tuple[str, str, int]], now_ns: int) -> None:
        """Remember how far many spools were taken: (node, spool, sequence)."""
        rows = {
            (node, spool): {"node": node, "spool": spool, "sequence": sequence, "updated_ns": now_ns}
            for node, spool, sequence in marks
        }
        with self._changed:
            self._progress.update(rows)

    def flush(self) -> None:
        """Have noted progress written even when nothing else waits."""
        with self._changed:
            if self._progress:
                self._changed.notify()

    def stop(self, timeout_s: float) -> None:
        """Write what waits and end; what the database does not take in time stays unacknowledged."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._stopping:
                    self._changed.wait(timeout=5.0)
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_GROUPED))]
                self._newest.clear()
                progress, self._progress = list(self._progress.values()), {}
                ending = self._stopping and not self._waiting
            if (group or progress) and self._write(group, progress):
                _report_done(group)
            if ending:
                return

    def _write(self, group: Sequence[Write], progress: Sequence[Row]) -> bool:
        """Write a group, however long it takes; return False when a stop came first."""
        while True:
            engine = self._database.engine
            try:
                self._commit(group, progress)
            except Exception as error:  # noqa: BLE001  (a dead writer would acknowledge nothing for ever)
                self._failed(error)
                if is_corrupt(error) and self._healed(error):
                    continue
                if _may_pass(error) or engine is not self._database.engine:
                    if self._pause():
                        continue
                    return False
                if not self._write_one_by_one(group, progress):
                    return False
            self._recovered()
            return True

    def _healed(self, error: Exception) -> bool:
        """Have a corrupt file replaced; return whether there is a sound one now."""
        try:
            self._database.heal(self._database.engine, error)
        except Exception as worse:  # noqa: BLE001  (a dead writer would acknowledge nothing for ever)
            self._failed(worse)
            return False
        return True

    def _pause(self) -> bool:
        """Wait before the next try; return False when there shall be none."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._stopping, timeout=self._retry_s)

    def _commit(self, group: Sequence[Write], progress: Sequence[Row]) -> None:
        self._database.ensure()
        with writing(self._database.engine) as connection:
            for write in group:
                for name, rows in write.rows.items():
                    connection.execute(self._statements[name], list(rows))
            if progress:
                connection.execute(self._statements[PROGRESS.name], list(progress))

    def _write_one_by_one(self, group: Sequence[Write], progress: Sequence[Row]) -> bool:
        """Write each row alone, leaving out those that can never be written; return False on a stop."""
        rows = [(name, row) for write in group for name, each in write.rows.items() for row in each]
        rows += [(PROGRESS.name, row) for row in progress]
        return all(self._write_row(name, row) for name, row in rows)

    def _write_row(self, name: str, row: Row) -> bool:
        while True:
            try:
                with writing(self._database.engine) as connection:
                    connection.execute(self._statements[name], [row])
            except Exception as error:  # noqa: BLE001  (a dead writer would acknowledge nothing for ever)
                if _may_pass(error):
                    self._failed(error)
                    if self._pause():
                        continue
                    return False
                self._counters.dropped["row_refused_by_database"] += 1
            return True

    def _failed(self, error: Exception) -> None:
        self._counters.store_failures += 1
        reason = str(getattr(error, "orig", error)).partition("\n")[0][:200]
        if not self.trouble:
            _LOG.error("the database refuses work: %s", reason)
        self.trouble = f"database: {reason}; events are not acknowledged until it works again"

    def _recovered(self) -> None:
        if self.trouble:
            _LOG.warning("the database works again")
        self.trouble = ""


def _may_pass(error: Exception) -> bool:
    """Tell a database that does not work now from a row that it can never take."""
    if isinstance(error, StoreError):
        return True
    return isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError)


def _report_done(group: Sequence[Write]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for write in group:
        if isinstance(write.done, asyncio.Future):
            by_loop.setdefault(write.done.get_loop(), []).append(write.done)
        else:
            write.done.set_result(None)
    for loop, futures in by_loop.items():
        # The loop may have closed after a stop that did not wait; nobody listens then.
        if not loop.is_closed():
            loop.call_soon_threadsafe(_set_done, futures)


def _set_done(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


def in_table(table: Table, *rows: Row) -> dict[str, Sequence[Row]]:
    """Return rows of one table as ``Writer.submit`` takes them."""
    return {table.name: rows}
