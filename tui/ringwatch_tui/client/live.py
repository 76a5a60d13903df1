"""A collector over gRPC. Owns the channel and its deadlines; keeps no state and tries nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Final, TypeVar

import grpc

from ringwatch_proto.codec import incident_from_message
from ringwatch_proto.dialling import Credentials, open_channel
from ringwatch_proto.errors import ConfigError, UnreachableError
from ringwatch_proto.recording import Kept, kept
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import (
    query_pb2,
    query_pb2_grpc,
    recording_pb2,
    recording_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)
from ringwatch_tui.client import decode, decode_alerting
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.gpu_view import GpuViews
from ringwatch_tui.state.model import (
    Alert,
    AuditLog,
    Fleet,
    History,
    JobDetail,
    NodeDetail,
    Run,
    Runbook,
    Silence,
)

T = TypeVar("T")
# An operator at a console would rather be told than wait.
_TIMEOUT_S: Final = 5.0
# What changes something is waited for longer: giving up leaves it unknown whether it happened.
_CHANGE_TIMEOUT_S: Final = 15.0
_GONE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
# A snapshot of 100,000 GPUs is about 12 MB; the default limit is 4.
_MOST_RECORDED_BYTES: Final = 256 << 20
_NS: Final = 1_000_000_000
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


def _incident(message: query_pb2.Incident) -> Incident:
    try:
        return incident_from_message(message)
    except ValueError as error:
        raise RequestRefused(f"incident {message.id} cannot be shown by this version: {error}") from error


class LiveClient:
    """Answers of a collector. Opens its channel at the first question."""

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:
        self._address = address
        self._credentials = credentials or Credentials()
        self._channel: grpc.aio.Channel | None = None

    @property
    def address(self) -> str:
        """Return the collector's host and port."""
        return self._address

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            try:
                self._channel = open_channel(self._address, self._credentials, _OPTIONS)
            except ConfigError as error:
                raise UnreachableError(str(error)) from error
        return self._channel

    def _query(self) -> query_pb2_grpc.QueryStub:
        return query_pb2_grpc.QueryStub(self._open())

    def _runs(self) -> runs_pb2_grpc.RunsStub:
        return runs_pb2_grpc.RunsStub(self._open())

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from error

    def _translated(self, error: grpc.aio.AioRpcError) -> UnreachableError | RequestRefused:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnreachableError(f"the collector at {self._address} did not answer in time")
        if error.code() in _GONE:
            return UnreachableError(f"no collector answers at {self._address}")
        return RequestRefused(error.details() or error.code().name.lower())

    async def follow(self, min_interval_s: float) -> AsyncIterator[Fleet]:
        """Yield snapshots until the stream breaks, then raise UnreachableError."""
        request = query_pb2.FollowFleetRequest(min_interval_s=min_interval_s)
        known = decode.KnownIncidents()
        try:
            async for message in self._query().FollowFleet(request):
                yield decode.fleet(message, look=GpuViews, known=known)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from error
        raise UnreachableError(f"the collector at {self._address} closed the stream")

    async def fleet(self) -> Fleet:
        """Return the fleet now."""
        return decode.fleet(
            await self._ask(self._query().GetFleet(query_pb2.GetFleetRequest(), timeout=_TIMEOUT_S))
        )

    async def incident(self, id: str) -> Incident:
        """Return one incident, open or closed."""
        request = query_pb2.GetIncidentRequest(id=id)
        return _incident(await self._ask(self._query().GetIncident(request, timeout=_TIMEOUT_S)))

    async def incidents(self, *, include_closed: bool, limit: int) -> tuple[Incident, ...]:
        """Return incidents, also those closed long ago."""
        request = query_pb2.ListIncidentsRequest(include_closed=include_closed, limit=limit)
        answer = await self._ask(self._query().ListIncidents(request, timeout=_TIMEOUT_S))
        return tuple(_incident(each) for each in answer.incidents)

    async def job(self, name: str, steps: int) -> JobDetail:
        """Return a job with its last steps."""
        request = query_pb2.GetJobRequest(job=name, steps=steps)
        return decode.job_detail(await self._ask(self._query().GetJob(request, timeout=_TIMEOUT_S)))

    async def node(self, name: str, seconds: float) -> NodeDetail:
        """Return a node with its last seconds."""
        request = query_pb2.GetNodeRequest(node=name, seconds=seconds)
        return decode.node_detail(await self._ask(self._query().GetNode(request, timeout=_TIMEOUT_S)))

    async def act(
        self, incident: str, action: str, author: str, text: str, silence_s: float = 0.0
    ) -> Incident:
        """Say something about an incident; return it as it is then."""
        request = query_pb2.IncidentAction(
            incident=incident, action=action, author=author, text=text, silence_s=silence_s
        )
        return _incident(await self._ask(self._query().ActOnIncident(request, timeout=_CHANGE_TIMEOUT_S)))

    async def runbooks(self) -> tuple[Runbook, ...]:
        """Return every runbook of the collector."""
        answer = await self._ask(
            self._runs().ListRunbooks(runs_pb2.ListRunbooksRequest(), timeout=_TIMEOUT_S)
        )
        return tuple(decode.runbook(each) for each in answer.runbooks)

    async def start_run(self, incident: str, runbook: str, author: str) -> Run:
        """Start to walk a runbook."""
        request = runs_pb2.StartRunRequest(incident=incident, runbook=runbook, author=author)
        return decode.run(await self._ask(self._runs().StartRun(request, timeout=_CHANGE_TIMEOUT_S)))

    async def run(self, id: str) -> Run:
        """Return a run as it is now."""
        request = runs_pb2.GetRunRequest(id=id)
        return decode.run(await self._ask(self._runs().GetRun(request, timeout=_TIMEOUT_S)))

    async def answer(self, run: str, step: str, action: str, text: str, author: str) -> Run:
        """Answer the step that a run waits at."""
        request = runs_pb2.AnswerRequest(run=run, step=step, action=action, text=text, author=author)
        return decode.run(await self._ask(self._runs().Answer(request, timeout=_CHANGE_TIMEOUT_S)))

    async def audit(self, limit: int) -> AuditLog:
        """Return the newest records of what people did."""
        request = query_pb2.ListAuditRequest(limit=limit)
        return decode.audit(await self._ask(self._query().ListAudit(request, timeout=_TIMEOUT_S)))

    async def history(self, series: str, node: str, device: str, from_s: float) -> History:
        """Return a signal of a node from a time until now."""
        request = query_pb2.HistoryRequest(
            series=series, node=node, device=device, from_ns=round(from_s * _NS)
        )
        answer = await self._ask(self._query().History(request, timeout=_CHANGE_TIMEOUT_S))
        return decode_alerting.history(answer)

    async def silences(self) -> tuple[Silence, ...]:
        """Return the silences by matcher, also those that ended."""
        request = query_pb2.ListSilencesRequest(include_ended=True)
        answer = await self._ask(self._query().ListSilences(request, timeout=_TIMEOUT_S))
        return tuple(decode_alerting.silence(each) for each in answer.silences)

    async def put_silence(
        self, matchers: Sequence[str], author: str, reason: str, duration_s: float
    ) -> Silence:
        """Hold back for a time what all matchers match."""
        request = query_pb2.PutSilenceRequest(
            matchers=[decode_alerting.matcher(each) for each in matchers],
            author=author,
            reason=reason,
            duration_s=duration_s,
        )
        return decode_alerting.silence(
            await self._ask(self._query().PutSilence(request, timeout=_CHANGE_TIMEOUT_S))
        )

    async def end_silence(self, id: str, author: str, reason: str) -> Silence:
        """End a silence before its time."""
        request = query_pb2.EndSilenceRequest(id=id, author=author, reason=reason)
        return decode_alerting.silence(
            await self._ask(self._query().EndSilence(request, timeout=_CHANGE_TIMEOUT_S))
        )

    async def alerts(self, limit: int) -> tuple[Alert, ...]:
        """Return what was told to whom, the newest."""
        answer = await self._ask(
            self._query().ListAlerts(query_pb2.ListAlertsRequest(limit=limit), timeout=_TIMEOUT_S)
        )
        return tuple(decode_alerting.alert(each) for each in answer.alerts)

    async def recording(self, since_s: float, until_s: float) -> tuple[Kept, ...]:
        """Return the pictures of a window, compressed again: hours of them have to fit."""
        request = recording_pb2.FramesRequest(since_ns=round(since_s * _NS), until_ns=round(until_s * _NS))
        call = recording_pb2_grpc.RecordingStub(self._open()).Frames(request)
        found: list[Kept] = []
        held = 0
        try:
            async for frame in call:
                found.append(await asyncio.to_thread(kept, frame))
                held += len(found[-1].body)
                if held > _MOST_RECORDED_BYTES:
                    call.cancel()
                    break
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from error
        return tuple(found)

    async def close(self) -> None:
        """Close the channel; safe to call twice and before the first question."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
