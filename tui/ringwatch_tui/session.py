"""Keeps the state in step with a client: follows the fleet, reconnects, asks for details.

The session owns back-off and the store of state. It draws nothing; whoever shows the state is called back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.errors import UnreachableError
from ringwatch_proto.recording import Kept
from ringwatch_proto.records import Incident
from ringwatch_tui.client.base import Client, RequestRefused
from ringwatch_tui.state import events
from ringwatch_tui.state.model import History, NodeDetail, Run
from ringwatch_tui.state.reducer import ConsoleState, reduce
from ringwatch_tui.state.trends import trends_over

_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 10.0
_POLL_S: Final = 1.0
_AUDIT_RECORDS: Final = 500
_STEPS: Final = 120
_NODE_SECONDS: Final = 300.0
_ALERTS: Final = 500
# A span is drawn from some 300 points: before another is due there is nothing new to see.
_HISTORY_STEPS: Final = 300
_HISTORY_S: Final = 10.0
NOTICE_S: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What the visible screen shows: kind is incident, job, node, run, audit, silences or alerts.

    ``span_s`` is how far back the trends of a node go; 0 stands for the minutes that come with its detail.
    """

    kind: str
    id: str
    span_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The console's clocks; tests pass their own."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


def retry_delay_s(attempt: int, jitter: float) -> float:
    """Return how long to wait before the next try: doubling, capped, spread by jitter from 0 to 1."""
    full: float = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(attempt, 10))
    return full * (0.5 + 0.5 * jitter)


