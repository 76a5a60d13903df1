"""Composes the collector: builds every part once, serves, and stops in order. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import grpc
import grpc.aio

from ringwatch_collector.access.app import Access
from ringwatch_collector.access.book import AccessBook
from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.desk import Desk
from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.exporter import Exporter
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.follow import Bell
from ringwatch_collector.fusion import fuse
from ringwatch_collector.ground import data_folder, database_url, fleet_policy, lock_folder
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.ingest import TelemetryService
from ringwatch_collector.intake import FleetIntake
from ringwatch_collector.query import QueryService
from ringwatch_collector.runner import Runner
from ringwatch_collector.runs import build_runs, runbooks_for, summaries
from ringwatch_collector.sessions import Sessions
from ringwatch_collector.store.store import Store
from ringwatch_knowledge import overrides
from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc, runs_pb2_grpc

_LOG: Final = logging.getLogger("ringwatch.collector")
_EVENTS_BACK_S: Final = 3600.0
_HOUSEKEEPING_S: Final = 5.0
_RETENTION_S: Final = 3600.0
_MOST_SENT_BYTES: Final = 64 << 20


class Collector:
    """One collector. ``start`` serves, ``stop`` ends it; both once."""

    def __init__(self, config: CollectorConfig) -> None:
        """Build the parts and load what an earlier collector left; raise ConfigError or StoreError."""
        self._config = config
        self._name = config.name or socket.gethostname()
        self.clock = Clock()
        self.counters = Counters()
        self._server: grpc.aio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        with ExitStack() as undo:
            self._lock = undo.enter_context(lock_folder(config))
            self.store = Store(database_url(config), self.counters, config.store_retry_s)
            undo.callback(self.store.close)
            self._build()
            self._restore()
            undo.pop_all()

    def _build(self) -> None:
        config = self._config
        self.fleet = FleetState(fleet_policy(config), self.counters.dropped, self.clock.now_s())
        self.sessions = Sessions()
        self.broker = ActionBroker(self.sessions)
        self.audit = AuditLog(self.store, self.clock)
        self.access = Access(config, AccessBook(self.store.database), self.audit, self.clock, self.counters)
        self.bell = Bell()
        self.book = IncidentBook(IncidentPolicy(), self._runbooks_for, self._stored_incidents())
        self.desk = Desk(book=self.book, store=self.store, audit=self.audit, bell=self.bell, clock=self.clock)
        self._ingest = TelemetryService(
            config=config,
            clock=self.clock,
            intake=FleetIntake(
                fleet=self.fleet, store=self.store, clock=self.clock, counters=self.counters
            ),
            store=self.store,
            sessions=self.sessions,
            broker=self.broker,
            counters=self.counters,
            name=self._name,
        )
        self._runner = Runner(
            detectors=ALL,
            fuse=fuse,
            book=self.book,
            fleet=self.fleet,
            store=self.store,
            bell=self.bell,
            clock=self.clock,
            counters=self.counters,
            tick_s=config.tick_s,
        )
        self.answers = FleetAnswers(
            config=config,
            clock=self.clock,
            fleet=self.fleet,
            book=self.book,
            runner=self._runner,
            store=self.store,
            counters=self.counters,
            name=self._name,
            runs=self._run_summaries,
            troubles=self._troubles,
        )
        self.runs, self._runs_service = build_runs(
            view=lambda: self.fleet.view(self.clock.now_s()),
            desk=self.desk,
            broker=self.broker,
            store=self.store,
            audit=self.audit,
            clock=self.clock,
            runbooks=config.runbooks,
            repair=config.repair,
            folder=data_folder(config),
        )
        self._query = QueryService(
            answers=self.answers,
            fleet=self.fleet,
            book=self.book,
            store=self.store,
            audit=self.audit,
            desk=self.desk,
            bell=self.bell,
            clock=self.clock,
        )
        self._exporter = Exporter(
            self.answers, self.counters, self.fleet, self.sessions, config.metrics_listen
        )

    @property
    def metrics_port(self) -> int:
        """Return the port of the Prometheus page, 0 while there is none."""
        return self._exporter.port

    def _runbooks_for(self, incident: Incident) -> tuple[str, ...]:
        return runbooks_for(self.runs, incident)

    def _run_summaries(self) -> Sequence[query_pb2.RunSummary]:
        return summaries(self.runs, self.clock.now_s())

    def _troubles(self) -> list[str]:
        found = [*self.store.troubles, *self.runs.troubles, *self.access.troubles()]
        found.extend(f"left out of the knowledge: {each}" for each in overrides.troubles())
        if self.clock.steps:
            found.append(f"the wall clock was stepped {self.clock.steps} times since the collector started")
        return found

    def _stored_incidents(self) -> list[Incident]:
        """Return open and lately closed incidents, and the newest one: its number is not used again."""
        since_s = self.clock.now_s() - 86400.0
        found = {incident.id: incident for incident in self.store.incidents(since_s)}
        ids = self.store.incident_ids()
        newest = max(ids, key=lambda each: int(each.rpartition("-")[2]), default=None)
        if newest is not None and newest not in found:
            incident = self.store.incident(newest)
            found |= {newest: incident} if incident is not None else {}
        return sorted(found.values(), key=lambda each: each.opened_s)

    def _restore(self) -> None:
        now_s = self.clock.now_s()
        for spool, number, event in self.store.events(since_s=now_s - _EVENTS_BACK_S, limit=50_000):
            self.fleet.events.add(spool, number, event)
        for row in self.store.progress(now_s - self._config.forget_node_s):
            self._ingest.restore(row.node, row.spool, row.sequence)
            self.fleet.remember(row.node, row.updated_s, row.updated_s)

    async def start(self) -> int:
        """Serve and return the port; raise ConfigError when the address cannot be had."""
        server = grpc.aio.server(
            interceptors=[self.access.guard],
            options=[
                ("grpc.max_receive_message_length", self._config.max_message_mib << 20),
                ("grpc.max_send_message_length", _MOST_SENT_BYTES),
                ("grpc.so_reuseport", 0),
                # A whole fleet may dial again at once; the default of 1000 cancels the rest of it.
                ("grpc.server.max_pending_requests", self._config.most_nodes),
                ("grpc.server.max_pending_requests_hard_limit", 2 * self._config.most_nodes),
                ("grpc.keepalive_time_ms", 20_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
                ("grpc.keepalive_permit_without_calls", 1),
                # Connections that never finish a handshake, or finish it and ask nothing.
                ("grpc.server_handshake_timeout_ms", int(self._config.access.handshake_s * 1000)),
                ("grpc.max_connection_idle_ms", 300_000),
            ],
        )
        server.add_generic_rpc_handlers((self._ingest.handler(),))
        query_pb2_grpc.add_QueryServicer_to_server(self._query, server)
        runs_pb2_grpc.add_RunsServicer_to_server(self._runs_service, server)
        port = self.access.serve(server)
        await server.start()
        self._server = server
        self._exporter.start()
        self._tasks = [
            asyncio.create_task(self._runner.run(), name="runner"),
            asyncio.create_task(self._ingest.run(), name="acknowledgements"),
            asyncio.create_task(self.runs.run(), name="runs"),
            asyncio.create_task(self._keep_house(), name="housekeeping"),
            asyncio.create_task(self.access.run(), name="access"),
        ]
        return port

    async def _keep_house(self) -> None:
        """Write progress every few seconds and delete what is old every hour."""
        swept_s = self.clock.monotonic_s()
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._ingest.note_progress()
            self.store.flush()
            if self.clock.monotonic_s() - swept_s < _RETENTION_S:
                continue
            swept_s = self.clock.monotonic_s()
            try:
                await asyncio.to_thread(self.store.sweep, self._config.store, self.clock.now_s())
            except StoreError as error:
                _LOG.error("%s", error)

    async def stop(self) -> None:
        """Stop taking messages, write what waits, and close; within ``shutdown_s`` and a second."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.runs.close()
        self._ingest.note_progress()
        self.sessions.refuse_all("the collector is stopping", 1.0)
        if self._server is not None:
            await self._server.stop(grace=min(0.5, self._config.shutdown_s))
        await asyncio.to_thread(self._exporter.stop)
        await self.audit.settle(self._config.shutdown_s)
        await asyncio.to_thread(self.store.close, self._config.shutdown_s)
        self._lock.close()
