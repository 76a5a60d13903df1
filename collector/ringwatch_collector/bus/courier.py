"""Alerts of several detectors: each writes those of its partitions, one of them sends them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from ringwatch_collector.alerts.app import Alerts
from ringwatch_collector.store.store import Store
from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import Incident

_LOG: Final = logging.getLogger("ringwatch.collector.bus")
_LOOK_S: Final = 1.0
_ENDING_S: Final = 1.0
# Only what is open: nothing was resolved after that.
_SOON_S: Final = 2.0**33


class SharedAlerts:
    """One process's part in the alerts. The outbox takes each alert once, whoever writes it."""

    def __init__(
        self, build: Callable[[Sequence[Incident]], Alerts], store: Store, blind: Callable[[], str]
    ) -> None:
        self._build = build
        self._blind = blind
        self._store = store
        # Never started: its book says what our partitions' changes are worth telling.
        self._writing = build(())
        self._sending: Alerts | None = None

    def take_over(self, incidents: Sequence[Incident]) -> None:
        """Go on from what was told of a partition's incidents before. Reads the disk; raises StoreError."""
        self._writing.book.go_on(incidents, self._store.untold_notices())

    def lead(self, leads: bool) -> None:
        """Begin or end to send what is in the outbox."""
        if leads and self._sending is None:
            _LOG.info("this detector sends the alerts now")
            self._sending = self._build(())
            self._store.companions = self._writing.book.rows
            self._sending.start()
        elif not leads and self._sending is not None:
            _LOG.warning("another detector sends the alerts now")
            sending, self._sending = self._sending, None
            sending.stop(_ENDING_S)

    @property
    def leads(self) -> bool:
        """Return whether this process sends them."""
        return self._sending is not None

    @property
    def troubles(self) -> list[str]:
        """Return what keeps alerts from getting through."""
        return self._sending.troubles if self._sending is not None else []

    async def run(self) -> None:
        """Keep the sender's picture of all partitions up to date, and whether it sees, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            sending = self._sending
            if sending is None:
                continue
            sending.sight.say(self._blind())
            try:
                standing = await asyncio.to_thread(self._store.incidents, _SOON_S)
                untold = await asyncio.to_thread(self._store.untold_notices)
            except StoreError:
                continue  # counted and shown by the store
            sending.book.go_on(standing, untold, only=True)

    def stop(self, timeout_s: float) -> None:
        """Stop sending; what waits is sent by the next one."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.stop(timeout_s)
        self._writing.stop(0.0)
