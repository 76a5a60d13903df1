"""Hosts runbook runs: the Runs service, and the engine's protocols over the parts of the collector."""

# ruff: noqa: N802  (gRPC names its methods)

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import grpc

from ringwatch_collector import run_messages
from ringwatch_collector.access.callers import Role, caller_of
from ringwatch_collector.audit import AuditLog
from ringwatch_collector.broker import ActionBroker
from ringwatch_collector.clock import Clock
from ringwatch_collector.desk import Desk
from ringwatch_collector.facts import LiveFacts
from ringwatch_collector.repair.app import build_switchboard
from ringwatch_collector.repair.config import RepairConfig, RunbooksConfig
from ringwatch_collector.rpc import Context
from ringwatch_collector.run_world import BrokerVerbs, ChainedAudit, DeskIncidents, StoreJournal
from ringwatch_collector.store.store import Store
from ringwatch_collector.validate import clean
from ringwatch_collector.view import FleetView
from ringwatch_proto.errors import StoreError
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2, runs_pb2, runs_pb2_grpc
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.engine import RunEngine
from ringwatch_runbooks.load import load_library
from ringwatch_runbooks.match import candidates
from ringwatch_runbooks.model import Runbook
from ringwatch_runbooks.record import RunRecord
from ringwatch_runbooks.world import World

_SHOWN_S: Final = 3600.0
_MOST_RUNS: Final = 200
_PROOFS: Final = "proofs.jsonl"


def person_of(context: Context, claimed: str) -> Person:
    """Return who a call comes from: proven by the connection, or only claimed."""
    caller = caller_of(context)
    if not caller.authenticated:
        return Person(name=clean(claimed, 64).strip())
    return Person(
        name=clean(caller.name, 64).strip(),
        proven=True,
        approves=caller.role.covers(Role.APPROVER),
        rules=caller.role.covers(Role.ADMIN),
    )


class RunsService(runs_pb2_grpc.RunsServicer):  # type: ignore[misc]  # the generated base has no types
    """Serves ``ringwatch.v1.Runs``."""

    def __init__(self, engine: RunEngine, desk: Desk, clock: Clock, calls: Sequence[str] = ()) -> None:
        self._engine = engine
        self._calls = tuple(calls)
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
        author = person_of(context, request.author).name
        return await self._moved(
            context, lambda: self._engine.start(request.incident, request.runbook, author)
        )

    async def PlanRun(self, request: runs_pb2.StartRunRequest, context: Context) -> runs_pb2.Run:
        """Say what a runbook would do for an incident now; nothing is changed."""
        author = person_of(context, request.author).name
        return await self._moved(
            context, lambda: self._engine.plan(request.incident, request.runbook, author)
        )

    async def GetSafety(self, _request: runs_pb2.GetSafetyRequest, _context: Context) -> runs_pb2.Safety:
        """Say how far runs go without a person."""
        return run_messages.safety(self._engine.world, self._calls)

    async def SetBreaker(self, request: runs_pb2.SetBreakerRequest, context: Context) -> runs_pb2.Safety:
        """Open the circuit breaker, or close it."""
        person, why = person_of(context, request.author), clean(request.why, 300)
        try:
            await self._engine.keeper.set(open=request.open, why=why, person=person)
        except ValueError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except StoreError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return run_messages.safety(self._engine.world, self._calls)

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
        person, text = person_of(context, request.author), clean(request.text, 2000)
        return await self._moved(
            context,
            lambda: self._engine.answer(request.run, request.step, request.action, text, person),
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
    runbooks: RunbooksConfig | None = None,
    repair: RepairConfig | None = None,
    folder: Path | None = None,
) -> tuple[RunEngine, RunsService]:
    """Return the engine, with the runs that an earlier collector left, and its service.

    ``folder`` keeps what probes found. Raises ConfigError when what the site has set up cannot work.

    Whoever composes the collector runs ``engine.run()`` as a task, and ``engine.close()`` at the end.
    """
    runbooks, verbs = runbooks or RunbooksConfig(), BrokerVerbs(broker)
    results = folder / _PROOFS if folder is not None else None
    switchboard = build_switchboard(repair or RepairConfig(), verbs, results)
    world = World(
        library=load_library(runbooks.folders),
        facts=LiveFacts(view),
        verbs=verbs,
        journal=StoreJournal(store, clock),
        audit=ChainedAudit(audit),
        incidents=DeskIncidents(desk),
        clock=clock,
        repairs=switchboard,
        policy=runbooks.policy,
    )
    engine = RunEngine(world, (stored.document for stored in store.runs()))
    return engine, RunsService(engine, desk, clock, switchboard.names)
