"""Hosts runbook runs: the Runs service, and the engine's protocols over the parts of the collector."""

# ruff: noqa: N802  (gRPC names its methods)

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import grpc

from ringwatch_collector import run_messages
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.clock import Clock
from ringwatch_collector.desk import Desk
from ringwatch_collector.facts import LiveFacts
from ringwatch_collector.rpc import Context
from ringwatch_collector.store.store import Store, StoredRun
from ringwatch_collector.validate import clean
from ringwatch_collector.view import FleetView
from ringwatch_proto.errors import RingwatchError, StoreError
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2, runs_pb2, runs_pb2_grpc
from ringwatch_runbooks.base import VerbCall, VerbOutcome
from ringwatch_runbooks.engine import RunEngine
from ringwatch_runbooks.load import load_library
from ringwatch_runbooks.match import candidates
from ringwatch_runbooks.model import Runbook
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World

# How long a run waits for the disk before it gives up moving.
_PERSIST_S: Final = 5.0
_SHOWN_S: Final = 3600.0
_MOST_RUNS: Final = 200


async def _durable(written: asyncio.Future[None], what: str) -> None:
    done, _ = await asyncio.wait([written], timeout=_PERSIST_S)
    if not done:
        raise StoreError(f"{what} could not be written within {_PERSIST_S:.0f} s")
    written.result()


class BrokerVerbs:
    """Node verbs through the collector's broker."""

    def __init__(self, broker: ActionBroker) -> None:
        self._broker = broker

    async def call(self, call: VerbCall) -> VerbOutcome:
        """Return what came of a verb; a node that is not there and a refusal are outcomes too."""
        try:
            outcome = await self._broker.call(
                call.node,
                call.verb,
                call.arguments,
                requested_by=call.requested_by,
                approved_by=call.approved_by,
                incident=call.incident,
                timeout_s=call.timeout_s,
                dry_run=call.dry_run,
            )
        except RingwatchError as error:
            return VerbOutcome(status="failed", text=str(error))
        return VerbOutcome(status=outcome.status, text=outcome.text, facts=outcome.facts)


class StoreJournal:
    """Keeps runs in the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def save(self, run: str, incident: str, state: str, document: str) -> None:
        """Return when the run is on disk; raise StoreError when it is not soon enough."""
        stored = StoredRun(
            id=run, incident=incident, state=state, updated_s=self._clock.now_s(), document=document
        )
        await _durable(self._store.put_run(stored), f"run {run}")


class ChainedAudit:
    """Writes what runs do into the audit log."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def record(
        self, *, actor: str, action: str, target: str, incident: str, reason: str, result: str
    ) -> None:
        """Append one record; raise StoreError when it is not on disk soon enough."""
        appended = asyncio.ensure_future(
            self._audit.append(
                actor=actor, action=action, target=target, incident=incident, reason=reason, result=result
            )
        )
        done, _ = await asyncio.wait([appended], timeout=_PERSIST_S)
        if not done:
            raise StoreError(f"the audit record of {action} could not be written in time")
        appended.result()


