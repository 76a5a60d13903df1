"""The audit log: records chain, and a change anywhere shows."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store


async def _written(folder: Path) -> Store:
    store = Store(sqlite_url(folder), Counters())
    log = AuditLog(store, Clock())
    await asyncio.gather(*(log.append(actor="ada", action="verb", target=f"n{n}") for n in range(5)))
    return store


async def test_records_are_numbered_and_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Records that are appended at the same time chain to each other too."""
    (await _written(tmp_path)).close()
    store = Store(sqlite_url(tmp_path), Counters())
    log = AuditLog(store, Clock())
    await log.append(actor="bob", action="verb", target="n5", incident="I-1")
    listed = log.records(3)
    assert [record.sequence for record in listed.records] == [4, 5, 6]
    assert listed.chain_intact
    assert [record.target for record in log.records(10, "I-1").records] == ["n5"]
    store.close()


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit set actor = 'eve' where sequence = 2",
        "delete from audit where sequence = 3",
        "update audit set sequence = 9 where sequence = 5",
        "delete from audit where sequence = 1",
    ],
)
async def test_a_record_that_was_changed_or_taken_out_breaks_the_chain(
    tmp_path: Path, tampering: str
) -> None:
    """Whoever reads the log is told."""
    (await _written(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / "ringwatch.db")) as database:
        database.execute(tampering)
        database.commit()
    store = Store(sqlite_url(tmp_path), Counters())
    assert not AuditLog(store, Clock()).records(10).chain_intact
    store.close()


async def test_control_characters_do_not_reach_the_log(tmp_path: Path) -> None:
    """Whoever prints the log is safe."""
    store = Store(sqlite_url(tmp_path), Counters())
    record = await AuditLog(store, Clock()).append(actor="a\x1b[31m", action="x\ny")
    assert record.actor.isprintable()
    assert record.action.isprintable()
    store.close()


async def test_a_command_beside_a_running_collector_writes_into_the_same_chain(tmp_path: Path) -> None:
    """Two stores on one database, both appending at once: every record has its own number and digest."""
    stores = [Store(sqlite_url(tmp_path), Counters()) for _ in range(2)]
    logs = [AuditLog(store, Clock()) for store in stores]
    await asyncio.gather(*(logs[n % 2].append(actor=f"a{n % 2}", action="verb") for n in range(20)))
    listed = logs[0].records(100)
    assert [record.sequence for record in listed.records] == list(range(1, 21))
    assert {record.actor for record in listed.records} == {"a0", "a1"}
    assert listed.chain_intact
    for store in stores:
        store.close()


async def test_a_record_waits_for_a_database_that_is_locked(tmp_path: Path) -> None:
    """It is written once the lock is gone, with the time at which the act was done."""
    store = Store(sqlite_url(tmp_path), Counters())
    log = AuditLog(store, Clock())
    with closing(sqlite3.connect(tmp_path / "ringwatch.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        appending = asyncio.create_task(log.append(actor="ada", action="verb"))
        await asyncio.sleep(0)
        assert not await log.settle(0.3)
        other.execute("rollback")
    assert (await appending).sequence == 1
    assert await log.settle(1.0)
    store.close()
