"""A large fleet is exempt from garbage collection, a small one is not."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from ringwatch_collector.garbage import Garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the collector of this process as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_a_small_fleet_changes_nothing() -> None:
    """Tests and small clusters keep Python's own ways."""
    before = gc.get_threshold()
    assert not Garbage().note(999)
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_a_large_fleet_is_exempt_and_again_when_it_grew_by_a_tenth() -> None:
    """Not at every node: each time may keep a little garbage."""
    garbage = Garbage()
    assert [garbage.note(nodes) for nodes in (1000, 1050, 1100, 1101, 5000)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert gc.get_freeze_count() > 0
