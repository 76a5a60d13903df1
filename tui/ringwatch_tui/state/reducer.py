"""The state of a console and the one pure function that moves it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from ringwatch_proto.records import Incident, IncidentState, Severity
from ringwatch_tui.state import events
from ringwatch_tui.state.format import plural
from ringwatch_tui.state.model import Alert, AuditLog, Fleet, JobDetail, NodeDetail, Run, Runbook, Silence
from ringwatch_tui.state.trends import SpanTrends

K = TypeVar("K")
V = TypeVar("V")

CONNECTING: Final = "connecting"
LIVE: Final = "live"
DISCONNECTED: Final = "disconnected"
# How long the summary of what changed while disconnected stays on the screen.
_SUMMARY_S: Final = 20.0
# A console that runs for months keeps the details that were looked at last, not all of them.
_KEPT_DETAILS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whether the collector answers, and since when it does not (monotonic seconds)."""

    kind: str = CONNECTING
    since_s: float = 0.0
    retry_at_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something said to the operator until an instant of the monotonic clock."""

    text: str
    tone: str
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleState:
    """All that screens are drawn from."""

    connection: Connection = field(default_factory=Connection)
    fleet: Fleet | None = None
    # The console's clocks when the fleet came: ages go on from there.
    received_monotonic_s: float = 0.0
    received_wall_s: float = 0.0
    incidents: Mapping[str, Incident] = field(default_factory=dict)
    jobs: Mapping[str, JobDetail] = field(default_factory=dict)
    nodes: Mapping[str, NodeDetail] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)
    runbooks: tuple[Runbook, ...] = ()
    audit: AuditLog = field(default_factory=AuditLog)
    # The trends of a node over a span, by both.
    histories: Mapping[tuple[str, float], SpanTrends] = field(default_factory=dict)
    # None until they came.
    silences: tuple[Silence, ...] | None = None
    alerts: tuple[Alert, ...] | None = None
    missing: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notice: Notice | None = None
    paused: bool = False
    missed: int = 0

    @property
    def frozen(self) -> bool:
        """Say whether the picture is of the past because the collector is gone."""
        return self.connection.kind == DISCONNECTED

    @property
    def replaying(self) -> bool:
        """Say whether the picture is of the past because the operator went there."""
        return self.fleet is not None and self.fleet.replay is not None

    @property
    def simulated(self) -> bool:
        """Say whether any node's readings come from a simulator."""
        return self.fleet is not None and self.fleet.simulated_nodes > 0

    def behind_s(self, monotonic_s: float) -> float:
        """Return how old the picture is; it stands still while disconnected, as the picture does."""
        if self.fleet is None:
            return float("nan")
        if self.fleet.replay is not None:
            return 0.0
        end_s = self.connection.since_s if self.frozen else monotonic_s
        return max(0.0, end_s - self.received_monotonic_s)

    def now_s(self, monotonic_s: float) -> float:
        """Return the collector's clock now, as far as it is known here."""
        return float("nan") if self.fleet is None else self.fleet.wall_s + self.behind_s(monotonic_s)

    def incident(self, id: str) -> Incident | None:
        """Return an incident by id: the fleet's, or one that was asked for."""
        known = self.fleet.incident_by_id.get(id) if self.fleet is not None else None
        return known or self.incidents.get(id)

    def open_count(self, severity: Severity) -> int:
        """Return how many open incidents have this severity."""
        return sum(1 for incident in self.open_incidents if incident.severity is severity)

    @property
    def open_incidents(self) -> tuple[Incident, ...]:
        """Return the incidents that are not resolved."""
        return () if self.fleet is None else self.fleet.open_incidents


def is_open(incident: Incident) -> bool:
    """Say whether somebody still has to see to the incident."""
    return incident.state is not IncidentState.RESOLVED


def reduce(state: ConsoleState, event: events.Event) -> ConsoleState:
    """Return the state after an event; never changes the one that was given."""
    match event:
        case events.FleetReceived():
            new = _with_fleet(state, event)
        case events.ConnectionLost():
            new = _disconnected(state, event)
        case events.Said(text=text, tone=tone, until_s=until_s):
            new = replace(state, notice=Notice(text=text, tone=tone, until_s=until_s))
        case events.PauseToggled():
            new = replace(state, paused=not state.paused, missed=0)
        case _:
            new = _with_answer(state, event)
    return _found(new, event)


