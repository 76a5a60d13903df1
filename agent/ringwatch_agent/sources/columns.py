"""Packs rows of named values into one table, with the columns that this node has and no others."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence

from ringwatch_agent.sources.base import Device, TableReading
from ringwatch_proto.signals import Table, columns_of


class Columns:
    """The columns of one table; one that was there once stays, since a change costs a new Hello."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._all = {signal.name.partition(".")[2]: signal.id for signal in columns_of(table)}
        self._names: tuple[str, ...] = ()
        self._ids: tuple[int, ...] = ()

    def table(self, devices: tuple[Device, ...], rows: Sequence[Mapping[str, float]]) -> TableReading:
        """Return the table; a value that a row lacks is NaN, a name that is no signal is a KeyError."""
        new = {name for row in rows for name in row}.difference(self._names)
        if new:
            self._names = tuple(sorted({*self._names, *new}, key=self._all.__getitem__))
            self._ids = tuple(self._all[name] for name in self._names)
        values = array("f", [row.get(name, math.nan) for row in rows for name in self._names])
        return TableReading(table=self._table, devices=devices, signals=self._ids, values=values)
