"""What is known about each source: up or down, how old, how slow; its row and its events."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ringwatch_agent.sources.base import Device, EventRecord, TableReading
from ringwatch_agent.worker import Outcome
from ringwatch_proto import events
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import BY_NAME, Table

_COLUMNS: Final = ("up", "age_s", "duration_ms", "failures")
_SIGNALS: Final = tuple(BY_NAME[f"source.{name}"].id for name in _COLUMNS)


@dataclass(slots=True, kw_only=True)
class SourceHealth:
    """The state of one source; ``up`` is None until its first read came back or fell due."""

    name: str
    up: bool | None = None
    reason: str = ""
    unsupported: bool = False
    failures: int = 0
    last_ok_s: float = math.nan
    duration_s: float = math.nan

    def take(self, outcome: Outcome, wall_ns: int) -> EventRecord | None:
        """Take in how a read went; return an event when the source went down or came up."""
        self.duration_s = outcome.duration_s
        if outcome.reading is not None:
            self.last_ok_s = outcome.ended_s
            return self._turn(True, "", wall_ns)
        self.failures += 1
        self.unsupported = outcome.unsupported
        return self._turn(False, outcome.reason, wall_ns)

    def overdue(self, busy_s: float, wall_ns: int) -> EventRecord | None:
        """Take in that a read has not come back for ``busy_s``; return an event the first time."""
        if self.up is not False:
            self.failures += 1
        return self._turn(False, f"a read has not come back for {busy_s:.0f} s", wall_ns)

    def row(self, now_s: float) -> tuple[float, float, float, float]:
        """Return the source's row of the source table."""
        return (
            math.nan if self.up is None else float(self.up),
            now_s - self.last_ok_s,
            self.duration_s * 1e3,
            float(self.failures),
        )

    def _turn(self, up: bool, reason: str, wall_ns: int) -> EventRecord | None:
        was, self.up, self.reason = self.up, up, reason
        if up == was or (up and was is None):
            return None
        return EventRecord(
            wall_ns=wall_ns,
            kind=events.SOURCE_UP if up else events.SOURCE_DOWN,
            severity=Severity.INFO if up or self.unsupported else Severity.WARNING,
            source=self.name,
            text="reads again" if up else reason,
            fields={"unsupported": "1"} if self.unsupported and not up else {},
        )


def source_table(sources: Sequence[SourceHealth], now_s: float) -> TableReading:
    """Return the source table now."""
    return TableReading(
        table=Table.SOURCE,
        devices=_devices(tuple(each.name for each in sources)),
        signals=_SIGNALS,
        values=array("f", [value for each in sources for value in each.row(now_s)]),
    )


@lru_cache(maxsize=4)
def _devices(names: tuple[str, ...]) -> tuple[Device, ...]:
    """Return the rows; the same objects each beat, so that nobody need compare what is in them."""
    return tuple(Device(id=name, name=name) for name in names)
