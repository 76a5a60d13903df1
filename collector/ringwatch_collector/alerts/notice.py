"""What people are told of an incident's life: one notice a change that matters. It sends nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format

from ringwatch_proto.codec import incident_from_message, incident_to_message
from ringwatch_proto.records import Incident, IncidentState, Severity
from ringwatch_proto.v1 import query_pb2

# What happened -> how a headline says it.
WORDS: Final[dict[str, str]] = {
    "opened": "",
    "reopened": "Back: ",
    "worsened": "Worse: ",
    "changed": "Now: ",
    "acknowledged": "Acknowledged: ",
    "unacknowledged": "Nobody has it any more: ",
    "silenced": "Silenced: ",
    "unsilenced": "Silence over: ",
    "withdrawn": "No longer urgent: ",
    "resolved": "Resolved: ",
}
# With these, what was standing stands no longer.
ENDS: Final = frozenset({"silenced", "withdrawn", "resolved"})
SEVERITIES: Final[dict[Severity, str]] = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "critical",
}
_HIDDEN: Final = frozenset({IncidentState.RESOLVED, IncidentState.SILENCED})

Labels = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One change, as it is written down with the incident and read back to be sent.

    ``key`` is the same at every try, so that a receiver can tell a repetition. ``previous`` are the
    labels under which the incident stood until now, when they are others.
    """

    key: str
    what: str
    at_s: float
    incident: Incident
    previous: Labels | None = None

    @property
    def headline(self) -> str:
        """Return one line for a person."""
        incident = self.incident
        return f"[{incident.severity.word}] {WORDS[self.what]}{incident.summary} ({incident.id})"

    def document(self) -> str:
        """Return the notice as JSON."""
        message = incident_to_message(self.incident)
        incident = json_format.MessageToDict(message, preserving_proto_field_name=True)
        return json.dumps(
            {
                "key": self.key,
                "what": self.what,
                "at_s": round(self.at_s, 3),
                "previous": self.previous,
                "incident": incident,
            },
            separators=(",", ":"),
        )


def notice_of(document: str) -> Notice:
    """Return the notice of a stored document."""
    read: dict[str, Any] = json.loads(document)
    message = json_format.ParseDict(read["incident"], query_pb2.Incident(), ignore_unknown_fields=True)
    return Notice(
        key=read["key"],
        what=read["what"],
        at_s=read["at_s"],
        previous=read["previous"],
        incident=incident_from_message(message),
    )


def labels_of(incident: Incident) -> Labels:
    """Return what an alert is known by: what it is about, never what is measured."""
    culprit = incident.culprit
    labels = {
        "alertname": "RingwatchIncident",
        "incident": incident.id,
        "kind": incident.kind.value,
        "severity": SEVERITIES[incident.severity],
        "verdict": incident.verdict.value,
        "node": culprit.node,
        "device": culprit.device,
        "job": culprit.job,
        "rank": str(culprit.rank) if culprit.rank >= 0 else "",
    }
    return {name: value for name, value in labels.items() if value}


def is_shown(incident: Incident, *, only_pages: bool) -> bool:
    """Tell whether an incident stands: it is open, not silenced, and someone is to be told of it."""
    return incident.state not in _HIDDEN and (incident.pages or not only_pages)


def change(before: Incident | None, after: Incident, *, only_pages: bool) -> str:
    """Return what there is to tell between two states of an incident, empty for nothing."""
    was = before is not None and is_shown(before, only_pages=only_pages)
    stands = is_shown(after, only_pages=only_pages)
    if before is None or not (was or stands):
        return "opened" if stands else ""
    if not was:
        return _appeared(before, after)
    if not stands:
        return {IncidentState.RESOLVED: "resolved", IncidentState.SILENCED: "silenced"}.get(
            after.state, "withdrawn"
        )
    return _moved(before, after)


def _appeared(before: Incident, after: Incident) -> str:
    if after.reopened > before.reopened:
        return "reopened"
    return "unsilenced" if before.state is IncidentState.SILENCED else "opened"


def _moved(before: Incident, after: Incident) -> str:
    if after.severity > before.severity:
        return "worsened"
    if after.state is not before.state:
        return "acknowledged" if after.state is IncidentState.ACKNOWLEDGED else "unacknowledged"
    return "changed" if labels_of(before) != labels_of(after) else ""
