"""Rows of named values as one table."""

from __future__ import annotations

import math

import pytest

from ringwatch_agent.sources.base import Device
from ringwatch_agent.sources.columns import Columns
from ringwatch_proto.signals import BY_NAME, Table

A, B = Device(id="a", name="a"), Device(id="b", name="b")


def test_only_columns_that_were_seen_are_sent_and_one_that_was_stays() -> None:
    """In the order of their ids; a row without one is NaN there."""
    columns = Columns(Table.HOST)
    first = columns.table((A,), ({"load_1m": 2.0},))
    assert first.signals == (BY_NAME["host.load_1m"].id,)
    second = columns.table((A, B), ({"cpus": 4.0}, {"load_1m": 1.0}))
    assert second.signals == (BY_NAME["host.load_1m"].id, BY_NAME["host.cpus"].id)
    assert [math.isnan(value) for value in second.values] == [True, False, False, True]


def test_a_name_that_is_no_signal_is_a_bug() -> None:
    """A typing error never becomes a silent gap."""
    with pytest.raises(KeyError):
        Columns(Table.HOST).table((A,), ({"lod_1m": 2.0},))
