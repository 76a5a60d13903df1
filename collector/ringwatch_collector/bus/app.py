"""Composes a collector that works with others over the bus: one that takes streams, or one that detects."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, Final

import grpc.aio

from ringwatch_collector.access.app import Access
from ringwatch_collector.access.book import AccessBook
from ringwatch_collector.alerts.app import Alerts
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.bus.board import Board
from ringwatch_collector.bus.cell import CellParts
from ringwatch_collector.bus.courier import SharedAlerts
from ringwatch_collector.bus.desks import Desks
from ringwatch_collector.bus.detection import Detection
from ringwatch_collector.bus.leases import Leases
from ringwatch_collector.bus.link import Link
from ringwatch_collector.bus.publisher import BusIntake
from ringwatch_collector.bus.query import BusQuery
from ringwatch_collector.bus.silences import SharedSilences
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.follow import Bell
from ringwatch_collector.ground import database_url, lock_folder
from ringwatch_collector.ingest import TelemetryService
from ringwatch_collector.serving import new_server
from ringwatch_collector.sessions import Sessions
from ringwatch_collector.store.store import Store
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2_grpc
from ringwatch_runbooks.load import load_library
from ringwatch_runbooks.match import candidates

_LOG: Final = logging.getLogger("ringwatch.collector")


class BusCollector:
    """What both kinds share: store, access, bus, and the whole fleet for whoever asks."""

    def __init__(self, config: CollectorConfig) -> None:
        """Build the parts; raise ConfigError or StoreError."""
        self._config = config
        self._name = config.name or socket.gethostname()
        self.clock = Clock()
        self.counters = Counters()
        self.bell = Bell()
        self.link = Link(config.bus)
        self._tasks: list[asyncio.Task[None]] = []
        self._server: grpc.aio.Server | None = None
        with ExitStack() as undo:
            self._lock = undo.enter_context(lock_folder(config))
            self.store = Store(database_url(config), self.counters, config.store_retry_s)
            undo.callback(self.store.close)
            self.audit = AuditLog(self.store, self.clock)
            book = AccessBook(self.store.database)
            self.access = Access(config, book, self.audit, self.clock, self.counters)
            self.board = Board(self.link, config.bus.partitions, self._name, self.bell)
            self.silences = SharedSilences(self.store, self.audit, self.clock)
            self._query = BusQuery(
                silences=self.silences,
                board=self.board,
                link=self.link,
                store=self.store,
                audit=self.audit,
                bell=self.bell,
                troubles=self._troubles,
            )
            self._build()
            undo.pop_all()

    @property
    def metrics_port(self) -> int:
        """Return 0: the page is of a fleet that one collector holds alone."""
        return 0

    def _build(self) -> None:
        """Build what this kind has beside."""

    def _troubles(self) -> Sequence[str]:
        return [*self.store.troubles, *self.access.troubles()]

    def _add_services(self, server: grpc.aio.Server) -> None:
        query_pb2_grpc.add_QueryServicer_to_server(self._query, server)

    def _work(self) -> list[Coroutine[Any, Any, None]]:
        return [self.access.run(), self.board.listen(), self.silences.run()]

    async def start(self) -> int:
        """Connect, serve, and return the port; raise ConfigError."""
        await self.link.open()
        server = new_server(self._config, self.access.guard)
        self._add_services(server)
        port = self.access.serve(server)
        await server.start()
        self._server = server
        self._tasks = [asyncio.create_task(each) for each in self._work()]
        return port

    async def _end(self) -> None:
        """End what this kind has beside, while the bus is still there."""

    async def stop(self) -> None:
        """Stop, write what waits, and close."""
        if self._server is not None:
            await self._server.stop(grace=min(0.5, self._config.shutdown_s))
        await self._end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link.close()
        await self.audit.settle(self._config.shutdown_s)
        await asyncio.to_thread(self.store.close, self._config.shutdown_s)
        self._lock.close()


class IngestCollector(BusCollector):
    """Takes agents' streams and acknowledges what the bus has."""

    def _build(self) -> None:
        config = self._config
        self.sessions = Sessions()
        self.intake = BusIntake(self.link, config.bus, self.counters)
        self._ingest = TelemetryService(
            config=config,
            clock=self.clock,
            intake=self.intake,
            store=self.store,
            sessions=self.sessions,
            broker=ActionBroker(self.sessions),
            counters=self.counters,
            name=self._name,
        )

    def _troubles(self) -> Sequence[str]:
        return [*super()._troubles(), *([self.intake.trouble] if self.intake.trouble else [])]

    def _add_services(self, server: grpc.aio.Server) -> None:
        super()._add_services(server)
        server.add_generic_rpc_handlers((self._ingest.handler(),))

    def _work(self) -> list[Coroutine[Any, Any, None]]:
        return [*super()._work(), self.intake.run(), self._ingest.run()]

    async def _end(self) -> None:
        self.sessions.refuse_all("the collector is stopping", 1.0)


class DetectCollector(BusCollector):
    """Owns partitions and finds what is wrong in them."""

    def _build(self) -> None:
        config = self._config
        self.alerts = SharedAlerts(self._new_alerts, self.store, self._blindness)
        library = load_library(())
        parts = CellParts(
            config=config,
            bus=config.bus,
            link=self.link,
            store=self.store,
            counters=self.counters,
            bell=self.bell,
            runbooks_for=lambda incident: candidates(library, incident),
            silence_over=self.silences.over,
        )
        # A name alone could be given twice, and outlive its process.
        owner = f"{self._name[:80]}/{uuid.uuid4().hex[:12]}"
        leases = Leases(
            self.store.database, owner, partitions=config.bus.partitions, lease_s=config.bus.lease_s
        )
        self.detection = Detection(parts, leases, take_over=self.alerts.take_over, lead=self.alerts.lead)
        self.desks = Desks(
            lambda: self.detection.cells,
            parts,
            self.audit,
            self._name,
            silences=self.silences,
            leads=lambda: self.alerts.leads,
        )

    def _new_alerts(self, incidents: Sequence[Incident]) -> Alerts:
        return Alerts(
            self._config.alerts,
            store=self.store,
            counters=self.counters,
            collector=self._name,
            now_s=self.clock.now_s,
            blind=self._blindness,
            incidents=incidents,
        )

    def _blindness(self) -> str:
        """Return why something would not be seen now, empty when everything would."""
        missing = self.board.missing()
        if missing:
            return f"no detector looks at {len(missing)} parts of the fleet"
        return self.store.trouble or self.detection.trouble

    def _troubles(self) -> Sequence[str]:
        trouble = [self.detection.trouble] if self.detection.trouble else []
        return [*super()._troubles(), *trouble, *self.alerts.troubles]

    def _work(self) -> list[Coroutine[Any, Any, None]]:
        return [*super()._work(), self._detect(), self.board.show(self.desks.fleets), self.alerts.run()]

    async def _detect(self) -> None:
        await self.link.answer("ask.*", self.desks.reply)
        await self.detection.run()

    async def _end(self) -> None:
        await self.detection.close()
        await asyncio.to_thread(self.alerts.stop, self._config.shutdown_s)


def bus_collector(config: CollectorConfig) -> BusCollector:
    """Return the collector of the config's role."""
    return IngestCollector(config) if config.role == "ingest" else DetectCollector(config)
