"""The spool on disk: restarts, torn tails, bounds, full disks."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringwatch_agent.journal import Journal
from ringwatch_agent.persister import Persister
from ringwatch_agent.spool import Spool
from ringwatch_agent.spool_mark import Mark
from ringwatch_proto.errors import SpoolError
from ringwatch_proto.v1 import telemetry_pb2 as pb

Open = Callable[..., Journal]


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Open]:
    """Open journals in one directory, one after the other."""
    journals: list[Journal] = []

    def begin(**options: int) -> Journal:
        for each in journals:
            each.close()
        journals.append(Journal(tmp_path, **{"limit_bytes": 1 << 20, **options}))
        return journals[-1]

    yield begin
    for each in journals:
        each.close()


def _fill(spool: Spool, count: int, size: int = 100) -> None:
    for _ in range(count):
        schema_id = spool.last_schema_id or 1
        hello = None if spool.last_schema_id else pb.Hello(node="n", schema_id=1)
        batch = pb.Batch(schema_id=schema_id, events=[pb.Event(kind="gpu.xid")])
        batch.blocks.add(values=b"v" * size)
        spool.append(hello, batch)


def _write(spool: Spool, journal: Journal) -> None:
    records = spool.between(journal.written_sequence + 1, spool.last_sequence)
    journal.write(records, spool.hellos(), sync=True)


def _mark(spool: Spool, journal: Journal, *, clean: bool) -> None:
    journal.mark(
        Mark(spool_id=spool.spool_id, last=spool.last_sequence, acked=spool.acked_sequence, clean=clean)
    )


def _sequences(spool: Spool) -> list[int]:
    return [record.sequence for record in spool.between(0, spool.last_sequence)]


def test_after_a_clean_stop_everything_goes_on(open_journal: Open) -> None:
    """Identity, sequence, what was not acknowledged and its Hello survive."""
    journal = open_journal()
    spool = Spool(kept=journal.load())
    _fill(spool, 5)
    spool.ack(2)
    _write(spool, journal)
    _mark(spool, journal, clean=True)
    again = Spool(kept=open_journal().load())
    assert again.spool_id == spool.spool_id
    assert _sequences(again) == [3, 4, 5]
    assert again.last_sequence == 5
    assert again.hello(1) == spool.hello(1)


def test_after_a_kill_no_sequence_is_used_twice(open_journal: Open) -> None:
    """What was sent but not written must not lend its number to another batch."""
    journal = open_journal()
    spool = Spool(kept=journal.load())
    _fill(spool, 3)
    _write(spool, journal)
    _fill(spool, 4)  # sent, perhaps, and never written
    again = Spool(kept=open_journal().load())
    assert again.spool_id == spool.spool_id
    assert _sequences(again) == [1, 2, 3]
    assert again.last_sequence > spool.last_sequence


@pytest.mark.parametrize("cut", [1, 7, 8, 20, 100])
def test_a_torn_tail_is_cut_off_and_counted(open_journal: Open, tmp_path: Path, cut: int) -> None:
    """A power cut costs the last batch, not the ones before it."""
    journal = open_journal()
    spool = Spool(kept=journal.load())
    _fill(spool, 4)
    _write(spool, journal)
    (segment,) = tmp_path.glob("*.spool")
    os.truncate(segment, segment.stat().st_size - cut)
    again = Spool(kept=open_journal().load())
    assert _sequences(again) == [1, 2, 3]
    assert again.dropped_total == {"spool.torn": 1}


def test_a_flipped_bit_is_found(open_journal: Open, tmp_path: Path) -> None:
    """A checksum guards every record."""
    journal = open_journal()
    spool = Spool(kept=journal.load())
    _fill(spool, 4)
    _write(spool, journal)
    (segment,) = tmp_path.glob("*.spool")
    data = bytearray(segment.read_bytes())
    data[-50] ^= 1
    segment.write_bytes(data)
    again = Spool(kept=open_journal().load())
    assert _sequences(again) == [1, 2, 3]
    assert again.dropped_total["spool.torn"] == 1


def test_what_is_acknowledged_leaves_the_disk(open_journal: Open, tmp_path: Path) -> None:
    """Full segments go as soon as all of them is acknowledged; the open one goes on."""
    journal = open_journal(segment_bytes=500)
    spool = Spool(kept=journal.load())
    _fill(spool, 20)
    _write(spool, journal)
    many = len(list(tmp_path.glob("*.spool")))
    spool.ack(20)
    journal.trim(20)
    assert many > 4
    assert len(list(tmp_path.glob("*.spool"))) == 1


def test_a_new_segment_begins_with_the_hello_it_needs(open_journal: Open) -> None:
    """Removing old segments takes no Hello away from later ones."""
    journal = open_journal(segment_bytes=500)
    spool = Spool(kept=journal.load())
    _fill(spool, 20)
    _write(spool, journal)
    spool.ack(15)
    journal.trim(15)
    again = Spool(kept=open_journal().load())
    assert _sequences(again)[-5:] == [16, 17, 18, 19, 20]
    assert again.dropped_total == {}


def test_two_agents_cannot_share_a_directory(open_journal: Open, tmp_path: Path) -> None:
    """The second one is told so at start-up."""
    open_journal()
    with pytest.raises(SpoolError, match="another agent"):
        Journal(tmp_path, limit_bytes=1)


def test_a_lost_mark_keeps_the_identity(open_journal: Open, tmp_path: Path) -> None:
    """The Hello on disk says whose batches these are."""
    journal = open_journal()
    spool = Spool(kept=journal.load())
    _fill(spool, 2)
    _write(spool, journal)
    (tmp_path / "mark.json").write_text("{")
    again = Spool(kept=open_journal().load())
    assert again.spool_id == spool.spool_id
    assert _sequences(again) == [1, 2]


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


async def test_the_persister_follows_and_bounds_the_disk(open_journal: Open, tmp_path: Path) -> None:
    """Thinned batches leave the disk too; after a restart all events are still there."""
    journal = open_journal(limit_bytes=60_000, segment_bytes=10_000)
    spool = Spool(limit_bytes=30_000, kept=journal.load())
    persister = Persister(spool, journal)
    running = asyncio.create_task(persister.run())
    for _ in range(60):
        _fill(spool, 1, size=2000)
        await _until(lambda: journal.written_sequence == spool.last_sequence)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) < 75_000
    running.cancel()
    await persister.finish(5)
    again = Spool(limit_bytes=30_000, kept=open_journal().load())
    assert _sequences(again) == list(range(1, 61))
    assert again.last_sequence == 60


@pytest.mark.root
async def test_a_full_disk_loses_nothing_while_the_agent_lives(tmp_path: Path) -> None:
    """A real file system without room: trouble is said, and all is written once there is room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=True)
    try:
        journal = Journal(tmp_path, limit_bytes=1 << 20)
        spool = Spool(kept=journal.load())
        said: list[str] = []
        persister = Persister(spool, journal, on_write=said.append, retry_s=0.02)
        running = asyncio.create_task(persister.run())
        for _ in range(30):
            _fill(spool, 1, size=4000)
            await asyncio.sleep(0.005)
        await _until(lambda: "No space left" in persister.trouble)
        assert len(spool) == 30
        subprocess.run(["mount", "-o", "remount,size=1m", str(tmp_path)], check=True)
        await _until(lambda: persister.trouble == "" and journal.written_sequence == 30)
        assert said[-1] == ""
        running.cancel()
        await persister.finish(5)
        again = Journal(tmp_path, limit_bytes=1 << 20)
        assert _sequences(Spool(kept=again.load())) == list(range(1, 31))
        again.close()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


async def test_a_disk_that_fails_leaves_the_spool_in_memory_and_says_so(
    open_journal: Open, tmp_path: Path
) -> None:
    """No batch is lost while the agent lives; the trouble is named until it is over."""
    journal = open_journal()
    spool = Spool(kept=journal.load())
    persister = Persister(spool, journal, retry_s=0.02)
    away = tmp_path.with_name(tmp_path.name + "-away")
    tmp_path.rename(away)  # as good as a dead disk: no new segment can be made
    running = asyncio.create_task(persister.run())
    _fill(spool, 3)
    await _until(lambda: persister.trouble != "")
    assert "in memory only" in persister.trouble
    assert len(spool) == 3
    away.rename(tmp_path)
    await _until(lambda: persister.trouble == "")
    assert journal.written_sequence == 3
    running.cancel()
    await persister.finish(5)
