"""Composes the collector: builds every part once, serves, and stops in order. Decides nothing."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

import grpc
import grpc.aio

from ringwatch_collector.access.app import Access
from ringwatch_collector.access.book import AccessBook
from ringwatch_collector.alerts.app import Alerts
from ringwatch_collector.alerts.sight import Eyes, blindness
from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.blast import BlastPolicy, gather
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.clock import Clock
from ringwatch_collector.config import CollectorConfig
from ringwatch_collector.counters import Counters
from ringwatch_collector.desk import Desk
from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.exporter import Exporter
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.follow import Bell
from ringwatch_collector.fusion import Fused, fuse
from ringwatch_collector.ground import data_folder, database_url, fleet_policy, lock_folder
from ringwatch_collector.history.app import History
from ringwatch_collector.housekeeping import Housekeeper
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.ingest import TelemetryService
from ringwatch_collector.intake import FleetIntake
from ringwatch_collector.query import QueryService
from ringwatch_collector.recording.app import build_recording
from ringwatch_collector.recording.camera import Camera
from ringwatch_collector.runner import Runner
from ringwatch_collector.runs import build_runs, runbooks_for, summaries
from ringwatch_collector.serving import new_server
from ringwatch_collector.sessions import Sessions
from ringwatch_collector.silence_desk import SilenceDesk, stored_silences
from ringwatch_collector.store.store import Store
from ringwatch_collector.view import FleetView
from ringwatch_knowledge import overrides
from ringwatch_proto.records import Finding, Incident
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc, recording_pb2_grpc, runs_pb2_grpc

_EVENTS_BACK_S: Final = 3600.0
_UNJUDGED_S: Final = 10.0


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
        stored = self._stored_incidents()
        silences = stored_silences(self.store, self.clock.now_s())
        self.book = IncidentBook(IncidentPolicy(), self._runbooks_for, stored, silence_over=silences.over)
        self.silences = SilenceDesk(
            silences=silences, book=self.book, store=self.store, audit=self.audit, clock=self.clock
        )
        self.alerts = Alerts(
            config.alerts,
            store=self.store,
            counters=self.counters,
            collector=self._name,
            now_s=self.clock.now_s,
            blind=self._blindness,
            incidents=stored,
        )
        self.desk = Desk(book=self.book, store=self.store, audit=self.audit, bell=self.bell, clock=self.clock)
        self._ingest = TelemetryService(
            config=config,
            clock=self.clock,
            intake=FleetIntake(fleet=self.fleet, store=self.store, clock=self.clock, counters=self.counters),
            store=self.store,
            sessions=self.sessions,
            broker=self.broker,
            counters=self.counters,
            name=self._name,
        )
        self._runner = Runner(
            detectors=ALL,
            fuse=self._fuse,
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
        self._housekeeper = Housekeeper(
            store=self.store,
            kept=config.store,
            fleet=self.fleet,
            book=self.book,
            audit=self.audit,
            clock=self.clock,
            note_progress=self._ingest.note_progress,
        )
        self.history = History(
            config.history,
            fleet=self.fleet,
            counters=self.counters,
            incidents=self.book.all,
            now_s=self.clock.now_s,
        )
        self._query = QueryService(
            answers=self.answers,
            fleet=self.fleet,
            book=self.book,
            store=self.store,
            audit=self.audit,
            desk=self.desk,
            silences=self.silences,
            history=self.history.answers,
            bell=self.bell,
            clock=self.clock,
        )
        self.recording = build_recording(
            config.recording,
            Camera(self.answers, self.fleet, self._runs_service.recent),
            data_folder(config),
            self.clock,
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

    def _fuse(self, findings: Sequence[Finding], view: FleetView) -> list[Fused]:
        """Join findings of one cause, and then causes of many nodes at once."""
        return gather(fuse(findings, view), view, self.fleet.nodes.labels_of, BlastPolicy())

    def _blindness(self) -> str:
        """Return why nothing that happens would be seen now, empty when it would."""
        now_s, nodes = self.clock.now_s(), self.fleet.nodes
        heard_s = float(nodes.view().last_batch_s.max(initial=-math.inf))
        return blindness(
            Eyes(
                store_trouble=self.store.trouble,
                looked_age_s=now_s - self._runner.evaluated_s,
                tick_s=self._config.tick_s,
                rules_active=self._runner.rules_active,
                nodes_known=len(nodes),
                heard_age_s=now_s - heard_s,
                blind_after_s=self._config.alerts.blind_after_s,
            )
        )

    def _troubles(self) -> list[str]:
        found = [
            *self.store.troubles,
            *self.alerts.troubles,
            *self.history.troubles,
            *self.runs.troubles,
            *self.access.troubles(),
        ]
        found.extend(self.recording.troubles)
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
        progress = self.store.progress(now_s - self._config.forget_node_s)
        # What came in an earlier collector's last seconds may not have been judged: it counts as come now.
        judged_s = max((row.updated_s for row in progress), default=now_s) - _UNJUDGED_S
        for spool, number, event in self.store.events(since_s=now_s - _EVENTS_BACK_S, limit=50_000):
            fresh = replace(event, received_s=now_s) if event.received_s >= judged_s else event
            self.fleet.events.add(spool, number, fresh)
        for row in progress:
            self._ingest.restore(row.node, row.spool, row.sequence)
            self.fleet.remember(row.node, row.updated_s, row.updated_s)
        learned_since_s = now_s - self._config.store.learned_days * 86400.0
        self.fleet.remember_learned(self.store.learned(learned_since_s), now_s)

    async def start(self) -> int:
        """Serve and return the port; raise ConfigError when the address cannot be had."""
        server = new_server(self._config, self.access.guard)
        server.add_generic_rpc_handlers((self._ingest.handler(),))
        query_pb2_grpc.add_QueryServicer_to_server(self._query, server)
        runs_pb2_grpc.add_RunsServicer_to_server(self._runs_service, server)
        recording_pb2_grpc.add_RecordingServicer_to_server(self.recording.service, server)
        port = self.access.serve(server)
        await server.start()
        self._server = server
        self._exporter.start()
        self.alerts.start()
        self._tasks = [
            asyncio.create_task(self._runner.run(), name="runner"),
            asyncio.create_task(self._ingest.run(), name="acknowledgements"),
            asyncio.create_task(self.runs.run(), name="runs"),
            asyncio.create_task(self._housekeeper.run(), name="housekeeping"),
            asyncio.create_task(self.alerts.run(), name="sight"),
            asyncio.create_task(self.history.run(), name="history"),
            asyncio.create_task(self.recording.run(), name="recording"),
            asyncio.create_task(self.access.run(), name="access"),
        ]
        return port

    async def stop(self) -> None:
        """Stop taking messages, write what waits, and close; within ``shutdown_s`` and a second."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._housekeeper.save_learned()
        await self.runs.close()
        self.recording.close()
        self._ingest.note_progress()
        self.sessions.refuse_all("the collector is stopping", 1.0)
        if self._server is not None:
            await self._server.stop(grace=min(0.5, self._config.shutdown_s))
        await asyncio.to_thread(self._exporter.stop)
        await asyncio.to_thread(self.alerts.stop, self._config.shutdown_s)
        await asyncio.to_thread(self.history.stop, self._config.shutdown_s)
        await self.audit.settle(self._config.shutdown_s)
        await asyncio.to_thread(self.store.close, self._config.shutdown_s)
        self._lock.close()
