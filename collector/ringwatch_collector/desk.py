"""What people and runs do to incidents: the book, then disk and audit log, then those who follow."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock
from ringwatch_collector.follow import Bell
from ringwatch_collector.incidents import IncidentBook
from ringwatch_collector.store.store import Store
from ringwatch_collector.validate import clean
from ringwatch_proto.records import Incident

# How long an answer waits for the disk; what is late is written when the disk works, and shown as trouble.
_PERSIST_S: Final = 2.0


class Desk:
    """Takes acts on incidents. Each is stored and written down before the answer, if the disk works."""

    def __init__(
        self, *, book: IncidentBook, store: Store, audit: AuditLog, bell: Bell, clock: Clock
    ) -> None:
        self._book = book
        self._store = store
        self._audit = audit
        self._bell = bell
        self._clock = clock
        self._unfinished: set[asyncio.Task[Any]] = set()

    def get(self, incident_id: str) -> Incident:
        """Return an incident as it is now; raise KeyError when there is none of that id."""
        return self._book.get(incident_id)

    async def act(
        self, incident_id: str, action: str, author: str, text: str, silence_s: float = 0.0
    ) -> Incident:
        """Do what a person asks; raise KeyError or ValueError, with a sentence, when it cannot be."""
        author, text = clean(author, 64).strip(), clean(text, 2000)
        if not author:
            raise ValueError("an action needs its author")
        incident = self._book.act(incident_id, action, author, text, self._clock.now_s(), silence_s=silence_s)
        await self._keep(incident, author, f"incident.{action}", text)
        return incident

    async def attach_run(self, incident_id: str, run_id: str, author: str) -> Incident:
        """Note which run works on an incident; raise KeyError when there is none of that id."""
        incident = self._book.attach_run(incident_id, run_id, self._clock.now_s())
        await self._keep(incident, author, "incident.attach_run", run_id)
        return incident

    async def _keep(self, incident: Incident, author: str, action: str, reason: str) -> None:
        stored = self._store.put_incidents([incident])
        noted = self._start(
            self._audit.append(
                actor=author,
                action=action,
                target=incident.id,
                incident=incident.id,
                reason=reason,
                result="done",
            )
        )
        waits: list[asyncio.Future[Any]] = [stored, noted]
        await asyncio.wait(waits, timeout=_PERSIST_S)
        self._bell.ring()

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task
