"""Who owns which partition: taken, renewed, shared and lost on a real PostgreSQL, by several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ringwatch_collector.bus.leases import Leases
from ringwatch_collector.bus.link import Place
from ringwatch_collector.store.database import Database
from ringwatch_proto.errors import StoreError


@pytest.fixture
def opened(database: str) -> Iterator[Database]:
    """Open a database."""
    made = Database(database)
    yield made
    made.close()


def _leases(database: Database, owner: str, lease_s: float = 60.0, partitions: int = 8) -> Leases:
    return Leases(database, owner, partitions=partitions, lease_s=lease_s)


def test_the_first_detector_takes_everything_and_gives_half_to_the_second(opened: Database) -> None:
    """The second takes nothing that somebody has; the first is told what is more than its share."""
    first, second = _leases(opened, "a"), _leases(opened, "b")
    turn = first.turn({})
    assert set(turn.owned) == set(range(8))
    assert turn.courier
    assert not second.turn({}).owned
    surplus = first.turn({}).surplus
    assert len(surplus) == 4
    first.release({number: Place(sequence=10 + number, at_ns=7) for number in surplus})
    taken = second.turn({})
    assert set(taken.owned) == set(surplus)
    assert taken.owned[surplus[0]] == Place(sequence=10 + surplus[0], at_ns=7)
    assert not taken.courier
    assert set(first.turn({}).owned) == set(range(8)) - set(surplus)


async def test_what_is_not_renewed_goes_to_another_one_with_its_place(opened: Database) -> None:
    """A detector that is gone says nothing; its lease ends by the database's clock."""
    gone, other = _leases(opened, "gone", lease_s=0.5), _leases(opened, "other", lease_s=0.5)
    gone.turn({})
    gone.turn({3: Place(sequence=42, at_ns=9)})
    assert not other.turn({}).owned
    await asyncio.sleep(0.6)
    turn = other.turn({})
    assert set(turn.owned) == set(range(8))
    assert turn.owned[3] == Place(sequence=42, at_ns=9)
    assert turn.courier
    assert not gone.turn({3: Place(sequence=43, at_ns=10)}).owned
    assert other.turn({}).owned[3].sequence == 42


async def test_many_that_start_at_once_share_without_an_overlap(opened: Database) -> None:
    """Turns of several workers come one after the other, whatever the threads do."""
    workers = [_leases(opened, f"w{number}") for number in range(4)]
    held: dict[int, set[int]] = {}
    for _ in range(6):
        turns = await asyncio.gather(*(asyncio.to_thread(each.turn, {}) for each in workers))
        for number, turn in enumerate(turns):
            held[number] = set(turn.owned) - set(turn.surplus)
            places = {each: Place() for each in turn.surplus}
            await asyncio.to_thread(workers[number].release, places)
    owned = [partition for partitions in held.values() for partition in partitions]
    assert sorted(owned) == list(range(8))
    assert {len(partitions) for partitions in held.values()} == {2}


def test_a_detector_that_leaves_is_replaced_at_once(opened: Database) -> None:
    """A stop is not a crash: nobody waits for the lease."""
    leaving, other = _leases(opened, "leaving"), _leases(opened, "other")
    turn = leaving.turn({})
    leaving.release(turn.owned, leave=True)
    assert set(other.turn({}).owned) == set(range(8))
    assert other.turn({}).courier


def test_a_database_that_does_not_answer_renews_nothing(opened: Database) -> None:
    """The caller is told, and counts on nothing."""
    leases = _leases(opened, "a")
    leases.turn({})
    with opened.engine.begin() as connection:
        connection.exec_driver_sql("drop table bus_leases")
    with pytest.raises(StoreError, match="cannot renew the leases"):
        leases.turn({})
