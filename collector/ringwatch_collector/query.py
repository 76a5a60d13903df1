"""The Query service: what consoles and scripts ask, and what a person says about an incident."""

# ruff: noqa: N802  (gRPC names its methods)

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, ParamSpec, TypeVar

import grpc
import grpc.aio

from ringwatch_collector.access.callers import author_of
from ringwatch_collector.alerts.listing import listed
from ringwatch_collector.answers import details, node_detail
from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.clock import Clock
from ringwatch_collector.desk import Desk
from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.follow import Bell
from ringwatch_collector.history.service import HistoryAnswers
from ringwatch_collector.incidents import IncidentBook
from ringwatch_collector.rpc import Context
from ringwatch_collector.silence_desk import SilenceDesk
from ringwatch_collector.store.store import Store
from ringwatch_proto.codec import incident_to_message, to_ns
from ringwatch_proto.errors import StoreError
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc

_LOG: Final = logging.getLogger("ringwatch.collector.query")

P = ParamSpec("P")
T = TypeVar("T")

_MOST_ROWS: Final = 10_000
_MOST_FOLLOWERS: Final = 64
# How long a write to a follower may wait for it to read.
_STUCK_S: Final = 30.0
# Building snapshots may take this share of one core, however many follow.
_BUILD_SHARE: Final = 0.1
# A snapshot that takes longer is made once a look for all who ask.
_CHEAP_BUILD_S: Final = 0.02


