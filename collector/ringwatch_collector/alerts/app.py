"""Composes the ways out that the settings name. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from ringwatch_collector.alerts.alertmanager import Alertmanager
from ringwatch_collector.alerts.base import Sender
from ringwatch_collector.alerts.book import NoticeBook
from ringwatch_collector.alerts.chat import Chat
from ringwatch_collector.alerts.config import AlertsConfig
from ringwatch_collector.alerts.courier import Courier, Patience
from ringwatch_collector.alerts.heartbeat import Heartbeat, Sight
from ringwatch_collector.alerts.http import client, secret_lines
from ringwatch_collector.alerts.webhook import Webhook
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_proto.records import Incident

_LOG: Final = logging.getLogger("ringwatch.collector.alerts")
_LOOK_S: Final = 1.0


class Alerts:
    """Everything that goes out. ``start`` and ``stop`` once each."""

    def __init__(
        self,
        config: AlertsConfig,
        *,
        store: Store,
        counters: Counters,
        collector: str,
        now_s: Callable[[], float],
        blind: Callable[[], str],
        incidents: Iterable[Incident],
    ) -> None:
        """Build the senders; raise ConfigError for a file that is missing or an address nobody knows."""
        self._config = config
        self._counters = counters
        self._blind = blind
        self.sight = Sight()
        senders = list(self._senders(collector))
        self.book = NoticeBook(
            channels=[sender.name for sender in senders],
            only_pages=config.only_pages,
            hold_s=config.hold_s,
            now_s=now_s,
            incidents=incidents,
            untold=store.untold_notices(),
        )
        patience = Patience(longest_wait_s=config.longest_wait_s, give_up_s=config.give_up_s)
        self._couriers = [Courier(sender, store, counters, patience) for sender in senders]
        self._heartbeat = self._beating()
        store.abandon_channels([sender.name for sender in senders], now_s())
        store.companions = self.book.rows

    def _senders(self, collector: str) -> Iterable[Sender]:
        config = self._config
        if config.alertmanager:
            yield Alertmanager(
                client(config.timeout_s, config.ca_file, config.alertmanager_token_file),
                config.alertmanager,
                refresh_s=config.refresh_s,
                console_url=config.console_url,
                collector=collector,
                standing=lambda: self.book.standing(),  # noqa: PLW0108  (the book is made after its senders)
                sees=self.sight.sees,
                failed=self._refresh_failed,
            )
        if config.webhook:
            secrets = secret_lines(config.webhook_secret_file)
            yield Webhook(client(config.timeout_s, config.ca_file), config.webhook, secrets)
        for url in secret_lines(config.chat_file) if config.chat_file else ():
            yield Chat(url, storm=config.storm, console_url=config.console_url)

    def _beating(self) -> Heartbeat | None:
        config = self._config
        if not config.heartbeat_file:
            return None
        http, url = client(config.timeout_s, config.ca_file), secret_lines(config.heartbeat_file)[0]
        return Heartbeat(http, url, config.heartbeat_s, self.sight, self._counters)

    def _refresh_failed(self) -> None:
        self._counters.alerts["failed", "alertmanager"] += 1

    @property
    def troubles(self) -> list[str]:
        """Return what keeps alerts from getting through."""
        return [trouble for courier in self._couriers for trouble in courier.troubles]

    def start(self) -> None:
        """Start to deliver."""
        for courier in self._couriers:
            courier.start()
        if self._heartbeat is not None:
            self._heartbeat.start()

    async def run(self) -> None:
        """Say every second whether the collector sees; until cancelled. On the collector's loop."""
        while True:
            self.sight.say(self._blind())
            await asyncio.sleep(_LOOK_S)

    def stop(self, timeout_s: float) -> None:
        """Stop delivering; what waits is delivered after the next start."""
        if self._heartbeat is not None:
            self._heartbeat.stop(timeout_s)
        for courier in self._couriers:
            courier.end()
        for courier in self._couriers:
            courier.stop(timeout_s)
