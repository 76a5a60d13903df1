"""What counts as a right answer."""

import pytest

from ringwatch_drills.lab.faults import FAULTS as LAB_FAULTS
from ringwatch_drills.truth import TRUTHS, Struck, judge
from ringwatch_proto.records import IncidentKind
from ringwatch_proto.v1 import query_pb2

STRUCK = Struck(node="lab2", job="lab", rank=2, device="0000:a2:00.0")


def incident(**changes: object) -> query_pb2.Incident:
    values: dict[str, object] = {
        "id": "I-1",
        "kind": "straggler.compute",
        "cause": "cpu_quota",
        "culprit": query_pb2.Subject(kind="rank", node="lab2", job="lab", rank=2),
        "pages": True,
        "verdict": "host",
        **changes,
    }
    return query_pb2.Incident(**values)  # type: ignore[arg-type]


def test_the_right_rank_with_the_right_cause_is_correct() -> None:
    """And is the incident that is told."""
    judged = judge("slow-rank", STRUCK, [incident()])

    assert judged.correct
    assert judged.incident is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"culprit": query_pb2.Subject(kind="rank", node="lab1", job="lab", rank=1)},
        {"culprit": query_pb2.Subject(kind="none", job="lab")},
        {"cause": "cannot_tell"},
        {"kind": "job.slow"},
        {"pages": False},
    ],
)
def test_another_rank_cause_or_kind_is_not(changes: dict[str, object]) -> None:
    """Neither is one that nobody is told of."""
    judged = judge("slow-rank", STRUCK, [incident(**changes)])

    assert not judged.correct
    assert judged.reason


def test_no_incident_is_wrong_where_something_is_broken() -> None:
    """Silence is an answer only when nothing is."""
    assert not judge("slow-rank", STRUCK, []).correct
    assert judge("none", STRUCK, []).correct


def test_blaming_somebody_else_beside_the_culprit_is_not_correct() -> None:
    """The right one is named all the same."""
    other = incident(id="I-2", culprit=query_pb2.Subject(kind="rank", node="lab0", job="lab", rank=0))

    judged = judge("slow-rank", STRUCK, [incident(), other])

    assert (judged.correct, judged.named) == (False, True)


def test_a_pause_blames_nobody() -> None:
    """An incident of a pause that pages nobody is right, any blame is not."""
    pause = incident(kind="job.pause", cause="pause", verdict="pause", pages=False)

    assert judge("checkpoint", STRUCK, [pause]).correct
    assert not judge("checkpoint", STRUCK, [pause, incident()]).correct


def test_a_slow_link_has_a_direction() -> None:
    """The node that sends slowly is meant, not the one that waits for it."""
    there = query_pb2.Subject(kind="link", node="lab2", peer="lab0")
    back = query_pb2.Subject(kind="link", node="lab0", peer="lab2")

    link = {"kind": "network.slow_link", "cause": "slow_link"}
    assert judge("slow-link", STRUCK, [incident(**link, culprit=there)]).correct
    assert not judge("slow-link", STRUCK, [incident(**link, culprit=back)]).correct


def test_every_fault_of_the_lab_has_a_truth_in_known_kinds() -> None:
    """A typo in the table would count every run as wrong."""
    assert {fault.name for fault in LAB_FAULTS} <= set(TRUTHS)
    for truth in TRUTHS.values():
        assert truth.kinds <= {kind.value for kind in IncidentKind}
