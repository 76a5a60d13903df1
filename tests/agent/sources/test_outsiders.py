"""Rows and numbers of ranks without a hook."""

from __future__ import annotations

from ringwatch_agent.sources.outsiders import FIRST_COMMUNICATOR, FIRST_ROW, MOST_RANKS, Roster


def test_a_rank_keeps_its_row_and_a_change_has_a_higher_serial() -> None:
    """What is known later is added, nothing is taken away."""
    roster = Roster()
    assert [roster.rank("j", rank, 4) for rank in (0, 1, 0)] == [FIRST_ROW, FIRST_ROW + 1, FIRST_ROW]
    before = roster.outsiders()
    assert roster.outsiders().serial == before.serial
    roster.rank("j", 1, 4, pid=77)
    after = roster.outsiders()
    assert after.serial > before.serial
    assert [(record.rank, record.pid, record.world_size) for record in after.ranks] == [(0, 0, 4), (1, 77, 4)]


def test_groups_have_numbers_above_those_of_the_hook() -> None:
    """The same name of the same job is one group."""
    roster = Roster()
    assert [roster.communicator("j", name) for name in ("a", "b", "a")] == [
        FIRST_COMMUNICATOR,
        FIRST_COMMUNICATOR + 1,
        FIRST_COMMUNICATOR,
    ]
    assert roster.communicator("j", "a", (0, 1)) == FIRST_COMMUNICATOR
    assert roster.outsiders().communicators[0].ranks == (0, 1)


def test_there_is_room_for_so_many_and_the_rest_is_counted() -> None:
    """The collector takes no more of a node."""
    roster = Roster()
    rows = {roster.rank("j", rank, MOST_RANKS + 1) for rank in range(MOST_RANKS + 1)}
    assert max(rows) == FIRST_ROW + MOST_RANKS - 1
    assert -1 in rows
    assert roster.refused == 1
