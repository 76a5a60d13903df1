"""Records and messages are the same thing twice."""

from ringwatch_proto import codec
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

RANK = Subject(kind="rank", node="n1", device="GPU-1", job="llm", rank=7)
FINDING = Finding(
    kind=IncidentKind.STRAGGLER_COMPUTE,
    detector="straggler.compute",
    culprit=RANK,
    cause="cpu_quota",
    verdict=Verdict.HOST,
    severity=Severity.CRITICAL,
    confidence=0.5,
    onset_s=1000.5,
    summary="rank 7 computes 2.0x its peers",
    evidence=(Evidence(at_s=1001.0, bearing=Bearing.SUPPORTS, text="2.0x", source="hook", node="n1"),),
    ruled_out=(RuledOut(cause="network", reason="transfer 10 ms, reference 10 ms"),),
    unsure=("no BMC",),
    why=Why(rule="r", source="s", inputs={"ratio": 2.0}, thresholds={"ratio": 1.05}),
    gpus_held=8.0,
    latched=True,
    victims=(Subject(kind="rank", job="llm", rank=6),),
)
INCIDENT = Incident(
    id="I-1",
    state=IncidentState.ACKNOWLEDGED,
    severity=Severity.CRITICAL,
    kind=IncidentKind.STRAGGLER_COMPUTE,
    culprit=RANK,
    cause="cpu_quota",
    verdict=Verdict.HOST,
    summary="s",
    confidence=0.5,
    onset_s=1000.5,
    opened_s=1001.0,
    updated_s=1002.0,
    owner="ana",
    gpu_hours_lost=1.5,
    findings=(FINDING,),
    notes=(Note(at_s=1003.0, author="ana", text="looking"),),
    runbooks=("straggler-compute",),
    run="R-1",
    pages=False,
    active=False,
    quiet_s=2.0,
    silenced_until_s=2000.0,
    reopened=1,
)


def test_an_incident_survives_the_wire() -> None:
    """Every field comes back, absent ones as absent."""
    assert codec.incident_from_message(codec.incident_to_message(INCIDENT)) == INCIDENT


def test_an_absent_time_is_not_the_epoch() -> None:
    """An open incident has no closing time on either side."""
    assert codec.incident_from_message(codec.incident_to_message(INCIDENT)).closed_s is None


def test_a_subject_reads_as_an_operator_says_it() -> None:
    """Names are those of the screens."""
    assert str(RANK) == "llm rank 7 (n1)"
    assert str(Subject(kind="link", node="n1", peer="n2")) == "n1 -> n2"
    assert str(Subject(kind="gpu", node="n1", device="gpu3")) == "n1 gpu3"
