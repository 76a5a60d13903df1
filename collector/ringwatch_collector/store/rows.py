"""Records to rows and back. It runs no statement."""

from __future__ import annotations

import json

from google.protobuf import json_format
from sqlalchemy import RowMapping

from ringwatch_collector.store.writer import Row
from ringwatch_collector.view import SeenEvent
from ringwatch_proto.codec import incident_from_message, incident_to_message, to_ns
from ringwatch_proto.records import Incident
from ringwatch_proto.v1 import query_pb2


def event_row(spool: str, number: int, wall_ns: int, event: SeenEvent) -> Row:
    """Return the row of an event."""
    return {
        "node": event.node,
        "spool": spool,
        "event_id": number,
        "wall_ns": wall_ns,
        "at_ns": to_ns(event.at_s),
        "received_ns": to_ns(event.received_s),
        "kind": event.kind,
        "severity": event.severity,
        "source": event.source,
        "device": event.device,
        "code": event.code,
        "text": event.text,
        "fields": json.dumps(event.fields),
        "backfill": event.backfill,
    }


def event_of(row: RowMapping) -> SeenEvent:
    """Return the event of a row."""
    return SeenEvent(
        node=row["node"],
        at_s=row["at_ns"] / 1e9,
        received_s=row["received_ns"] / 1e9,
        kind=row["kind"],
        severity=row["severity"],
        source=row["source"],
        device=row["device"],
        code=row["code"],
        text=row["text"],
        fields=json.loads(row["fields"]),
        backfill=row["backfill"],
    )


def incident_row(incident: Incident) -> Row:
    """Return the row of an incident."""
    message = incident_to_message(incident)
    return {
        "id": incident.id,
        "state": incident.state.value,
        "kind": incident.kind.value,
        "opened_ns": message.opened_ns,
        "updated_ns": message.updated_ns,
        "closed_ns": message.closed_ns,
        "document": json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None),
    }


def incident_of(row: RowMapping) -> Incident:
    """Return the incident of a row."""
    return incident_from_message(json_format.Parse(row["document"], query_pb2.Incident()))
