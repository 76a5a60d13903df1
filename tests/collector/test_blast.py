"""Many nodes with one trouble at once are one cause on what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tests.collector.detectors.builders import fleet
from tests.collector.test_incidents import finding

from ringwatch_collector.blast import BlastPolicy, gather
from ringwatch_collector.fusion import Fused
from ringwatch_proto.records import IncidentKind, Severity, Subject, Verdict

T = 1_700_000_000.0
POLICY = BlastPolicy(many=8)
VIEW = fleet(count=64)
NAMES = VIEW.nodes.names


def labels_of(node: str) -> Mapping[str, str]:
    """Return where a node stands: racks of 16, one building, two of three drained."""
    at = NAMES.index(node)
    return {"rack": f"r{at // 16}", "building": "b1", "drained": "no"}


def ill(at: int, cause: str = "thermal", after_s: float = 0.0) -> Fused:
    """Return the trouble of one node."""
    gpu = Subject(kind="gpu", node=NAMES[at], device="GPU-0")
    return Fused(primary=finding(IncidentKind.GPU_THERMAL, gpu, cause=cause, onset_s=T + after_s))


def joined(*causes: Fused) -> list[Fused]:
    """Gather them in a fleet of 64 nodes."""
    return gather(causes, VIEW, labels_of, POLICY)


def test_a_rack_that_overheats_is_one_cause_on_the_rack() -> None:
    """The narrowest place that explains them, as severe as the worst, with all of them under it."""
    causes = [ill(at) for at in range(16, 28)]
    causes[3] = replace(causes[3], primary=replace(causes[3].primary, severity=Severity.CRITICAL))
    (whole,) = joined(*causes)
    assert str(whole.primary.culprit) == "rack r1"
    assert "12 nodes at once, on rack r1 (12 of its 16 nodes)" in whole.primary.summary
    assert whole.primary.severity is Severity.CRITICAL
    assert len(whole.explained) == 12
    assert len(whole.primary.victims) == 12


def test_nodes_all_over_the_fleet_share_the_fleet() -> None:
    """A label that every node has explains nothing."""
    (whole,) = joined(*[ill(at) for at in range(0, 64, 6)])
    assert str(whole.primary.culprit) == "the fleet"


def test_fewer_than_many_stay_what_they_are() -> None:
    """Seven broken GPUs are seven."""
    causes = [ill(at) for at in range(7)]
    assert joined(*causes) == causes


def test_other_causes_and_other_times_are_not_joined() -> None:
    """Only what began together, for the same reason."""
    causes = [ill(at, after_s=300.0 * at) for at in range(10)]
    assert len(joined(*causes)) == 10
    assert len(joined(*[ill(at, cause=f"c{at}") for at in range(10)])) == 10


def test_members_that_disagree_make_no_verdict() -> None:
    """Nothing is claimed that they do not all say."""
    causes = [ill(at) for at in range(10)]
    causes[0] = replace(causes[0], primary=replace(causes[0].primary, verdict=Verdict.NETWORK))
    assert joined(*causes)[0].primary.verdict is Verdict.CANNOT_TELL
