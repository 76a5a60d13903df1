"""Turns incidents that are about to be stored into the rows of their alerts. It sends and stores nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ringwatch_collector.alerts.notice import ENDS, Notice, change, is_shown, labels_of
from ringwatch_collector.store.statements import CANCEL_NOTICE, RETELL_NOTICE
from ringwatch_collector.store.tables import OUTBOX
from ringwatch_collector.store.writer import Row, Rows
from ringwatch_proto.codec import to_ns
from ringwatch_proto.records import Incident, IncidentState

# What may go away by itself before anyone is told.
_HELD: Final = frozenset({"opened", "reopened"})
# Of these there is one a life of an incident: two collectors that tell of it tell the same.
_ONCE: Final = frozenset({"reopened", "resolved"})
_MOST_REMEMBERED: Final = 20_000


class NoticeBook:
    """Knows what everybody was told last. ``rows`` is called on the loop, the rest on any thread."""

    def __init__(
        self,
        *,
        channels: Sequence[str],
        only_pages: bool,
        hold_s: float,
        now_s: Callable[[], float],
        incidents: Iterable[Incident] = (),
        untold: Iterable[tuple[str, str, float]] = (),
    ) -> None:
        """Go on from incidents as they were stored, and from alerts that were not tried yet."""
        self._channels = channels
        self._only_pages = only_pages
        self._hold_s = hold_s
        self._now_s = now_s
        self._last = {incident.id: incident for incident in incidents}
        self._held = {incident: (key, due_s) for incident, key, due_s in untold if due_s > now_s()}
        self._lock = threading.Lock()

    def go_on(
        self, incidents: Iterable[Incident], untold: Iterable[tuple[str, str, float]], *, only: bool = False
    ) -> None:
        """Go on from incidents that another collector kept until now; with ``only``, from no others."""
        now_s = self._now_s()
        held = {incident: (key, due_s) for incident, key, due_s in untold if due_s > now_s}
        last = {incident.id: incident for incident in incidents}
        with self._lock:
            self._last = last if only else self._last | last
            self._held = held if only else self._held | held

    def standing(self) -> list[Incident]:
        """Return the incidents that stand and are not held back."""
        now_s = self._now_s()
        with self._lock:
            return [
                incident
                for incident in self._last.values()
                if is_shown(incident, only_pages=self._only_pages)
                and self._held.get(incident.id, ("", now_s))[1] <= now_s
            ]

    def rows(self, incident: Incident) -> Rows:
        """Return what has to be written with an incident, nothing when there is nothing to tell."""
        with self._lock:
            before = self._last.get(incident.id)
            self._last[incident.id] = incident
            self._forget()
            what = change(before, incident, only_pages=self._only_pages)
            return self._rows(before, incident, what) if self._channels else {}

    def _rows(self, before: Incident | None, incident: Incident, what: str) -> Rows:
        now_s = self._now_s()
        key, due_s = self._held.get(incident.id, ("", 0.0))
        if due_s <= now_s:
            self._held.pop(incident.id, None)
        elif what in ENDS:
            del self._held[incident.id]
            return {CANCEL_NOTICE: [{"p_key": key, "p_settled_ns": to_ns(now_s)}]}
        else:
            told = Notice(key=key, what=key.split("/")[1], at_s=now_s, incident=incident)
            return {RETELL_NOTICE: [{"p_key": key, "p_document": told.document()}]}
        return self._told(before, incident, what, now_s) if what else {}

    def _told(self, before: Incident | None, incident: Incident, what: str, now_s: float) -> Rows:
        due_s = now_s + self._hold_s if what in _HELD else now_s
        previous = labels_of(before) if before is not None else None
        notice = Notice(
            key=_key(before, incident, what, now_s),
            what=what,
            at_s=now_s,
            incident=incident,
            previous=previous if previous != labels_of(incident) else None,
        )
        if due_s > now_s:
            self._held[incident.id] = (notice.key, due_s)
        return {OUTBOX.name: [_row(channel, notice, due_s) for channel in self._channels]}

    def _forget(self) -> None:
        """Let go of the oldest resolved incidents when there are very many."""
        if len(self._last) <= _MOST_REMEMBERED:
            return
        for incident in [each for each in self._last.values() if each.state is IncidentState.RESOLVED][:1000]:
            del self._last[incident.id]


def _key(before: Incident | None, incident: Incident, what: str, now_s: float) -> str:
    if before is None or what in _ONCE:
        return f"{incident.id}/{what}/{incident.reopened}"
    return f"{incident.id}/{what}/{to_ns(now_s)}"


def _row(channel: str, notice: Notice, due_s: float) -> Row:
    return {
        "channel": channel,
        "key": notice.key,
        "incident": notice.incident.id,
        "what": notice.what,
        "state": "waiting",
        "created_ns": to_ns(notice.at_s),
        "due_ns": to_ns(due_s),
        "settled_ns": 0,
        "tries": 0,
        "error": "",
        "document": notice.document(),
    }
