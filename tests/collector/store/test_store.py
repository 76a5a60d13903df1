"""The store: what is put is found again, once, and one bad row keeps no good one back."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.collector.store.records import EVENT

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store, StoredRun


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


async def test_progress_that_was_noted_is_written_at_the_end(url: str) -> None:
    """A stop loses nothing."""
    store = Store(url, Counters())
    store.note_progress("n1", "s", 9, time.time())
    store.close()
    store = Store(url, Counters())
    assert [row.sequence for row in store.progress(0.0)] == [9]
    store.close()


async def test_runs_are_kept_as_their_newest_document(store: Store) -> None:
    """Oldest change first."""
    run = StoredRun(id="R-1", incident="I-1", state="running", updated_s=5.0, document="{}")
    await store.put_run(run)
    await store.put_run(replace(run, state="succeeded", document='{"a": 1}'))
    assert store.runs() == [replace(run, state="succeeded", document='{"a": 1}')]