class QueryService(query_pb2_grpc.QueryServicer):  # type: ignore[misc]  # the generated base has no types
    """Serves ``ringwatch.v1.Query``."""

    def __init__(
        self,
        *,
        answers: FleetAnswers,
        fleet: FleetState,
        book: IncidentBook,
        store: Store,
        audit: AuditLog,
        desk: Desk,
        silences: SilenceDesk,
        history: HistoryAnswers,
        bell: Bell,
        clock: Clock,
    ) -> None:
        self._answers = answers
        self._fleet = fleet
        self._book = book
        self._store = store
        self._audit = audit
        self._desk = desk
        self._silences = silences
        self._history = history
        self._bell = bell
        self._clock = clock
        self._built = (-1, query_pb2.Fleet())
        self._build_s = 0.0
        self.followers = 0
        self.stuck_s = _STUCK_S
        self.most_followers = _MOST_FOLLOWERS

    async def GetFleet(self, request: query_pb2.GetFleetRequest, _context: Context) -> query_pb2.Fleet:
        """Return the fleet now, with all its nodes or a page of them."""
        whole = not request.first_node and not request.most_nodes
        if whole and self._build_s > _CHEAP_BUILD_S:
            return self._newest()
        return self._answers.fleet(request.first_node, request.most_nodes)

    async def FollowFleet(
        self, request: query_pb2.FollowFleetRequest, context: Context
    ) -> AsyncIterator[query_pb2.Fleet]:
        """Yield the fleet at once and then after every look, at most one a ``min_interval_s``.

        A large fleet is told less often. Who does not read for ``stuck_s`` is let go: what waits for a
        client is a whole fleet, and there is room for a few of those only.
        """
        if self.followers >= self.most_followers:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self.most_followers} consoles follow already"
            )
        interval_s = min(60.0, max(0.1, request.min_interval_s or 0.5))
        self.followers += 1
        try:
            while True:
                began_s = self._clock.monotonic_s()
                patience = self._patience()
                yield self._newest()
                patience.cancel()
                seen = self._bell.rung
                wait_s = max(interval_s, self._build_s / _BUILD_SHARE)
                await asyncio.sleep(max(0.0, began_s + wait_s - self._clock.monotonic_s()))
                await self._bell.after(seen)
        finally:
            patience.cancel()
            self.followers -= 1

    def _patience(self) -> asyncio.TimerHandle:
        """Have the call that is being served cancelled when its write takes too long."""
        serving = asyncio.current_task()

        def let_go() -> None:
            _LOG.warning("a console that did not read for %.0f s was let go", self.stuck_s)
            if serving is not None:
                serving.cancel()

        return asyncio.get_running_loop().call_later(self.stuck_s, let_go)

    def _newest(self) -> query_pb2.Fleet:
        """Return the answer of the newest look, built once for all who ask."""
        if self._built[0] != self._bell.rung:
            began_s = self._clock.monotonic_s()
            self._built = (self._bell.rung, self._answers.fleet())
            self._build_s = self._clock.monotonic_s() - began_s
        return self._built[1]

    async def GetIncident(
        self, request: query_pb2.GetIncidentRequest, context: Context
    ) -> query_pb2.Incident:
        """Return one incident, from the book or from the disk."""
        try:
            return incident_to_message(self._book.get(request.id))
        except KeyError:
            stored = await self._from_disk(context, self._store.incident, request.id)
        if stored is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no incident {request.id[:40]!r}")
        return incident_to_message(stored)

    async def ListIncidents(
        self, request: query_pb2.ListIncidentsRequest, context: Context
    ) -> query_pb2.IncidentList:
        """Return open incidents, or the newest of all."""
        limit = min(request.limit or 100, _MOST_ROWS)
        if request.include_closed:
            stored = await self._from_disk(context, self._store.newest_incidents, limit)
            newer = {incident.id: incident for incident in self._book.all()}
            found = [newer.pop(incident.id, incident) for incident in stored]
            found = sorted([*newer.values(), *found], key=lambda each: each.opened_s, reverse=True)
        else:
            found = [
                each
                for each in self._answers.shown_incidents(self._clock.now_s())
                if each.state != "resolved"
            ]
        return query_pb2.IncidentList(incidents=[incident_to_message(each) for each in found[:limit]])

    async def GetJob(self, request: query_pb2.GetJobRequest, context: Context) -> query_pb2.JobDetail:
        """Return one job in depth."""
        steps = min(request.steps or 60, 1000)
        found = details.of_job(self._answers, self._fleet, request.job, steps)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {request.job[:60]!r}")
        return found

    async def GetNode(self, request: query_pb2.GetNodeRequest, context: Context) -> query_pb2.NodeDetail:
        """Return one node in depth."""
        found = details.of_node(self._answers, self._fleet, request.node, request.seconds or 60.0)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no node {request.node[:60]!r}")
        return found

    async def ListEvents(self, request: query_pb2.ListEventsRequest, context: Context) -> query_pb2.EventList:
        """Return stored events, the newest ``limit``, oldest first."""
        limit = min(request.limit or 200, _MOST_ROWS)
        found = await self._from_disk(
            context,
            self._store.events,
            node=request.node,
            since_s=request.since_ns / 1e9,
            limit=limit,
        )
        rows = []
        for _, number, event in found:
            message = node_detail.event_to_message(event)
            message.id = number
            rows.append(
                query_pb2.StoredEvent(node=event.node, event=message, received_ns=to_ns(event.received_s))
            )
        return query_pb2.EventList(events=rows)

    async def ListAudit(self, request: query_pb2.ListAuditRequest, context: Context) -> query_pb2.AuditList:
        """Return the newest audit records and whether the whole chain is intact."""
        limit = min(request.limit or 200, _MOST_ROWS)
        return await self._from_disk(context, self._audit.records, limit, request.incident)

    async def ActOnIncident(self, request: query_pb2.IncidentAction, context: Context) -> query_pb2.Incident:
        """Do what a person asks, store it, and write it down."""
        try:
            author = author_of(context, request.author)
            incident = await self._desk.act(
                request.incident, request.action, author, request.text, request.silence_s
            )
        except KeyError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
        except ValueError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return incident_to_message(incident)

    async def ListSilences(
        self, request: query_pb2.ListSilencesRequest, _context: Context
    ) -> query_pb2.SilenceList:
        """Return the silences that hold, or those of the last month too."""
        return self._silences.list(include_ended=request.include_ended)

    async def PutSilence(self, request: query_pb2.PutSilenceRequest, context: Context) -> query_pb2.Silence:
        """Begin a silence, store it, and write it down."""
        try:
            return await self._silences.put(request, author_of(context, request.author))
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    async def EndSilence(self, request: query_pb2.EndSilenceRequest, context: Context) -> query_pb2.Silence:
        """End a silence, store it, and write it down."""
        try:
            return await self._silences.end(request, author_of(context, request.author))
        except KeyError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
            raise
        except ValueError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise

    async def ListAlerts(self, request: query_pb2.ListAlertsRequest, context: Context) -> query_pb2.AlertList:
        """Return what was told to whom, newest first."""
        limit = min(request.limit or 100, _MOST_ROWS)
        return await self._from_disk(context, listed, self._store, limit, request.state)

    async def History(self, request: query_pb2.HistoryRequest, context: Context) -> query_pb2.HistoryReply:
        """Return one series over a window, and where it comes from."""
        try:
            return await self._history.answer(request)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    async def _from_disk(
        self, context: Context, read: Callable[P, T], *arguments: P.args, **names: P.kwargs
    ) -> T:
        try:
            return await asyncio.to_thread(read, *arguments, **names)
        except StoreError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error)[:300])
            raise
