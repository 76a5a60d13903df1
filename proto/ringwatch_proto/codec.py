"""Records to messages and back. The only module that touches both."""

from __future__ import annotations

from typing import Final

from ringwatch_proto.records import (
    Bearing,
    Evidence,
    Finding,
    Incident,
    IncidentKind,
    IncidentState,
    Note,
    RuledOut,
    Severity,
    Subject,
    Verdict,
    Why,
)
from ringwatch_proto.v1 import query_pb2, telemetry_pb2

_NS = 1_000_000_000


def to_ns(seconds: float | None) -> int:
    """Return Unix nanoseconds; 0 stands for absent."""
    return 0 if seconds is None else round(seconds * _NS)


def from_ns(nanoseconds: int) -> float | None:
    """Return Unix seconds, None for absent."""
    return nanoseconds / _NS if nanoseconds else None


def subject_to_message(subject: Subject) -> query_pb2.Subject:
    """Return the message of a subject."""
    return query_pb2.Subject(
        kind=subject.kind,
        node=subject.node,
        device=subject.device,
        job=subject.job,
        rank=subject.rank,
        peer=subject.peer,
    )


def subject_from_message(message: query_pb2.Subject) -> Subject:
    """Return the subject of a message."""
    return Subject(
        kind=message.kind,
        node=message.node,
        device=message.device,
        job=message.job,
        rank=message.rank,
        peer=message.peer,
    )


_SEVERITIES: Final[dict[Severity, telemetry_pb2.Severity]] = {
    Severity.INFO: telemetry_pb2.SEVERITY_INFO,
    Severity.WARNING: telemetry_pb2.SEVERITY_WARNING,
    Severity.CRITICAL: telemetry_pb2.SEVERITY_CRITICAL,
}


def finding_to_message(finding: Finding) -> query_pb2.Finding:
    """Return the message of a finding."""
    return query_pb2.Finding(
        kind=finding.kind,
        detector=finding.detector,
        culprit=subject_to_message(finding.culprit),
        cause=finding.cause,
        verdict=finding.verdict,
        severity=_SEVERITIES[finding.severity],
        confidence=finding.confidence,
        onset_ns=to_ns(finding.onset_s),
        summary=finding.summary,
        evidence=[
            query_pb2.Evidence(
                wall_ns=to_ns(item.at_s),
                bearing=item.bearing,
                text=item.text,
                source=item.source,
                node=item.node,
                order_uncertain=item.order_uncertain,
            )
            for item in finding.evidence
        ],
        ruled_out=[query_pb2.RuledOut(cause=item.cause, reason=item.reason) for item in finding.ruled_out],
        unsure=finding.unsure,
        why=query_pb2.Why(
            rule=finding.why.rule,
            source=finding.why.source,
            inputs=finding.why.inputs,
            thresholds=finding.why.thresholds,
        ),
        gpus_held=finding.gpus_held,
        latched=finding.latched,
        victims=[subject_to_message(victim) for victim in finding.victims],
    )


def finding_from_message(message: query_pb2.Finding) -> Finding:
    """Return the finding of a message."""
    return Finding(
        kind=IncidentKind(message.kind),
        detector=message.detector,
        culprit=subject_from_message(message.culprit),
        cause=message.cause,
        verdict=Verdict(message.verdict),
        severity=Severity(message.severity),
        confidence=message.confidence,
        onset_s=message.onset_ns / _NS,
        summary=message.summary,
        evidence=tuple(
            Evidence(
                at_s=item.wall_ns / _NS,
                bearing=Bearing(item.bearing),
                text=item.text,
                source=item.source,
                node=item.node,
                order_uncertain=item.order_uncertain,
            )
            for item in message.evidence
        ),
        ruled_out=tuple(RuledOut(cause=item.cause, reason=item.reason) for item in message.ruled_out),
        unsure=tuple(message.unsure),
        why=Why(
            rule=message.why.rule,
            source=message.why.source,
            inputs=dict(message.why.inputs),
            thresholds=dict(message.why.thresholds),
        ),
        gpus_held=message.gpus_held,
        latched=message.latched,
        victims=tuple(subject_from_message(victim) for victim in message.victims),
    )


def incident_to_message(incident: Incident) -> query_pb2.Incident:
    """Return the message of an incident."""
    return query_pb2.Incident(
        id=incident.id,
        state=incident.state,
        severity=_SEVERITIES[incident.severity],
        kind=incident.kind,
        culprit=subject_to_message(incident.culprit),
        cause=incident.cause,
        verdict=incident.verdict,
        summary=incident.summary,
        confidence=incident.confidence,
        onset_ns=to_ns(incident.onset_s),
        opened_ns=to_ns(incident.opened_s),
        updated_ns=to_ns(incident.updated_s),
        closed_ns=to_ns(incident.closed_s),
        owner=incident.owner,
        gpu_hours_lost=incident.gpu_hours_lost,
        findings=[finding_to_message(finding) for finding in incident.findings],
        notes=[
            query_pb2.Note(wall_ns=to_ns(note.at_s), author=note.author, text=note.text)
            for note in incident.notes
        ],
        runbooks=incident.runbooks,
        run=incident.run,
        pages=incident.pages,
        active=incident.active,
        quiet_s=incident.quiet_s,
        silenced_until_ns=to_ns(incident.silenced_until_s),
        acknowledged_until_ns=to_ns(incident.acknowledged_until_s),
        silenced_by=incident.silenced_by,
        reopened=incident.reopened,
    )


def incident_from_message(message: query_pb2.Incident) -> Incident:
    """Return the incident of a message."""
    return Incident(
        id=message.id,
        state=IncidentState(message.state),
        severity=Severity(message.severity),
        kind=IncidentKind(message.kind),
        culprit=subject_from_message(message.culprit),
        cause=message.cause,
        verdict=Verdict(message.verdict),
        summary=message.summary,
        confidence=message.confidence,
        onset_s=message.onset_ns / _NS,
        opened_s=message.opened_ns / _NS,
        updated_s=message.updated_ns / _NS,
        closed_s=from_ns(message.closed_ns),
        owner=message.owner,
        gpu_hours_lost=message.gpu_hours_lost,
        findings=tuple(finding_from_message(finding) for finding in message.findings),
        notes=tuple(
            Note(at_s=note.wall_ns / _NS, author=note.author, text=note.text) for note in message.notes
        ),
        runbooks=tuple(message.runbooks),
        run=message.run,
        pages=message.pages,
        active=message.active,
        quiet_s=message.quiet_s,
        silenced_until_s=from_ns(message.silenced_until_ns),
        acknowledged_until_s=from_ns(message.acknowledged_until_ns),
        silenced_by=message.silenced_by,
        reopened=message.reopened,
    )
