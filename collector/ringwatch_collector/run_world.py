"""The engine's protocols over parts of the collector: verbs, journal, audit, incidents. Serves nobody."""

from __future__ import annotations

import asyncio
from typing import Final

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.clock import Clock
from ringwatch_collector.desk import Desk
from ringwatch_collector.store.store import Store, StoredRun
from ringwatch_proto.errors import RingwatchError, StoreError
from ringwatch_proto.records import Incident
from ringwatch_runbooks.base import VerbCall, VerbOutcome

# How long a run waits for the disk before it gives up moving.
_PERSIST_S: Final = 5.0


async def _durable(written: asyncio.Future[None], what: str) -> None:
    done, _ = await asyncio.wait([written], timeout=_PERSIST_S)
    if not done:
        raise StoreError(f"{what} could not be written within {_PERSIST_S:.0f} s")
    written.result()


class BrokerVerbs:
    """Node verbs through the collector's broker."""

    def __init__(self, broker: ActionBroker) -> None:
        self._broker = broker

    async def call(self, call: VerbCall) -> VerbOutcome:
        """Return what came of a verb; a node that is not there and a refusal are outcomes too."""
        try:
            outcome = await self._broker.call(
                call.node,
                call.verb,
                call.arguments,
                requested_by=call.requested_by,
                approved_by=call.approved_by,
                incident=call.incident,
                timeout_s=call.timeout_s,
                dry_run=call.dry_run,
            )
        except RingwatchError as error:
            return VerbOutcome(status="failed", text=str(error))
        return VerbOutcome(status=outcome.status, text=outcome.text, facts=outcome.facts)


class StoreJournal:
    """Keeps runs in the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def save(self, run: str, incident: str, state: str, document: str) -> None:
        """Return when the run is on disk; raise StoreError when it is not soon enough."""
        stored = StoredRun(
            id=run, incident=incident, state=state, updated_s=self._clock.now_s(), document=document
        )
        await _durable(self._store.put_run(stored), f"run {run}")


class ChainedAudit:
    """Writes what runs do into the audit log."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def record(
        self, *, actor: str, action: str, target: str, incident: str, reason: str, result: str
    ) -> None:
        """Append one record; raise StoreError when it is not on disk soon enough."""
        appended = asyncio.ensure_future(
            self._audit.append(
                actor=actor, action=action, target=target, incident=incident, reason=reason, result=result
            )
        )
        done, _ = await asyncio.wait([appended], timeout=_PERSIST_S)
        if not done:
            raise StoreError(f"the audit record of {action} could not be written in time")
        appended.result()


class DeskIncidents:
    """Incidents through the collector's desk, which stores each change and writes it down."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def get(self, incident: str) -> Incident | None:
        """Return an incident as it is now."""
        try:
            return self._desk.get(incident)
        except KeyError:
            return None

    async def attach(self, incident: str, run: str, author: str) -> None:
        """Note which run works on the incident."""
        await self._desk.attach_run(incident, run, author)

    async def resolve(self, incident: str, author: str, text: str) -> None:
        """Close the incident; raise ValueError with a sentence when it cannot be."""
        await self._act(incident, "resolve", author, text)

    async def note(self, incident: str, author: str, text: str) -> None:
        """Write into the incident."""
        await self._act(incident, "note", author, text)

    async def _act(self, incident: str, action: str, author: str, text: str) -> None:
        try:
            await self._desk.act(incident, action, author, text)
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error
