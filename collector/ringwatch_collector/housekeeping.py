"""What is done now and then for the store: progress, what was learned, retention, repair. Judges nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.incidents import IncidentBook
from ringwatch_collector.store.retention import Kept
from ringwatch_collector.store.store import Store
from ringwatch_proto.errors import StoreError

_LOG: Final = logging.getLogger("ringwatch.collector")
_EVERY_S: Final = 5.0
_LEARNED_S: Final = 60.0
_SWEEP_S: Final = 3600.0


class Housekeeper:
    """Keeps house on the collector's loop; what takes long runs on threads."""

    def __init__(
        self,
        *,
        store: Store,
        kept: Kept,
        fleet: FleetState,
        book: IncidentBook,
        audit: AuditLog,
        clock: Clock,
        note_progress: Callable[[], None],
    ) -> None:
        self._store = store
        self._kept = kept
        self._fleet = fleet
        self._book = book
        self._audit = audit
        self._clock = clock
        self._note_progress = note_progress
        self._healed = asyncio.Event()
        self._noting: asyncio.Task[object] | None = None

    async def run(self) -> None:
        """Keep house until cancelled."""
        loop = asyncio.get_running_loop()

        def healed() -> None:
            loop.call_soon_threadsafe(self._healed.set)

        self._store.when_healed(healed)
        learned_s = swept_s = self._clock.monotonic_s()
        while True:
            await self._rest()
            self._note_progress()
            self._store.flush()
            now_s = self._clock.monotonic_s()
            try:
                if now_s - learned_s >= _LEARNED_S:
                    learned_s = now_s
                    await self.save_learned()
                if now_s - swept_s >= _SWEEP_S:
                    swept_s = now_s
                    await asyncio.to_thread(self._store.sweep, self._kept, self._clock.now_s())
            except StoreError as error:
                _LOG.error("%s", error)

    async def _rest(self) -> None:
        """Wait for the next round; see to a database that was replaced in the meantime."""
        try:
            async with asyncio.timeout(_EVERY_S):
                await self._healed.wait()
        except TimeoutError:
            return
        self._healed.clear()
        self.repair()

    def repair(self) -> None:
        """Store again what is known: a fresh file holds only what could be read of the corrupt one."""
        self._store.put_incidents(self._book.all())
        self._noting = asyncio.create_task(
            self._audit.append(
                actor="ringwatch",
                action="store.replaced",
                reason="the database was corrupt or removed; what could be read of it was kept",
                result="done",
            )
        )

    async def save_learned(self) -> None:
        """Store what was learned since the last time; the bytes are made off the loop."""
        makers = self._fleet.learned()
        if makers:
            contents = await asyncio.to_thread(lambda: {subject: make() for subject, make in makers})
            self._store.put_learned(contents, self._clock.now_s())