class Session:
    """The state, and the tasks that keep it true."""

    def __init__(
        self,
        client: Client,
        clocks: Clocks,
        changed: Callable[[ConsoleState], None],
        *,
        min_interval_s: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._clocks = clocks
        self._changed = changed
        self._min_interval_s = min_interval_s
        self._sleep = sleep
        self._want: Want | None = None
        self._wake = asyncio.Event()
        self._runbooks_known = False
        self._history_asked_s: dict[tuple[str, float], float] = {}
        self.state = ConsoleState()

    @property
    def client(self) -> Client:
        """Return the back end that answers."""
        return self._client

    def dispatch(self, event: events.Event) -> None:
        """Move the state on and tell whoever shows it."""
        self.state = reduce(self.state, event)
        self._changed(self.state)

    def say(self, text: str, tone: str = "info") -> None:
        """Tell the operator something for a few seconds."""
        self.dispatch(events.Said(text=text, tone=tone, until_s=self._clocks.monotonic() + NOTICE_S))

    def want(self, want: Want | None) -> None:
        """Keep the detail of this object fresh, beginning now."""
        if want != self._want:
            self._want = want
            self._wake.set()

    async def follow(self) -> None:
        """Follow the fleet for as long as the console lives."""
        attempt = 0
        while True:
            try:
                async for fleet in self._client.follow(self._min_interval_s):
                    attempt = 0
                    now_s = self._clocks.monotonic()
                    self.dispatch(
                        events.FleetReceived(fleet=fleet, monotonic_s=now_s, wall_s=self._clocks.wall())
                    )
                reason = "the stream ended"
            except (UnreachableError, RequestRefused) as error:
                reason = str(error)
            delay_s = retry_delay_s(attempt, random.random())  # noqa: S311 - spreads reconnects
            attempt += 1
            now_s = self._clocks.monotonic()
            self.dispatch(events.ConnectionLost(reason=reason, monotonic_s=now_s, retry_at_s=now_s + delay_s))
            await self._sleep(delay_s)

    async def poll(self) -> None:
        """Refresh what the visible screen wants, once a second and whenever that changes."""
        while True:
            self._wake.clear()
            await self.refresh()
            try:
                await asyncio.wait_for(self._wake.wait(), _POLL_S)
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Ask once for the wanted detail, and for the runbooks until they are known."""
        want = self._want
        if self.state.frozen:
            return
        try:
            await self._ask_runbooks()
            if want is not None:
                await self._ask(want)
        except UnreachableError:
            return  # the stream notices it too, and says so
        except RequestRefused as error:
            if want is not None:
                self.dispatch(events.DetailMissing(kind=want.kind, id=want.id, reason=str(error)))

    async def _ask_runbooks(self) -> None:
        """Fetch the runbooks once; a collector that has none is not asked again."""
        if self._runbooks_known:
            return
        try:
            runbooks = await self._client.runbooks()
        except RequestRefused:
            runbooks = ()
        self._runbooks_known = True
        self.dispatch(events.RunbooksReceived(runbooks=runbooks))

    async def _ask(self, want: Want) -> None:
        match want.kind:
            case "incident":
                if all(each.id != want.id for each in self._listed()):
                    self.dispatch(events.IncidentReceived(incident=await self._client.incident(want.id)))
            case "job":
                self.dispatch(events.JobReceived(detail=await self._client.job(want.id, _STEPS)))
            case "node":
                detail = await self._client.node(want.id, _NODE_SECONDS)
                self.dispatch(events.NodeReceived(detail=detail))
                if want.span_s:
                    await self._ask_history(detail, want.span_s)
            case "silences":
                self.dispatch(events.SilencesReceived(silences=await self._client.silences()))
            case "alerts":
                self.dispatch(events.AlertsReceived(alerts=await self._client.alerts(_ALERTS)))
            case "audit":
                self.dispatch(events.AuditReceived(log=await self._client.audit(_AUDIT_RECORDS)))
            case "run":
                self.dispatch(events.RunReceived(run=await self._client.run(want.id)))

    async def _ask_history(self, detail: NodeDetail, span_s: float) -> None:
        """Fetch the node's trends over a span, no oftener than one of its steps shows."""
        key, now_s = (detail.summary.name, span_s), self._clocks.monotonic()
        if now_s - self._history_asked_s.get(key, float("-inf")) < max(_HISTORY_S, span_s / _HISTORY_STEPS):
            return
        self._history_asked_s = {key: now_s}
        from_s = self.state.now_s(now_s) - span_s
        found: list[History] = []
        troubles: list[str] = []
        for signal in dict.fromkeys(each.signal for each in detail.trends):
            try:
                found.append(await self._client.history(signal, key[0], "", from_s))
            except RequestRefused as error:
                troubles.append(str(error))
        self.dispatch(events.HistoryReceived(node=key[0], span_s=span_s, trends=trends_over(found, troubles)))

    async def put_silence(self, matchers: Sequence[str], author: str, reason: str, seconds: float) -> None:
        """Hold back what matches; a notice either way."""
        what = f"silence {' '.join(matchers)}"
        try:
            made = await self._client.put_silence(matchers, author, reason, seconds)
        except (UnreachableError, RequestRefused) as error:
            self._failed(what, error)
            return
        self.say(f"{made.id}: {what} by {author}; it holds {len(made.incidents)} now")
        self.look_again()

    async def end_silence(self, id: str, author: str, reason: str) -> None:
        """End a silence; a notice either way."""
        try:
            await self._client.end_silence(id, author, reason)
        except (UnreachableError, RequestRefused) as error:
            self._failed(f"end silence {id}", error)
            return
        self.say(f"{id}: ended by {author}")
        self.look_again()

    def _listed(self) -> tuple[Incident, ...]:
        return self.state.fleet.incidents if self.state.fleet is not None else ()

    async def act(self, incident: str, action: str, author: str, text: str, silence_s: float = 0.0) -> bool:
        """Say something about an incident; False and a notice when that did not work."""
        try:
            answer = await self._client.act(incident, action, author, text, silence_s)
        except (UnreachableError, RequestRefused) as error:
            self._failed(f"{action} {incident}", error)
            return False
        self.dispatch(events.IncidentReceived(incident=answer))
        self.say(f"{incident}: {action} by {author}")
        return True

    def _failed(self, what: str, error: UnreachableError | RequestRefused) -> None:
        unknown = "; whether it happened is not known" if isinstance(error, UnreachableError) else ""
        self.say(f"{what}: {error}{unknown}", "fault")

    async def past(self, since_s: float, until_s: float) -> tuple[Kept, ...]:
        """Return the pictures of a window; none and a notice when there are none."""
        try:
            found = tuple(await self._client.recording(since_s, until_s))
        except (UnreachableError, RequestRefused) as error:
            self.say(f"history: {error}", "warn")
            return ()
        if not found:
            self.say("history: no picture was kept of that time", "warn")
        return found

    def look_again(self) -> None:
        """Ask for the wanted detail now: what it is about has moved."""
        self._wake.set()

    async def start_run(self, incident: str, runbook: str, author: str) -> Run | None:
        """Start a runbook; None and a notice when that did not work."""
        return await self._moved(f"start {runbook}", self._client.start_run(incident, runbook, author))

    async def answer(self, run: str, step: str, action: str, text: str, author: str) -> Run | None:
        """Answer a run's open step; None and a notice when that did not work."""
        return await self._moved(f"{action} {step}", self._client.answer(run, step, action, text, author))

    async def _moved(self, what: str, call: Awaitable[Run]) -> Run | None:
        try:
            run = await call
        except (UnreachableError, RequestRefused) as error:
            self._failed(what, error)
            return None
        self.dispatch(events.RunReceived(run=run))
        return run
