"""The events of the last hour, each once. It keeps and forgets them; the store holds them for good."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Sequence

from ringwatch_collector.view import EventsView, SeenEvent

_Key = tuple[str, str, int]


class RecentEvents:
    """Events in the order of their time, bounded by age and number; what falls out early is counted."""

    def __init__(self, dropped: Counter[str], *, keep_s: float = 3600.0, most: int = 50_000) -> None:
        self._dropped = dropped
        self._keep_s = keep_s
        self._most = most
        self._events: dict[_Key, SeenEvent] = {}
        # The same in the order of their time; empty when it has to be sorted anew.
        self._ordered: list[SeenEvent] = []
        self._view: EventsView | None = EventsView(())

    def __len__(self) -> int:
        return len(self._events)

    def add(self, spool: str, number: int, event: SeenEvent) -> bool:
        """Keep an event; return False when it was there already."""
        key = (event.node, spool, number)
        if key in self._events:
            return False
        self._events[key] = event
        if self._ordered:
            insort(self._ordered, event, key=_time_of)
        self._view = None
        if len(self._events) > self._most:
            del self._events[next(iter(self._events))]
            self._ordered.clear()
            self._dropped["event_beyond_view"] += 1
        return True

    def forget(self, now_s: float) -> None:
        """Drop what was received longer ago than is kept."""
        old = now_s - self._keep_s
        while self._events:
            key, event = next(iter(self._events.items()))
            if event.received_s >= old:
                return
            del self._events[key]
            self._ordered.clear()
            self._view = None

    def view(self) -> Sequence[SeenEvent]:
        """Return the events, oldest first."""
        if self._view is None:
            if not self._ordered:
                self._ordered = sorted(self._events.values(), key=_time_of)
            self._view = EventsView(tuple(self._ordered))
        return self._view


def _time_of(event: SeenEvent) -> float:
    return event.at_s
