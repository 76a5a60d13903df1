"""Walks runs through their runbooks. Every change is journalled before it is acted on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from ringwatch_proto.errors import RingwatchError, RunbookError
from ringwatch_proto.records import Incident, IncidentState
from ringwatch_runbooks import planning, undoing
from ringwatch_runbooks.base import Person
from ringwatch_runbooks.breaker import BreakerKeeper
from ringwatch_runbooks.match import candidates
from ringwatch_runbooks.model import Runbook
from ringwatch_runbooks.moves import entered
from ringwatch_runbooks.record import RunRecord, from_json, to_json
from ringwatch_runbooks.restoring import found_again
from ringwatch_runbooks.safety import is_breaker
from ringwatch_runbooks.stepping import answered, face, stepped
from ringwatch_runbooks.world import World, overlap

_LOG: Final = logging.getLogger("ringwatch.runbooks")
_MOVES_A_LOOK: Final = 20


class RunEngine:
    """All runs of one collector. Not thread-safe: it lives on one event loop.

    ``start`` and ``answer`` raise KeyError for what is not there and ValueError, with a sentence for a
    person, for what cannot be. Runs found in the middle of an action are marked and ask.
    """

    def __init__(self, world: World, documents: Iterable[str] = ()) -> None:
        self.world = world
        world.runs = self.all
        self.keeper = BreakerKeeper(world)
        self._runs: dict[str, RunRecord] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._starting = asyncio.Lock()
        self._unsaved: set[str] = set()
        self.failures: dict[str, str] = {}
        for document in documents:
            self._restore(document)

    def _restore(self, document: str) -> None:
        try:
            if is_breaker(document):
                self.keeper.restore(document)
                return
            run = from_json(document)
        except RunbookError as error:
            self.failures[f"document {len(self.failures) + 1}"] = str(error)
            return
        found = found_again(run, self.world)
        self._runs[run.id] = found
        if found is not run:
            self._unsaved.add(run.id)

    def all(self) -> tuple[RunRecord, ...]:
        """Return every run, oldest first."""
        return tuple(self._runs.values())

    def get(self, run_id: str) -> RunRecord:
        """Return a run; raise KeyError when there is none of that id."""
        try:
            return self._runs[run_id]
        except KeyError:
            raise KeyError(f"there is no run {run_id[:40]!r}") from None

    def runbook(self, runbook_id: str) -> Runbook:
        """Return a runbook; raise KeyError when there is none of that id."""
        try:
            return self.world.library.runbooks[runbook_id]
        except KeyError:
            raise KeyError(f"there is no runbook {runbook_id[:60]!r}") from None

    @property
    def troubles(self) -> list[str]:
        """Return what keeps runbooks or runs from their work, in words."""
        breaker = self.world.breaker
        return [
            *([f"runbooks: the circuit breaker is open: {breaker.why}"] if breaker.open else []),
            *self.world.library.troubles,
            *(f"run {name}: {text}" for name, text in self.failures.items()),
        ]

    async def start(self, incident_id: str, runbook_id: str, author: str) -> RunRecord:
        """Begin to walk a runbook for an incident."""
        runbook, incident = self._fitting(incident_id, runbook_id, author)
        async with self._starting:
            self._refuse_company(incident)
            now_s = self.world.clock.now_s()
            run = RunRecord(
                id=f"R-{self._next_number()}", runbook=runbook.id, revision=runbook.revision,
                digest=runbook.digest, incident=incident_id, target=incident.culprit, state="running",
                started_by=author, started_s=now_s, current=runbook.steps[0].id, steps=(),
            )  # fmt: skip
            run = entered(run, runbook.steps[0], now_s)
            await self.keeper.refresh()
            await self._save(run)
        await self._record(run, author, "run.start", f"{runbook.id} revision {runbook.revision}", "started")
        await self.world.incidents.attach(incident_id, run.id, author)
        return await self._advanced(run.id)

    async def plan(self, incident_id: str, runbook_id: str, author: str) -> RunRecord:
        """Return what a runbook would do for an incident now; every dry run is made, nothing is changed."""
        runbook, incident = self._fitting(incident_id, runbook_id, author)
        planned = await planning.plan(self.world, runbook, incident, author)
        await self._record(planned, author, "run.plan", runbook.id, "nothing was changed")
        return planned

    def _fitting(self, incident_id: str, runbook_id: str, author: str) -> tuple[Runbook, Incident]:
        if not author.strip():
            raise ValueError("who starts it? A run needs a name")
        runbook = self.runbook(runbook_id)
        incident = self.world.incidents.get(incident_id)
        if incident is None:
            raise KeyError(f"there is no incident {incident_id[:40]!r}")
        if incident.state is IncidentState.RESOLVED:
            raise ValueError(f"{incident_id} is resolved: there is nothing to repair")
        if runbook_id not in candidates(self.world.library, incident):
            raise ValueError(f"{runbook_id} is not for {incident.kind} ({incident.cause})")
        return runbook, incident

    def _refuse_company(self, incident: Incident) -> None:
        for other in self._runs.values():
            if other.live and (other.incident == incident.id or overlap(other.target, incident.culprit)):
                raise ValueError(f"{other.id} already works on {other.target}: two runs never share a target")

    def _next_number(self) -> int:
        return 1 + max((int(each.rpartition("-")[2]) for each in self._runs), default=0)

    async def answer(
        self, run_id: str, step_id: str, action: str, text: str, author: str | Person
    ) -> RunRecord:
        """Take what a person says to the step that a run is at, or that a done action is taken back."""
        person = author if isinstance(author, Person) else Person(name=author)
        if not person.name.strip():
            raise ValueError("who answers? An answer needs a name")
        self.get(run_id)
        async with self._lock(run_id):
            run = self.get(run_id)
            try:
                changed = await self._changed(run, step_id, action, text, person)
            except (ValueError, RunbookError) as error:
                await self._record(run, person.name, f"run.{action[:40]}", text, f"refused: {error}")
                raise ValueError(str(error)) from error
            await self._save(changed)
            result = changed.step(step_id).undone or changed.step(step_id).state
            await self._record(changed, person.name, f"run.{action}", f"{step_id}: {text}", result)
        return await self._advanced(run_id)

    async def _changed(
        self, run: RunRecord, step_id: str, action: str, text: str, person: Person
    ) -> RunRecord:
        if action == "undo":
            undo = undoing.Undo(step=step_id, text=text, person=person)
            return await undoing.taken_back(self.world, run, undo, self._save)
        if not run.live:
            raise ValueError(f"{run.id} is over: {run.state}")
        if step_id != run.current:
            raise ValueError(f"step {step_id[:40]!r} is not open: {run.id} is at {run.current}")
        return await answered(self.world, run, action, text, person)

    async def tick(self) -> None:
        """Take every live run as far as it goes now. A run that fails does not hold up the others."""
        for run in self.all():
            if run.live and not self._lock(run.id).locked():
                await self._advanced(run.id)
        try:
            await self.keeper.watch(self.all())
        except RingwatchError as error:
            self.failures["breaker"] = str(error)

    async def run(self, every_s: float = 0.5) -> None:
        """Look at all runs until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(every_s)

    async def close(self) -> None:
        """End waiting for verbs: what is under way is found again as cut off."""
        tasks = list(self.world.calls.values())
        self.world.calls.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _advanced(self, run_id: str) -> RunRecord:
        async with self._lock(run_id):
            try:
                await self._advance(run_id)
                self.failures.pop(run_id, None)
            except Exception as error:  # noqa: BLE001  (one run that fails must not stop the others)
                if run_id not in self.failures:
                    _LOG.exception("run %s fails", run_id)
                self.failures[run_id] = f"{type(error).__name__}: {error}"[:300]
            return self._runs[run_id]

    async def _advance(self, run_id: str) -> None:
        run = self._runs[run_id]
        if run_id in self._unsaved:
            await self._save(run)
        for _ in range(_MOVES_A_LOOK):
            if not run.live:
                return
            changed = await stepped(self.world, run)
            if face(changed) == face(run):
                # Readings and seconds alone are not worth a write.
                self._runs[run_id] = changed
                return
            await self._save(changed)
            if not changed.live:
                await self._record(changed, "ringwatch", "run.end", changed.result, changed.state)
            run = changed

    async def _save(self, run: RunRecord) -> None:
        await self.world.journal.save(run.id, run.incident, run.state, to_json(run))
        before = self._runs.get(run.id)
        self._runs[run.id] = run
        self._unsaved.discard(run.id)
        if before is not None and (before.current, before.path, before.live) != (
            run.current,
            run.path,
            run.live,
        ):
            self.world.forget(run)

    async def _record(self, run: RunRecord, actor: str, action: str, reason: str, result: str) -> None:
        try:
            await self.world.audit.record(
                actor=actor, action=action, target=str(run.target), incident=run.incident,
                reason=f"{run.id} {reason}".strip(), result=result,
            )  # fmt: skip
        except RingwatchError as error:
            self.failures[run.id] = f"the audit log does not take records: {error}"

    def _lock(self, run_id: str) -> asyncio.Lock:
        return self._locks.setdefault(run_id, asyncio.Lock())
