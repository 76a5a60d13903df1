"""The store: what is put is found again, once, and one bad row keeps no good one back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store, StoredRun
from ringwatch_collector.view import SeenEvent
from ringwatch_proto.errors import StoreError

EVENT = SeenEvent(
    node="n1",
    at_s=1_700_000_000.5,
    received_s=1_700_000_001.0,
    kind="gpu.xid",
    severity=3,
    source="kmsg",
    device="GPU-1",
    code=79,
    text='it\'s "quoted"; DROP TABLE events; 中文',
    fields={"pid": "7"},
    backfill=True,
)


@pytest.fixture
def counters() -> Counters:
    """Return fresh counts."""
    return Counters()


@pytest.fixture
def store(tmp_path: Path, counters: Counters) -> Iterator[Store]:
    """Open a store in a fresh folder."""
    made = Store(sqlite_url(tmp_path), counters)
    yield made
    made.close()


async def test_an_event_comes_back_as_it_was_put(store: Store) -> None:
    """All of its fields, whatever its text holds."""
    await store.put_events("s", [(1, 5, EVENT)])
    assert store.events() == [("s", 1, EVENT)]


async def test_an_event_is_stored_once_for_each_node_spool_and_id(store: Store) -> None:
    """The same again changes nothing; another spool is another event."""
    await store.put_events("s", [(1, 5, EVENT), (1, 5, EVENT)])
    await store.put_events("s", [(1, 5, replace(EVENT, text="forged"))])
    await store.put_events("t", [(1, 5, EVENT)])
    assert [(spool, event.text) for spool, _, event in store.events()] == [
        ("s", EVENT.text),
        ("t", EVENT.text),
    ]


async def test_events_are_found_by_node_and_time_newest_kept_by_the_limit(store: Store) -> None:
    """Oldest first."""
    made = [(n, 5, replace(EVENT, node=f"n{n % 2}", received_s=EVENT.received_s + n)) for n in range(10)]
    await store.put_events("s", made)
    assert [number for _, number, _ in store.events(node="n1", limit=2)] == [7, 9]
    assert [number for _, number, _ in store.events(since_s=EVENT.received_s + 8)] == [8, 9]


async def test_a_row_that_the_database_can_never_take_keeps_no_other_back(
    store: Store, counters: Counters
) -> None:
    """It is left out and counted, and the writer lives on."""
    bad = replace(EVENT, code=2**70)
    await store.put_events("s", [(1, 5, EVENT), (2, 5, bad), (3, 5, EVENT)])
    await store.put_events("s", [(4, 5, EVENT)])
    assert [number for _, number, _ in store.events()] == [1, 3, 4]
    assert counters.dropped["row_refused_by_database"] == 1
    assert not store.trouble


async def test_progress_is_written_with_the_events_before_it(store: Store) -> None:
    """And replaced as it goes on."""
    store.note_progress("n1", "s", 3, 1000.0)
    store.note_progress("n1", "s", 4, 1001.0)
    await store.put_events("s", [(1, 5, EVENT)])
    assert [(row.node, row.spool, row.sequence) for row in store.progress(0.0)] == [("n1", "s", 4)]
    assert not store.progress(2000.0)


async def test_progress_that_was_noted_is_written_at_the_end(tmp_path: Path) -> None:
    """A stop loses nothing."""
    store = Store(sqlite_url(tmp_path), Counters())
    store.note_progress("n1", "s", 9, time.time())
    store.close()
    store = Store(sqlite_url(tmp_path), Counters())
    assert [row.sequence for row in store.progress(0.0)] == [9]
    store.close()


async def test_runs_are_kept_as_their_newest_document(store: Store) -> None:
    """Oldest change first."""
    run = StoredRun(id="R-1", incident="I-1", state="running", updated_s=5.0, document="{}")
    await store.put_run(run)
    await store.put_run(replace(run, state="succeeded", document='{"a": 1}'))
    assert store.runs() == [replace(run, state="succeeded", document='{"a": 1}')]


async def test_old_events_are_forgotten_a_part_at_a_time(store: Store) -> None:
    """So that nobody waits for a long delete."""
    await store.put_events("s", [(n, 5, replace(EVENT, received_s=100.0 + n)) for n in range(10)])
    assert store.forget_events(108.0, most=5) == 5
    assert store.forget_events(108.0, most=5) == 3
    assert [number for _, number, _ in store.events()] == [8, 9]


def test_a_database_of_a_newer_ringwatch_is_refused(tmp_path: Path, counters: Counters) -> None:
    """It may hold what this one would destroy."""
    Store(sqlite_url(tmp_path), counters).close()
    with closing(sqlite3.connect(tmp_path / "ringwatch.db")) as database:
        database.execute("update schema_version set version = 99")
        database.commit()
    with pytest.raises(StoreError, match="schema 99"):
        Store(sqlite_url(tmp_path), counters)
