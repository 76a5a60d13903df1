"""Records that tests of the store put in."""

from __future__ import annotations

from ringwatch_collector.view import SeenEvent
from ringwatch_proto.records import Incident, IncidentKind, IncidentState, Severity, Subject, Verdict

EVENT = SeenEvent(
    node="n1",
    at_s=1_700_000_000.5,
    received_s=1_700_000_001.0,
    kind="gpu.xid",
    severity=3,
    source="kmsg",
    device="GPU-1",
    code=79,
    text='it\'s "quoted"; DROP TABLE events; 中文',
    fields={"pid": "7"},
    backfill=True,
)

INCIDENT = Incident(
    id="I-1",
    state=IncidentState.NEW,
    severity=Severity.CRITICAL,
    kind=IncidentKind.GPU_OFF_BUS,
    culprit=Subject(kind="gpu", node="n1", device="GPU-1"),
    cause="xid_79",
    verdict=Verdict.HARDWARE,
    summary="n1 GPU-1 fell off the bus",
    confidence=0.9,
    onset_s=1_700_000_000.0,
    opened_s=1_700_000_001.0,
    updated_s=1_700_000_001.0,
)
