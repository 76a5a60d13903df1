"""The collector's memory on disk: typed writes over the schema beside the reads. It decides nothing."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Collection, Iterable, Sequence

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.database import Database
from ringwatch_collector.store.reads import Progress, Reads, StoredRun
from ringwatch_collector.store.retention import Kept, Sweeper
from ringwatch_collector.store.rows import event_row, incident_row
from ringwatch_collector.store.statements import ABANDON_CHANNEL, SETTLE_NOTICE
from ringwatch_collector.store.tables import EVENTS, INCIDENTS, LEARNED, RUNS, SILENCES
from ringwatch_collector.store.writer import Row, Rows, Writer, in_table
from ringwatch_collector.view import SeenEvent
from ringwatch_proto.codec import to_ns
from ringwatch_proto.records import Incident

__all__ = ["Progress", "Store", "StoredRun"]

# What has to become durable with an incident: rows by the name of their statement.
Companions = Callable[[Incident], Rows]


def _alone(_: Incident) -> Rows:
    return {}


class Store(Reads):
    """Reads on any thread, writes through one writer thread.

    Raises StoreError when the database cannot be opened or is of a newer Ringwatch.
    """

    def __init__(self, url: str, counters: Counters, retry_s: float = 0.5) -> None:
        self._database = Database(url)
        self._writer = Writer(self._database, counters, retry_s)
        self._writer.start()
        # Whoever tells people of incidents has its rows written in the same transaction.
        self.companions: Companions = _alone

    @property
    def database(self) -> Database:
        """Return the database, for parts that keep tables of their own in it."""
        return self._database

    @property
    def trouble(self) -> str:
        """Return why the database does not work, empty while it does."""
        return self._writer.trouble

    @property
    def troubles(self) -> list[str]:
        """Return everything about the database that a person has to know."""
        return [each for each in (self.trouble, *self._database.troubles) if each]

    def when_healed(self, then: Callable[[], None]) -> None:
        """Have ``then`` called, on any thread, when a fresh database stands in for a corrupt one."""
        self._database.on_healed = then

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits and close."""
        self._writer.stop(timeout_s)
        self._database.close()

    def put_events(self, spool: str, events: Iterable[tuple[int, int, SeenEvent]]) -> asyncio.Future[None]:
        """Store (event id, the node's own wall_ns, event) once each; done when they are on disk."""
        rows = [event_row(spool, number, wall_ns, event) for number, wall_ns, event in events]
        return self._writer.submit(in_table(EVENTS, *rows))

    def note_progress(self, node: str, spool: str, sequence: int, now_s: float) -> None:
        """Remember how far a spool was taken, after the events of its batches were put."""
        self._writer.note_progress(node, spool, sequence, to_ns(now_s))

    def note_all_progress(self, marks: Iterable[tuple[str, str, int]], now_s: float) -> None:
        """Remember how far many spools were taken: (node, spool, sequence)."""
        self._writer.note_all_progress(marks, to_ns(now_s))

    def flush(self) -> None:
        """Have noted progress written."""
        self._writer.flush()

    def put_incidents(self, incidents: Iterable[Incident]) -> asyncio.Future[None]:
        """Store incidents as they are now, each with its companions; done when all are on disk."""
        done = [self._put_incident(incident) for incident in incidents]
        if not done:
            return self._writer.submit({})
        # Written in order: when the last one is durable, all are.
        return done[-1]

    def _put_incident(self, incident: Incident) -> asyncio.Future[None]:
        row, companions = incident_row(incident), self.companions(incident)
        if not companions:
            return self._writer.submit_incident(incident.id, row)
        return self._writer.submit({**in_table(INCIDENTS, row), **companions})

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

    def put_silence(self, silence_id: str, until_s: float, document: str) -> asyncio.Future[None]:
        """Store a silence as it is now."""
        row = {"id": silence_id, "until_ns": to_ns(until_s), "document": document}
        return self._writer.submit(in_table(SILENCES, row))

    def put_learned(self, contents: dict[str, bytes], now_s: float) -> asyncio.Future[None]:
        """Store what was learned of each subject."""
        rows = [
            {"subject": subject, "updated_ns": to_ns(now_s), "content": content}
            for subject, content in contents.items()
        ]
        return self._writer.submit(in_table(LEARNED, *rows))

    def settle_notices(self, rows: Sequence[Row]) -> concurrent.futures.Future[None]:
        """Note what became of alerts that were tried. Called on the thread that tried."""
        return self._writer.submit_from_thread({SETTLE_NOTICE: rows})

    def abandon_channels(self, but: Collection[str], now_s: float) -> None:
        """Take alerts out of the queue whose channel is no longer set; nobody would ever send them."""
        waiting = {channel for (channel, state) in self.notice_counts() if state == "waiting"}
        rows = [{"p_channel": each, "p_settled_ns": to_ns(now_s)} for each in sorted(waiting - set(but))]
        if rows:
            self._writer.submit_from_thread({ABANDON_CHANNEL: rows})

    def sweep(self, kept: Kept, now_s: float) -> int:
        """Delete what is older than is kept, a part at a time; return how many rows went. It blocks."""
        return Sweeper(self._database.engine, kept).sweep(now_s)
