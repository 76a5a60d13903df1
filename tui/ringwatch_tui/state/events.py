"""What happens to a console: answers that came, connections lost, things said to the operator."""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch_proto.records import Incident
from ringwatch_tui.state.model import (
    Alert,
    AuditLog,
    Fleet,
    JobDetail,
    NodeDetail,
    Run,
    Runbook,
    Silence,
)
from ringwatch_tui.state.trends import SpanTrends


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReceived:
    """The stream brought a snapshot at this instant of the console's two clocks."""

    fleet: Fleet
    monotonic_s: float
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """The collector does not answer; the next try is due at ``retry_at_s`` of the monotonic clock."""

    reason: str
    monotonic_s: float
    retry_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentReceived:
    """One incident was asked for, or answered an action."""

    incident: Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReceived:
    """The detail of a job came."""

    detail: JobDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReceived:
    """The detail of a node came."""

    detail: NodeDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReceived:
    """A run came, or moved on."""

    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbooksReceived:
    """The runbooks of the collector came."""

    runbooks: tuple[Runbook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReceived:
    """The audit log came."""

    log: AuditLog


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReceived:
    """The trends of a node over a span came."""

    node: str
    span_s: float
    trends: SpanTrends


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencesReceived:
    """The silences by matcher came."""

    silences: tuple[Silence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsReceived:
    """What was told to whom came."""

    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailMissing:
    """The collector refused a question or does not know the object."""

    kind: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something to tell the operator; ``tone`` is info, warn or fault."""

    text: str
    tone: str
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseToggled:
    """The operator held the picture, or let it go on."""


Event = (
    FleetReceived
    | ConnectionLost
    | IncidentReceived
    | JobReceived
    | NodeReceived
    | RunReceived
    | RunbooksReceived
    | AuditReceived
    | HistoryReceived
    | SilencesReceived
    | AlertsReceived
    | DetailMissing
    | Said
    | PauseToggled
)
