"""Silences by matcher of several detectors: on disk for all of them, begun and ended by one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.bus.verdicts import DONE, NOT_FOUND, NOT_NOW
from ringwatch_collector.clock import Clock
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.silence_desk import SilenceDesk, stored_silences
from ringwatch_collector.silences import Silence, Silences
from ringwatch_collector.store.store import Store
from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_LOOK_S: Final = 1.0
# Only what is open: nothing was resolved after that.
_OPEN_S: Final = 2.0**33


class SharedSilences:
    """One process's copy, read again every second."""

    def __init__(self, store: Store, audit: AuditLog, clock: Clock) -> None:
        """Read what is there; raise StoreError."""
        self._store = store
        self._audit = audit
        self._clock = clock
        # A reading that began before a silence was stored must not take its place.
        self._in_turn = asyncio.Lock()
        self._take(*self._read())

    def _read(self) -> tuple[Silences, list[Incident]]:
        return stored_silences(self._store, self._clock.now_s()), self._store.incidents(_OPEN_S)

    def _take(self, silences: Silences, incidents: list[Incident]) -> None:
        book = IncidentBook(IncidentPolicy(), lambda _: (), incidents)
        self._silences = silences
        self._desk = SilenceDesk(
            silences=silences, book=book, store=self._store, audit=self._audit, clock=self._clock
        )

    def over(self, incident: Incident, now_s: float) -> Silence | None:
        """Return the silence that holds an incident now."""
        return self._silences.over(incident, now_s)

    def list(self, *, include_ended: bool) -> query_pb2.SilenceList:
        """Return the silences that hold, or all of the last month, newest first."""
        return self._desk.list(include_ended=include_ended)

    async def run(self) -> None:
        """Read again until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            async with self._in_turn:
                try:
                    self._take(*await asyncio.to_thread(self._read))
                except StoreError as error:
                    _LOG.debug("silences are not read again yet: %s", error)

    async def put(self, request: query_pb2.PutSilenceRequest) -> bytes:
        """Begin a silence and return it, or why not."""
        return await self._done(lambda: self._desk.put(request, request.author))

    async def end(self, request: query_pb2.EndSilenceRequest) -> bytes:
        """End a silence and return it, or why not."""
        return await self._done(lambda: self._desk.end(request, request.author))

    async def _done(self, act: Callable[[], Awaitable[query_pb2.Silence]]) -> bytes:
        async with self._in_turn:
            try:
                return DONE + (await act()).SerializeToString()
            except KeyError as error:
                return NOT_FOUND + str(error.args[0]).encode()
            except ValueError as error:
                return NOT_NOW + str(error).encode()
