"""Conditions of the host that hold for a while, told as events when they begin, last and end.

It compares what is told to it and judges nothing. A condition that lasts is told again now and then, so that
a collector which started later can name it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ringwatch_agent.sources.base import EventRecord
from ringwatch_proto import events
from ringwatch_proto.records import Severity

# Well within the hour for which the collector keeps events at hand.
TOLD_AGAIN_S: Final = 1200.0
# One place that corrects errors all the time is one line an hour.
_CORRECTED_EVERY_S: Final = 3600.0
MOST_HELD: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that holds now. ``name`` and ``where`` are its identity; ``since_s`` is Unix time."""

    name: str
    where: str
    text: str
    severity: Severity = Severity.WARNING
    since_s: float = 0.0
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Held:
    condition: Condition
    since_s: float
    told_s: float


class Conditions:
    """The conditions that one source sees."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._held: dict[tuple[str, str], _Held] = {}
        self._corrected: dict[tuple[str, str], tuple[float, int]] = {}
        self.left_out = 0

    def changes(self, now: Iterable[Condition], monotonic_s: float | None = None) -> tuple[EventRecord, ...]:
        """Return the events of what began, lasts since long, changed its severity, or ended."""
        at_s = time.monotonic() if monotonic_s is None else monotonic_s
        listed = {(each.name, each.where): each for each in now}
        seen = dict(list(listed.items())[:MOST_HELD])
        self.left_out += len(listed) - len(seen)
        told = [event for each in seen.values() if (event := self._tell(each, at_s)) is not None]
        over = [key for key in self._held if key not in seen]
        told.extend(self._ended(self._held.pop(key)) for key in over)
        return tuple(told)

    def happened(self, condition: Condition) -> EventRecord:
        """Return the event of something that happened once and is not taken back."""
        return self._event(events.HOST_FAULT, condition, time.time(), {"once": "1"})

    def corrected(
        self, condition: Condition, count: int, monotonic_s: float | None = None
    ) -> EventRecord | None:
        """Count errors that were corrected somewhere; return an event for the first of each hour."""
        at_s = time.monotonic() if monotonic_s is None else monotonic_s
        key = (condition.name, condition.where)
        told_s, pending = self._corrected.get(key, (-_CORRECTED_EVERY_S, 0))
        pending += count
        if at_s - told_s < _CORRECTED_EVERY_S:
            self._corrected[key] = (told_s, pending)
            return None
        self._corrected[key] = (at_s, 0)
        return self._event(events.HOST_CORRECTED, condition, time.time(), {}, code=min(pending, 1 << 30))

    def _tell(self, condition: Condition, at_s: float) -> EventRecord | None:
        key = (condition.name, condition.where)
        held = self._held.get(key)
        if held is None:
            since_s = condition.since_s or time.time()
            held = self._held[key] = _Held(condition=condition, since_s=since_s, told_s=at_s)
        elif held.condition.severity == condition.severity and at_s - held.told_s < TOLD_AGAIN_S:
            held.condition = condition
            return None
        held.condition, held.told_s = condition, at_s
        return self._event(events.HOST_FAULT, condition, held.since_s, {})

    def _ended(self, held: _Held) -> EventRecord:
        return self._event(events.HOST_CLEARED, held.condition, held.since_s, {}, severity=Severity.INFO)

    def _event(
        self,
        kind: str,
        condition: Condition,
        since_s: float,
        more: dict[str, str],
        *,
        code: int = 0,
        severity: Severity | None = None,
    ) -> EventRecord:
        own = {"condition": condition.name, "where": condition.where, "since": f"{since_s:.0f}"}
        return EventRecord(
            wall_ns=time.time_ns(),
            kind=kind,
            severity=int(condition.severity if severity is None else severity),
            source=self._source,
            device=condition.where,
            text=f"over: {condition.text}" if kind == events.HOST_CLEARED else condition.text,
            code=code,
            fields={**condition.fields, **own, **more},
        )
