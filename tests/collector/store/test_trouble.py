"""A database that is corrupt, full, locked or gone: said loudly, counted, and mended where it can be."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.collector.servers import new_database
from tests.collector.store.records import EVENT, INCIDENT

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import open_engine, sqlite_url, writing
from ringwatch_collector.store.store import Store


async def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until ``condition()`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


async def _filled(folder: Path) -> None:
    store = Store(sqlite_url(folder), Counters())
    await store.put_incidents([INCIDENT])
    long = replace(EVENT, text="x" * 2000)
    for first in range(0, 3000, 500):
        await store.put_events("s", [(n, 5, long) for n in range(first, first + 500)])
    store.close()
    with closing(sqlite3.connect(folder / "ringwatch.db")) as database:
        database.execute("pragma wal_checkpoint(truncate)")


def _scribble(file: Path, offset: int, length: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xa5" * length)


async def test_a_corrupt_file_is_moved_aside_at_the_start_and_what_can_be_read_is_kept(
    tmp_path: Path,
) -> None:
    """Said as a trouble for as long as the file lies there."""
    await _filled(tmp_path)
    file = tmp_path / "ringwatch.db"
    _scribble(file, file.stat().st_size // 2, 8192)
    store = Store(sqlite_url(tmp_path), Counters())
    (aside,) = tmp_path.glob("ringwatch.db.corrupt-*Z")
    assert [each for each in store.troubles if aside.name in each]
    assert store.incident_ids() == ["I-1"]
    assert 0 < len(store.events(limit=10_000)) <= 3000
    await store.put_events("s", [(9000, 5, EVENT)])
    aside.unlink()
    assert store.troubles == []
    store.close()


async def test_a_file_that_is_no_database_is_moved_aside_and_a_fresh_one_works(tmp_path: Path) -> None:
    """Nothing of it can be saved, and nothing is claimed."""
    (tmp_path / "ringwatch.db").write_bytes(b"this is no database" * 1000)
    store = Store(sqlite_url(tmp_path), Counters())
    await store.put_events("s", [(1, 5, EVENT)])
    assert len(store.events()) == 1
    assert len(store.troubles) == 1
    assert next(tmp_path.glob("ringwatch.db.corrupt-*Z")).read_bytes().startswith(b"this is no database")
    store.close()


async def test_corruption_met_while_running_is_healed_and_the_write_that_met_it_is_kept(
    tmp_path: Path,
) -> None:
    """The writer puts a fresh file in its place and writes what waited; whoever keeps state is told."""
    await _filled(tmp_path)
    counters = Counters()
    store = Store(sqlite_url(tmp_path), counters, retry_s=0.05)
    told: list[str] = []
    store.when_healed(lambda: told.append("healed"))
    file = tmp_path / "ringwatch.db"
    # All but the header: whatever is read next is damaged.
    _scribble(file, 4096, file.stat().st_size - 4096)
    await store.put_events("t", [(n, 5, EVENT) for n in range(500)])
    await store.put_events("s", [(n, 5, EVENT) for n in range(3000)])
    assert ("t", 1, EVENT) in store.events(limit=10_000)
    assert told == ["healed"]
    assert counters.store_failures >= 1
    assert not store.trouble
    assert len(store.troubles) == 1
    store.close()


@pytest.mark.parametrize("stranger", [False, True])
async def test_a_file_that_is_removed_while_in_use_is_written_anew_with_all_it_held(
    tmp_path: Path, stranger: bool
) -> None:
    """SQLite would go on to write into a file that has no name: acknowledged events would be gone."""
    store = Store(sqlite_url(tmp_path), Counters())
    await store.put_events("s", [(1, 5, EVENT)])
    for file in tmp_path.glob("ringwatch.db*"):
        file.unlink()
    if stranger:
        (tmp_path / "ringwatch.db").write_bytes(b"someone else's")
    await store.put_events("s", [(2, 5, EVENT)])
    await store.put_events("s", [(3, 5, EVENT)])
    store.close()
    store = Store(sqlite_url(tmp_path), Counters())
    assert [number for _, number, _ in store.events()] == [1, 2, 3]
    assert bool(store.troubles) is stranger
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
async def test_a_full_disk_holds_writes_back_until_there_is_room(small_disk: Path) -> None:
    """Nothing is reported as done that is not on disk, and nothing that waited is lost."""
    counters = Counters()
    store = Store(sqlite_url(small_disk), counters, retry_s=0.05)
    await store.put_events("s", [(1, 5, EVENT)])
    ballast = small_disk / "ballast"
    with ballast.open("wb") as stream:
        while True:
            try:
                stream.write(b"x" * 65536)
                stream.flush()
            except OSError:
                break
    long = replace(EVENT, text="x" * 4000)
    waiting = store.put_events("s", [(n, 5, long) for n in range(2, 52)])
    await eventually(lambda: bool(store.trouble))
    assert "full" in store.trouble
    assert not waiting.done()
    assert counters.store_failures > 0
    ballast.unlink()
    await waiting
    await eventually(lambda: not store.trouble)
    assert len(store.events()) == 51
    store.close()


async def test_trouble_keeps_one_waiting_row_for_each_incident(tmp_path: Path) -> None:
    """A day without a database does not fill the memory: only the newest state matters."""
    store = Store(sqlite_url(tmp_path), Counters(), retry_s=0.05)
    with closing(sqlite3.connect(tmp_path / "ringwatch.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        first = store.put_incidents([INCIDENT])
        await eventually(lambda: bool(store.trouble))
        waiting = {store.put_incidents([replace(INCIDENT, gpu_hours_lost=float(n))]) for n in range(100)}
        assert len(waiting) == 1
        other.execute("rollback")
    await asyncio.gather(first, *waiting)
    stored = store.incident("I-1")
    assert stored is not None
    assert stored.gpu_hours_lost == 99.0
    store.close()


async def test_a_postgres_that_drops_its_connections_is_tried_again(postgres_server: str) -> None:
    """A restart of the server is a pause, not a loss."""
    url = new_database(postgres_server)
    counters = Counters()
    store = Store(url, counters, retry_s=0.05)
    await store.put_events("s", [(1, 5, EVENT)])
    admin = open_engine(f"{postgres_server}/postgres")
    name = url.rpartition("/")[2]
    with writing(admin) as connection:
        connection.execute(text(f"alter database {name} with allow_connections false"))
        connection.execute(
            text("select pg_terminate_backend(pid) from pg_stat_activity where datname = :name"),
            {"name": name},
        )
    waiting = store.put_events("s", [(2, 5, EVENT)])
    await eventually(lambda: bool(store.trouble))
    assert not waiting.done()
    with writing(admin) as connection:
        connection.execute(text(f"alter database {name} with allow_connections true"))
    await waiting
    admin.dispose()
    assert [number for _, number, _ in store.events()] == [1, 2]
    assert counters.store_failures > 0
    store.close()


async def test_a_url_with_a_password_is_not_said(tmp_path: Path) -> None:
    """Neither in the error of a database that cannot be had."""
    del tmp_path
    with pytest.raises(Exception, match="cannot open the database") as caught:
        Store("postgresql://ringwatch:geheim@127.0.0.1:1/nothing", Counters())
    assert "geheim" not in str(caught.value)
    assert os.environ.get("PGPASSWORD") is None
