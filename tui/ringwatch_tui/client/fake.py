"""A back end in memory that is told what to answer. For tests of the console; it finds nothing by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from ringwatch_proto.errors import UnreachableError
from ringwatch_proto.recording import Kept
from ringwatch_proto.records import Incident, IncidentState, Note
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.state.model import (
    Alert,
    AuditLog,
    Fleet,
    History,
    JobDetail,
    NodeDetail,
    Run,
    Runbook,
    RunBrief,
    RunStep,
    Silence,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that changed something, as it came."""

    what: str
    about: str
    text: str
    author: str


class FakeClient:
    """Answers from the values it holds. ``cut`` breaks the stream, ``mend`` lets it come back."""

    def __init__(self, fleet: Fleet) -> None:
        self.world = fleet
        self.jobs: dict[str, JobDetail] = {}
        self.nodes: dict[str, NodeDetail] = {}
        self.books: tuple[Runbook, ...] = ()
        self.walks: dict[str, Run] = {}
        self.asked: list[Asked] = []
        self.tape: tuple[Kept, ...] = ()
        self.log = AuditLog()
        self.past: dict[str, History] = {}
        self.held_back: tuple[Silence, ...] = ()
        self.told: tuple[Alert, ...] = ()
        self.closed = False
        self._up = True
        self._changed = asyncio.Event()

    @property
    def address(self) -> str:
        """Return a name that nobody dials."""
        return "fake"

    def cut(self) -> None:
        """Break the stream and refuse every question."""
        self._up = False
        self._changed.set()

    def mend(self) -> None:
        """Answer again."""
        self._up = True

    def show(self, fleet: Fleet) -> None:
        """Send another snapshot down the stream."""
        self.world = fleet
        self._changed.set()

    def _answering(self) -> None:
        if not self._up:
            raise UnreachableError("no collector answers at fake")

    async def follow(self, min_interval_s: float) -> AsyncIterator[Fleet]:
        """Yield the snapshot now and whenever another one is shown."""
        del min_interval_s
        while True:
            self._answering()
            self._changed.clear()
            yield self.world
            await self._changed.wait()

    async def fleet(self) -> Fleet:
        """Return the snapshot."""
        self._answering()
        return self.world

    async def incident(self, id: str) -> Incident:
        """Return one incident."""
        self._answering()
        for each in self.world.incidents:
            if each.id == id:
                return each
        raise RequestRefused(f"no incident {id}")

    async def incidents(self, *, include_closed: bool, limit: int) -> tuple[Incident, ...]:
        """Return the incidents of the snapshot."""
        self._answering()
        kept = [
            each
            for each in self.world.incidents
            if include_closed or each.state is not IncidentState.RESOLVED
        ]
        return tuple(kept[:limit])

    async def job(self, name: str, steps: int) -> JobDetail:
        """Return what was put in ``jobs``."""
        del steps
        self._answering()
        if name not in self.jobs:
            raise RequestRefused(f"no job {name}")
        return self.jobs[name]

    async def node(self, name: str, seconds: float) -> NodeDetail:
        """Return what was put in ``nodes``."""
        del seconds
        self._answering()
        if name not in self.nodes:
            raise RequestRefused(f"no node {name}")
        return self.nodes[name]

    async def act(
        self, incident: str, action: str, author: str, text: str, silence_s: float = 0.0
    ) -> Incident:
        """Change the incident as a collector would, in its simplest form."""
        old = await self.incident(incident)
        self.asked.append(Asked(what=action, about=incident, text=text, author=author))
        states = {
            "acknowledge": IncidentState.ACKNOWLEDGED,
            "silence": IncidentState.SILENCED,
            "resolve": IncidentState.RESOLVED,
        }
        now_s = self.world.wall_s
        new = replace(
            old,
            state=states.get(action, old.state),
            owner=author if action == "own" else old.owner,
            notes=(*old.notes, Note(at_s=now_s, author=author, text=text)) if text else old.notes,
            updated_s=now_s,
            silenced_until_s=now_s + silence_s if silence_s else old.silenced_until_s,
            closed_s=now_s if action == "resolve" else old.closed_s,
        )
        self.put(new)
        return new

    def put(self, incident: Incident) -> None:
        """Show the fleet with this incident as it is now."""
        others = tuple(incident if each.id == incident.id else each for each in self.world.incidents)
        self.show(replace(self.world, incidents=others))

    async def runbooks(self) -> tuple[Runbook, ...]:
        """Return what was put in ``books``."""
        self._answering()
        return self.books

    async def start_run(self, incident: str, runbook: str, author: str) -> Run:
        """Start the walk that was put in ``walks`` under the runbook's id."""
        self._answering()
        self.asked.append(Asked(what="start", about=incident, text=runbook, author=author))
        if runbook not in self.walks:
            raise RequestRefused(f"no runbook {runbook}")
        run = replace(self.walks[runbook], started_by=author, incident=incident)
        self.walk(run)
        self.put(replace(await self.incident(incident), run=run.id))
        return run

    def walk(self, run: Run) -> None:
        """Show a run as it is now, in the fleet too."""
        self.walks[run.id] = run
        place = next((index for index, each in enumerate(run.steps, 1) if each.id == run.current), 0)
        brief = RunBrief(
            id=run.id,
            runbook=run.runbook,
            incident=run.incident,
            state=run.state,
            step=place,
            steps=len(run.steps),
            waiting_for="approval" if run.state == "waiting" else "",
        )
        others = tuple(each for each in self.world.runs if each.id != run.id)
        self.show(replace(self.world, runs=(*others, brief)))

    async def run(self, id: str) -> Run:
        """Return a run as it is now."""
        self._answering()
        if id not in self.walks:
            raise RequestRefused(f"no run {id}")
        return self.walks[id]

    async def answer(self, run: str, step: str, action: str, text: str, author: str) -> Run:
        """Move a run on: approve, answer and skip end the step and open the next."""
        old = await self.run(run)
        self.asked.append(Asked(what=action, about=f"{run}/{step}", text=text, author=author))
        if step != old.current:
            raise RequestRefused(f"step {step} is no longer open")
        new = _moved(old, action, text, author, self.world.wall_s)
        self.walk(new)
        return new

    async def audit(self, limit: int) -> AuditLog:
        """Return what was put in ``log``."""
        self._answering()
        return replace(self.log, records=self.log.records[:limit])

    async def history(self, series: str, node: str, device: str, from_s: float) -> History:
        """Return what was put in ``past``."""
        del node, device, from_s
        self._answering()
        if series not in self.past:
            raise RequestRefused(f"there is no series {series!r}")
        return self.past[series]

    async def silences(self) -> tuple[Silence, ...]:
        """Return what was put in ``held_back``."""
        self._answering()
        return self.held_back

    async def put_silence(
        self, matchers: Sequence[str], author: str, reason: str, duration_s: float
    ) -> Silence:
        """Add a silence."""
        self._answering()
        self.asked.append(Asked(what="put_silence", about=" ".join(matchers), text=reason, author=author))
        now_s = self.world.wall_s
        new = Silence(
            id=f"S-{len(self.held_back) + 1}",
            matchers=tuple(matchers),
            author=author,
            reason=reason,
            from_s=now_s,
            until_s=now_s + duration_s,
        )
        self.held_back = (*self.held_back, new)
        return new

    async def end_silence(self, id: str, author: str, reason: str) -> Silence:
        """End a silence."""
        self._answering()
        self.asked.append(Asked(what="end_silence", about=id, text=reason, author=author))
        found = next((each for each in self.held_back if each.id == id), None)
        if found is None:
            raise RequestRefused(f"no silence {id}")
        ended = replace(found, ended_s=self.world.wall_s)
        self.held_back = tuple(ended if each.id == id else each for each in self.held_back)
        return ended

    async def alerts(self, limit: int) -> tuple[Alert, ...]:
        """Return what was put in ``told``."""
        self._answering()
        return self.told[:limit]

    async def recording(self, since_s: float, until_s: float) -> tuple[Kept, ...]:
        """Return the pictures that were put in ``tape``."""
        self._answering()
        return tuple(kept for kept in self.tape if since_s <= kept.wall_ns / 1e9 <= until_s)

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


def _moved(run: Run, action: str, text: str, author: str, now_s: float) -> Run:
    if action == "dry_run":
        steps = tuple(
            replace(each, output=("dry run: nothing was changed",)) if each.id == run.current else each
            for each in run.steps
        )
        return replace(run, steps=steps)
    if action == "abort":
        return replace(run, state="aborted", ended_s=now_s, result=f"aborted by {author}")
    place = next(index for index, each in enumerate(run.steps) if each.id == run.current)
    ended = replace(
        run.steps[place],
        state="skipped" if action == "skip" else "done",
        outcome=text,
        by=author,
        ended_s=now_s,
    )
    steps_after: list[RunStep] = [*run.steps[:place], ended, *run.steps[place + 1 :]]
    if place + 1 == len(steps_after):
        return replace(
            run,
            steps=tuple(steps_after),
            state="succeeded",
            ended_s=now_s,
            current="",
            result="repair proved",
        )
    waits = steps_after[place + 1].kind in ("ask", "action", "end")
    steps_after[place + 1] = replace(
        steps_after[place + 1], state="waiting" if waits else "running", started_s=now_s
    )
    return replace(
        run,
        steps=tuple(steps_after),
        current=steps_after[place + 1].id,
        state="waiting" if waits else "running",
    )
