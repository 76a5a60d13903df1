"""Answers what other collectors ask of our partitions: a job, a node, an act on an incident."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from ringwatch_collector.answers import details
from ringwatch_collector.answers.fleet import FleetAnswers
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.bus.cell import Cell, CellParts
from ringwatch_collector.bus.partitions import partition_of_incident
from ringwatch_collector.bus.silences import SharedSilences
from ringwatch_collector.bus.verdicts import DONE, NOT_FOUND, NOT_NOW
from ringwatch_collector.desk import Desk
from ringwatch_proto.codec import incident_to_message
from ringwatch_proto.v1 import query_pb2

_MOST_STEPS: Final = 1000


class Desks:
    """Our cells as others ask for them. A question that is not about one of them is left to others."""

    def __init__(
        self,
        cells: Callable[[], Mapping[int, Cell]],
        parts: CellParts,
        audit: AuditLog,
        name: str,
        *,
        silences: SharedSilences,
        leads: Callable[[], bool],
    ) -> None:
        """``leads`` says whether this process is the one that keeps the silences now."""
        self._silences = silences
        self._leads = leads
        self._cells = cells
        self._parts = parts
        self._audit = audit
        self._name = name

    def fleets(self) -> dict[int, query_pb2.Fleet]:
        """Return the answer of each partition of ours that is up to date."""
        return {cell.partition: self._answers(cell).fleet() for cell in self._live()}

    def _live(self) -> Iterable[Cell]:
        return [cell for cell in self._cells().values() if cell.is_live]

    def _answers(self, cell: Cell) -> FleetAnswers:
        parts = self._parts
        return FleetAnswers(
            config=parts.config,
            clock=cell.clock,
            fleet=cell.fleet,
            book=cell.book,
            runner=cell.runner,
            store=parts.store,
            counters=parts.counters,
            name=self._name,
            runs=list,
            troubles=lambda: parts.store.troubles,
        )

    async def reply(self, what: str, data: bytes) -> bytes | None:
        """Answer a question; None when it is about nothing of ours."""
        try:
            if what == "job":
                return self._job(query_pb2.GetJobRequest.FromString(data))
            if what == "node":
                return self._node(query_pb2.GetNodeRequest.FromString(data))
            if what == "act":
                return await self._act(query_pb2.IncidentAction.FromString(data))
            if what == "put_silence" and self._leads():
                return await self._silences.put(query_pb2.PutSilenceRequest.FromString(data))
            if what == "end_silence" and self._leads():
                return await self._silences.end(query_pb2.EndSilenceRequest.FromString(data))
        except DecodeError:
            self._parts.counters.refused["undecodable_question"] += 1
        return None

    def _job(self, request: query_pb2.GetJobRequest) -> bytes | None:
        for cell in self._live():
            steps = min(request.steps or 60, _MOST_STEPS)
            found = details.of_job(self._answers(cell), cell.fleet, request.job, steps)
            if found is not None:
                return found.SerializeToString()
        return None

    def _node(self, request: query_pb2.GetNodeRequest) -> bytes | None:
        for cell in self._live():
            known = cell.fleet.nodes.get(request.node)
            if known is None or known.hello is None:
                continue
            found = details.of_node(self._answers(cell), cell.fleet, request.node, request.seconds or 60.0)
            if found is not None:
                return found.SerializeToString()
        return None

    async def _act(self, request: query_pb2.IncidentAction) -> bytes | None:
        partition = partition_of_incident(request.incident)
        cell = self._cells().get(-1 if partition is None else partition)
        if cell is None or not cell.is_live:
            return None
        parts = self._parts
        desk = Desk(book=cell.book, store=parts.store, audit=self._audit, bell=parts.bell, clock=cell.clock)
        try:
            incident = await desk.act(
                request.incident, request.action, request.author, request.text, request.silence_s
            )
        except KeyError as error:
            return NOT_FOUND + str(error.args[0]).encode()
        except ValueError as error:
            return NOT_NOW + str(error).encode()
        return DONE + incident_to_message(incident).SerializeToString()