def _with_answer(state: ConsoleState, event: events.Event) -> ConsoleState:
    """Return the state with what was asked for."""
    match event:
        case events.IncidentReceived(incident=incident):
            new = _with_incident(state, incident)
        case events.JobReceived(detail=job):
            new = replace(state, jobs=_put(state.jobs, job.summary.name, job))
        case events.NodeReceived(detail=node):
            new = replace(state, nodes=_put(state.nodes, node.summary.name, node))
        case events.RunReceived(run=run):
            new = replace(state, runs=_put(state.runs, run.id, run))
        case events.RunbooksReceived(runbooks=runbooks):
            new = replace(state, runbooks=runbooks)
        case events.AuditReceived(log=log):
            new = replace(state, audit=log)
        case events.HistoryReceived(node=node_name, span_s=span_s, trends=trends):
            new = replace(state, histories=_put(state.histories, (node_name, span_s), trends))
        case events.SilencesReceived(silences=silences):
            new = replace(state, silences=silences)
        case events.AlertsReceived(alerts=alerts):
            new = replace(state, alerts=alerts)
        case events.DetailMissing(kind=kind, id=id, reason=reason):
            new = replace(state, missing=_put(state.missing, (kind, id), reason))
        case _:
            new = state
    return new


def _put(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    kept = {each: old for each, old in mapping.items() if each != key}
    for oldest in list(kept)[: max(0, len(kept) - _KEPT_DETAILS + 1)]:
        del kept[oldest]
    return {**kept, key: value}


def _found(state: ConsoleState, event: events.Event) -> ConsoleState:
    """Forget that an object was missing once it came."""
    match event:
        case events.IncidentReceived(incident=incident):
            key = ("incident", incident.id)
        case events.JobReceived(detail=job):
            key = ("job", job.summary.name)
        case events.NodeReceived(detail=node):
            key = ("node", node.summary.name)
        case events.RunReceived(run=run):
            key = ("run", run.id)
        case events.SilencesReceived():
            key = ("silences", "")
        case events.AlertsReceived():
            key = ("alerts", "")
        case _:
            return state
    if key not in state.missing:
        return state
    return replace(state, missing={each: why for each, why in state.missing.items() if each != key})


def _with_fleet(state: ConsoleState, event: events.FleetReceived) -> ConsoleState:
    back = state.frozen and state.fleet is not None
    notice = state.notice
    if back and state.fleet is not None:
        text = "connected again · while away: " + while_away(state.fleet, event.fleet)
        notice = Notice(text=text, tone="info", until_s=event.monotonic_s + _SUMMARY_S)
    return replace(
        state,
        connection=Connection(kind=LIVE, since_s=event.monotonic_s),
        fleet=event.fleet,
        received_monotonic_s=event.monotonic_s,
        received_wall_s=event.wall_s,
        notice=notice,
        missed=state.missed + 1 if state.paused else 0,
    )


def _disconnected(state: ConsoleState, event: events.ConnectionLost) -> ConsoleState:
    since_s = state.connection.since_s if state.frozen else event.monotonic_s
    connection = Connection(
        kind=DISCONNECTED, since_s=since_s, retry_at_s=event.retry_at_s, reason=event.reason
    )
    return replace(state, connection=connection)


def _with_incident(state: ConsoleState, incident: Incident) -> ConsoleState:
    known = replace(state, incidents=_put(state.incidents, incident.id, incident))
    if known.fleet is None or all(each.id != incident.id for each in known.fleet.incidents):
        return known
    newer = tuple(_newer(each, incident) for each in known.fleet.incidents)
    return replace(known, fleet=replace(known.fleet, incidents=newer))


def _newer(old: Incident, answer: Incident) -> Incident:
    """Prefer the answer to an action over the stream's older picture of the same incident."""
    return answer if old.id == answer.id and answer.updated_s >= old.updated_s else old


def held_back(held: ConsoleState, now: ConsoleState) -> ConsoleState:
    """Return the held picture with what was said, asked for and lost since it was held."""
    return replace(
        held,
        connection=now.connection,
        missed=now.missed,
        notice=now.notice,
        missing=now.missing,
        incidents={**now.incidents, **held.incidents},
        jobs={**now.jobs, **held.jobs},
        nodes={**now.nodes, **held.nodes},
        runs={**held.runs, **now.runs},
    )


def while_away(before: Fleet, after: Fleet) -> str:
    """Say in one line what became of the incidents between two pictures."""
    was = {each.id: each for each in before.incidents}
    new = sum(1 for each in after.incidents if each.id not in was)
    closed = sum(1 for each in after.incidents if not is_open(each) and _was_open(was.get(each.id)))
    changed = sum(1 for each in after.incidents if each.id in was and is_open(each) and each != was[each.id])
    parts = [
        f"+{plural(new, 'incident')}" if new else "",
        f"{closed} resolved" if closed else "",
        f"{changed} changed" if changed else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing new"


def _was_open(incident: Incident | None) -> bool:
    return incident is not None and is_open(incident)