class DeskIncidents:
    """Incidents through the collector's desk, which stores each change and writes it down."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def get(self, incident: str) -> Incident | None:
        """Return an incident as it is now."""
        try:
            return self._desk.get(incident)
        except KeyError:
            return None

    async def attach(self, incident: str, run: str, author: str) -> None:
        """Note which run works on the incident."""
        await self._desk.attach_run(incident, run, author)

    async def resolve(self, incident: str, author: str, text: str) -> None:
        """Close the incident; raise ValueError with a sentence when it cannot be."""
        await self._act(incident, "resolve", author, text)

    async def note(self, incident: str, author: str, text: str) -> None:
        """Write into the incident."""
        await self._act(incident, "note", author, text)

    async def _act(self, incident: str, action: str, author: str, text: str) -> None:
        try:
            await self._desk.act(incident, action, author, text)
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error


class RunsService(runs_pb2_grpc.RunsServicer):  # type: ignore[misc]  # the generated base has no types
    """Serves ``ringwatch.v1.Runs``."""

    def __init__(self, engine: RunEngine, desk: Desk, clock: Clock) -> None:
        self._engine = engine
        self._desk = desk
        self._clock = clock

    async def ListRunbooks(
        self, request: runs_pb2.ListRunbooksRequest, context: Context
    ) -> runs_pb2.RunbookList:
        """Return every runbook, or those that fit an incident, best first."""
        library = self._engine.world.library
        ids: Sequence[str] = sorted(library.runbooks)
        if request.incident:
            try:
                ids = candidates(library, self._desk.get(request.incident))
            except KeyError as error:
                await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
        books = [run_messages.runbook(library.runbooks[id], library) for id in ids]
        return runs_pb2.RunbookList(runbooks=books)

    async def GetRunbook(self, request: runs_pb2.GetRunbookRequest, context: Context) -> runs_pb2.Runbook:
        """Return one runbook."""
        try:
            book = self._engine.runbook(request.id)
        except KeyError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
        return run_messages.runbook(book, self._engine.world.library)

    async def StartRun(self, request: runs_pb2.StartRunRequest, context: Context) -> runs_pb2.Run:
        """Begin to walk a runbook for an incident."""
        author = clean(request.author, 64).strip()
        return await self._moved(
            context, lambda: self._engine.start(request.incident, request.runbook, author)
        )

    async def GetRun(self, request: runs_pb2.GetRunRequest, context: Context) -> runs_pb2.Run:
        """Return one run as it is now."""
        try:
            record = self._engine.get(request.id)
        except KeyError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
        return self._message(record)

    async def ListRuns(self, request: runs_pb2.ListRunsRequest, _context: Context) -> runs_pb2.RunList:
        """Return runs, newest first."""
        found = [
            record
            for record in reversed(self._engine.all())
            if (record.live or request.include_ended)
            and (not request.incident or record.incident == request.incident)
        ]
        return runs_pb2.RunList(runs=[self._message(record) for record in found[:_MOST_RUNS]])

    def recent(self) -> list[runs_pb2.Run]:
        """Return the runs that go on, and those that ended in the last hour."""
        now_s = self._clock.now_s()
        return [self._message(each) for each in self._engine.all() if is_shown(each, now_s)]

    async def Answer(self, request: runs_pb2.AnswerRequest, context: Context) -> runs_pb2.Run:
        """Take what a person says to the open step of a run."""
        author, text = clean(request.author, 64).strip(), clean(request.text, 2000)
        return await self._moved(
            context,
            lambda: self._engine.answer(request.run, request.step, request.action, text, author),
        )

    async def _moved(self, context: Context, move: Callable[[], Awaitable[RunRecord]]) -> runs_pb2.Run:
        try:
            record = await move()
        except KeyError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
        except ValueError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except StoreError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return self._message(record)

    def _message(self, record: RunRecord) -> runs_pb2.Run:
        return run_messages.run(
            record, _book_of(self._engine, record), self._engine.world.library, self._clock.now_s()
        )


def _book_of(engine: RunEngine, record: RunRecord) -> Runbook | None:
    """Return the runbook that a run was started with, None when it changed since."""
    book = engine.world.library.runbooks.get(record.runbook)
    return book if book is not None and book.digest == record.digest else None


def is_shown(record: RunRecord, now_s: float) -> bool:
    """Say whether a run goes on, or ended in the last hour."""
    return record.live or now_s - (record.ended_s or 0.0) <= _SHOWN_S


def summaries(engine: RunEngine, now_s: float) -> list[query_pb2.RunSummary]:
    """Return the runs that go on, and those that ended in the last hour."""
    return [
        run_messages.brief(record, _book_of(engine, record))
        for record in engine.all()
        if is_shown(record, now_s)
    ]


def runbooks_for(engine: RunEngine, incident: Incident) -> tuple[str, ...]:
    """Return the ids of the runbooks that fit an incident, best first."""
    return candidates(engine.world.library, incident)


def build_runs(
    *,
    view: Callable[[], FleetView],
    desk: Desk,
    broker: ActionBroker,
    store: Store,
    audit: AuditLog,
    clock: Clock,
    library_paths: Sequence[Path] = (),
) -> tuple[RunEngine, RunsService]:
    """Return the engine, with the runs that an earlier collector left, and its service.

    Whoever composes the collector runs ``engine.run()`` as a task, and ``engine.close()`` at the end.
    """
    world = World(
        library=load_library(library_paths),
        facts=LiveFacts(view),
        verbs=BrokerVerbs(broker),
        journal=StoreJournal(store, clock),
        audit=ChainedAudit(audit),
        incidents=DeskIncidents(desk),
        clock=clock,
    )
    engine = RunEngine(world, (stored.document for stored in store.runs()))
    return engine, RunsService(engine, desk, clock)
