"""The Query service on the bus: the fleet from the board, the past from the shared database."""

# ruff: noqa: N802  (gRPC names its methods)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from ringwatch_collector.access.callers import author_of
from ringwatch_collector.alerts.listing import listed
from ringwatch_collector.answers import node_detail
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.bus.board import Board
from ringwatch_collector.bus.link import Link
from ringwatch_collector.bus.silences import SharedSilences
from ringwatch_collector.bus.verdicts import CODES, DONE
from ringwatch_collector.follow import Bell
from ringwatch_collector.rpc import Context
from ringwatch_collector.store.store import Store
from ringwatch_proto.codec import incident_to_message, to_ns
from ringwatch_proto.errors import StoreError
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc

T = TypeVar("T")

_MOST_ROWS: Final = 10_000
_ANSWER_S: Final = 5.0
_NO_KEEPER: Final = "no detector answers: try again in a few seconds"


class BusQuery(query_pb2_grpc.QueryServicer):  # type: ignore[misc]  # the generated base has no types
    """Serves ``ringwatch.v1.Query`` of the whole fleet, on any collector."""

    def __init__(
        self,
        *,
        board: Board,
        link: Link,
        store: Store,
        audit: AuditLog,
        bell: Bell,
        silences: SharedSilences,
        troubles: Callable[[], Sequence[str]],
    ) -> None:
        self._silences = silences
        self._board = board
        self._link = link
        self._store = store
        self._audit = audit
        self._bell = bell
        self._troubles = troubles

    async def GetFleet(self, request: query_pb2.GetFleetRequest, _context: Context) -> query_pb2.Fleet:
        """Return the fleet now, with all its nodes or a page of them."""
        fleet = self._board.fleet(self._troubles())
        if request.most_nodes:
            del fleet.nodes[request.first_node + request.most_nodes :]
        del fleet.nodes[: request.first_node]
        return fleet

    async def FollowFleet(
        self, request: query_pb2.FollowFleetRequest, _context: Context
    ) -> AsyncIterator[query_pb2.Fleet]:
        """Yield the fleet at once and then as detectors show it, at most one a ``min_interval_s``."""
        interval_s = min(60.0, max(0.5, request.min_interval_s))
        while True:
            yield self._board.fleet(self._troubles())
            await asyncio.sleep(interval_s)

    async def GetIncident(
        self, request: query_pb2.GetIncidentRequest, context: Context
    ) -> query_pb2.Incident:
        """Return one incident as it is on disk."""
        stored = await self._from_disk(context, lambda: self._store.incident(request.id))
        if stored is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no incident {request.id[:40]!r}")
        return incident_to_message(stored)

    async def ListIncidents(
        self, request: query_pb2.ListIncidentsRequest, context: Context
    ) -> query_pb2.IncidentList:
        """Return open incidents, or the newest of all, as they are on disk."""
        limit = min(request.limit or 100, _MOST_ROWS)
        if request.include_closed:
            found = await self._from_disk(context, lambda: self._store.newest_incidents(limit))
        else:
            found = await self._from_disk(context, lambda: self._store.incidents(2.0**33))
            found = sorted(found, key=lambda each: (-each.severity, -each.opened_s))
        return query_pb2.IncidentList(incidents=[incident_to_message(each) for each in found[:limit]])

    async def GetJob(self, request: query_pb2.GetJobRequest, context: Context) -> query_pb2.JobDetail:
        """Return one job in depth, from the detector that has it."""
        data = await self._link.ask("ask.job", request.SerializeToString(), _ANSWER_S)
        if data is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no detector knows job {request.job[:60]!r}")
        return query_pb2.JobDetail.FromString(data)

    async def GetNode(self, request: query_pb2.GetNodeRequest, context: Context) -> query_pb2.NodeDetail:
        """Return one node in depth, from the detector that has it."""
        data = await self._link.ask("ask.node", request.SerializeToString(), _ANSWER_S)
        if data is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no detector knows node {request.node[:60]!r}")
        return query_pb2.NodeDetail.FromString(data)

    async def ListEvents(self, request: query_pb2.ListEventsRequest, context: Context) -> query_pb2.EventList:
        """Return stored events, the newest ``limit``, oldest first."""
        limit = min(request.limit or 200, _MOST_ROWS)
        found = await self._from_disk(
            context,
            lambda: self._store.events(node=request.node, since_s=request.since_ns / 1e9, limit=limit),
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
        return await self._from_disk(context, lambda: self._audit.records(limit, request.incident))

    async def ActOnIncident(self, request: query_pb2.IncidentAction, context: Context) -> query_pb2.Incident:
        """Have the detector that has the incident do what a person asks."""
        request.author = author_of(context, request.author)
        nobody = f"no detector has incident {request.incident[:40]!r}"
        return query_pb2.Incident.FromString(await self._done(context, "ask.act", request, nobody))

    async def ListSilences(
        self, request: query_pb2.ListSilencesRequest, _context: Context
    ) -> query_pb2.SilenceList:
        """Return the silences that hold, or those of the last month too."""
        return self._silences.list(include_ended=request.include_ended)

    async def PutSilence(self, request: query_pb2.PutSilenceRequest, context: Context) -> query_pb2.Silence:
        """Have the detector that keeps the silences begin one."""
        request.author = author_of(context, request.author)
        return query_pb2.Silence.FromString(await self._done(context, "ask.put_silence", request, _NO_KEEPER))

    async def EndSilence(self, request: query_pb2.EndSilenceRequest, context: Context) -> query_pb2.Silence:
        """Have the detector that keeps the silences end one."""
        request.author = author_of(context, request.author)
        return query_pb2.Silence.FromString(await self._done(context, "ask.end_silence", request, _NO_KEEPER))

    async def ListAlerts(self, request: query_pb2.ListAlertsRequest, context: Context) -> query_pb2.AlertList:
        """Return what was told to whom, newest first."""
        limit = min(request.limit or 100, _MOST_ROWS)
        return await self._from_disk(context, lambda: listed(self._store, limit, request.state))

    async def _done(self, context: Context, subject: str, request: Message, nobody: str) -> bytes:
        """Return what came of a request that one detector carries out; abort with why not."""
        data = await self._link.ask(subject, request.SerializeToString(), _ANSWER_S)
        if data is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, nobody)
        if data[:1] != DONE:
            code = CODES.get(data[:1], grpc.StatusCode.INTERNAL)
            await context.abort(code, data[1:].decode("utf-8", "replace"))
        return data[1:]

    async def _from_disk(self, context: Context, read: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(read)
        except StoreError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error)[:300])
            raise
