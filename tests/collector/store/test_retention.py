"""What is old goes, in parts; what is needed stays; the disk gets its pages back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.collector.store.records import EVENT, INCIDENT

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import open_engine, sqlite_url
from ringwatch_collector.store.retention import Kept, Sweeper
from ringwatch_collector.store.store import Store
from ringwatch_proto.records import IncidentState

DAY_S = 86400.0
NOW_S = 2_000_000_000.0


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Open a second engine on the store's database."""
    made = open_engine(url)
    yield made
    made.dispose()


async def test_old_events_go_in_parts_and_young_ones_stay(store: Store, engine: Engine) -> None:
    """So that the writer never waits for a long delete."""
    await store.put_events("s", [(n, 5, replace(EVENT, received_s=NOW_S - n * DAY_S)) for n in range(1, 61)])
    assert Sweeper(engine, Kept(event_days=30.5), at_once=7).sweep(NOW_S) == 30
    assert sorted(number for _, number, _ in store.events()) == list(range(1, 31))


async def test_events_beyond_the_most_go_however_young(store: Store) -> None:
    """A node gone mad does not fill the disk."""
    await store.put_events("s", [(n, 5, replace(EVENT, received_s=NOW_S)) for n in range(1, 21)])
    assert store.sweep(Kept(most_events=5), NOW_S) == 15
    assert [number for _, number, _ in store.events()] == [16, 17, 18, 19, 20]


async def test_resolved_incidents_go_and_open_ones_and_the_newest_number_stay(store: Store) -> None:
    """An incident that is open is never old, and no number is given twice."""
    old = replace(INCIDENT, opened_s=1000.0, updated_s=2000.0)
    resolved = replace(old, state=IncidentState.RESOLVED, closed_s=2000.0)
    await store.put_incidents(
        [
            replace(resolved, id="I-1"),
            replace(old, id="I-2"),
            replace(resolved, id="I-3"),
            replace(resolved, id="I-4", opened_s=1001.0),
        ]
    )
    assert store.sweep(Kept(), NOW_S) == 2
    assert sorted(store.incident_ids()) == ["I-2", "I-4"]


async def test_the_file_gets_smaller_after_events_went(tmp_path: Path) -> None:
    """Freed pages go back to the disk without a stop of the world."""
    store = Store(sqlite_url(tmp_path), Counters())
    long = replace(EVENT, text="x" * 4000, received_s=1000.0)
    await store.put_events("s", [(n, 5, long) for n in range(500)])
    store.sweep(Kept(event_days=1e6), 2000.0)  # moves the write-ahead log into the file
    before = (tmp_path / "ringwatch.db").stat().st_size
    assert store.sweep(Kept(), NOW_S) == 500
    store.close()
    assert before > 2_000_000
    assert (tmp_path / "ringwatch.db").stat().st_size < before / 4
    with closing(sqlite3.connect(tmp_path / "ringwatch.db")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


async def test_events_are_acknowledged_while_a_sweep_runs(store: Store, engine: Engine) -> None:
    """The sweep takes the lock for one part at a time."""
    await store.put_events("s", [(n, 5, replace(EVENT, received_s=1000.0)) for n in range(3000)])
    sweeping = asyncio.create_task(asyncio.to_thread(Sweeper(engine, Kept(), at_once=50).sweep, NOW_S))
    written = 0
    while not sweeping.done():
        await store.put_events("t", [(written, 5, replace(EVENT, received_s=NOW_S))])
        written += 1
    assert await sweeping == 3000
    assert written >= 10
    assert len(store.events(limit=100_000)) == written
    assert not store.trouble
