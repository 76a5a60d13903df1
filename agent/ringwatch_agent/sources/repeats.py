"""Collapses events that come again and again: the first is told, its twins are counted and told once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

from ringwatch_agent.sources.base import EventRecord

COLLAPSE_S: Final = 5.0


@dataclass(slots=True)
class _Told:
    event: EventRecord
    since_s: float
    last: EventRecord
    repeats: int = 0


class Repeats:
    """Tells a flood of one event as the event, then one with field ``repeats`` every ``COLLAPSE_S``."""

    def __init__(self) -> None:
        self._told: dict[Hashable, _Told] = {}

    def take(self, key: Hashable, event: EventRecord, at_s: float) -> list[EventRecord]:
        """Return what is to be told of ``event``, which is a twin of all others with this key."""
        told: list[EventRecord] = []
        known = self._told.get(key)
        if known is not None and at_s - known.since_s < COLLAPSE_S:
            known.repeats, known.last = known.repeats + 1, event
            return told
        if known is not None and known.repeats:
            told.append(_repeated(known))
        self._told[key] = _Told(event=event, since_s=at_s, last=event)
        return [*told, event]

    def due(self, now_s: float) -> list[EventRecord]:
        """Return the counts of twins that wait for ``COLLAPSE_S``."""
        told: list[EventRecord] = []
        for key, known in list(self._told.items()):
            if now_s - known.since_s < COLLAPSE_S:
                continue
            if known.repeats:
                told.append(_repeated(known))
                known.since_s, known.repeats = now_s, 0
            else:
                del self._told[key]
        return told


def _repeated(known: _Told) -> EventRecord:
    last = known.last
    return replace(last, fields={**last.fields, "repeats": str(known.repeats)})
