"""Composes history: the writer of snapshots and what answers questions. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

import httpx

from ringwatch_collector.alerts.http import client
from ringwatch_collector.counters import Counters
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.history.config import HistoryConfig
from ringwatch_collector.history.database import Database
from ringwatch_collector.history.sender import Sender
from ringwatch_collector.history.service import HistoryAnswers
from ringwatch_collector.history.snapshot import take
from ringwatch_proto.records import Incident
from ringwatch_proto.signals import Table

_LOG: Final = logging.getLogger("ringwatch.collector.history")
_LEAST_FRESH_S: Final = 10.0


class History:
    """Everything about history. ``start`` and ``stop`` once each."""

    def __init__(
        self,
        config: HistoryConfig,
        *,
        fleet: FleetState,
        counters: Counters,
        incidents: Callable[[], Iterable[Incident]],
        now_s: Callable[[], float],
    ) -> None:
        """Build the parts; raise ConfigError without the files that the settings name."""
        self._config = config
        self._fleet = fleet
        self._counters = counters
        self._incidents = incidents
        self._now_s = now_s
        self._tables = [Table[name.upper()] for name in config.tables]
        self._sender = self._build_sender()
        self._database = self._build_database()
        self.answers = HistoryAnswers(fleet, self._database, config.interval_s, now_s)

    def _client(self) -> httpx.Client:
        return client(self._config.timeout_s, self._config.ca_file, self._config.token_file)

    def _build_sender(self) -> Sender | None:
        config = self._config
        if not config.url:
            return None
        url = config.url.rstrip("/") + config.write_path
        return Sender(self._client(), url, config.queue_mib << 20, self._counters)

    def _build_database(self) -> Database | None:
        config = self._config
        return Database(self._client(), config.url.rstrip("/") + config.query_path) if config.url else None

    @property
    def troubles(self) -> list[str]:
        """Return why nothing is written."""
        return [self._sender.trouble] if self._sender is not None and self._sender.trouble else []

    async def run(self) -> None:
        """Take a snapshot every ``interval_s`` until cancelled. On the collector's loop."""
        if self._sender is None:
            return
        self._sender.start()
        while True:
            await asyncio.sleep(self._config.interval_s)
            now_s = self._now_s()
            fresh_s = max(_LEAST_FRESH_S, self._config.interval_s)
            try:
                self._sender.offer(take(self._fleet.view(now_s), self._incidents(), self._tables, fresh_s))
            except Exception:  # noqa: BLE001  (history must not end with one odd reading)
                self._counters.history["failures"] += 1
                _LOG.exception("no snapshot was taken")

    def stop(self, timeout_s: float) -> None:
        """Stop writing."""
        if self._sender is not None:
            self._sender.stop(timeout_s)
        if self._database is not None:
            self._database.close()
