"""Findings with one cause become one; those with causes of their own stay apart."""

from typing import Any

import pytest
from tests.collector.detectors.builders import NOW, JobSpec, fleet, job

from ringwatch_collector.fusion import RULES, Fused, fuse
from ringwatch_proto.records import Finding, IncidentKind, Severity, Subject, Verdict, Why

VIEW = fleet(job(JobSpec(steps=20)))
K = IncidentKind


def finding(kind: IncidentKind, culprit: Subject, ago_s: float = 5.0, **changed: Any) -> Finding:
    """Return a finding of a kind about a culprit."""
    plain: dict[str, Any] = {
        "kind": kind, "detector": kind.value, "culprit": culprit, "cause": "cause",
        "verdict": Verdict.HARDWARE,
        "severity": Severity.WARNING, "confidence": 0.8, "onset_s": NOW - ago_s, "summary": "words",
        "why": Why(rule="", source=""),
    }  # fmt: skip
    return Finding(**(plain | changed))


GPU = Subject(kind="gpu", node="n001", device="GPU-1")
RANK = Subject(kind="rank", node="n001", device="GPU-1", job="llm", rank=1)
OTHER = Subject(kind="rank", node="n002", device="GPU-2", job="llm", rank=2)
NODE = Subject(kind="node", node="n001")
LINK = Subject(kind="link", node="n001", peer="n002", job="llm")
NOBODY = Subject(kind="none", job="llm")


def together(*findings: Finding) -> list[Fused]:
    """Fuse, in the order given and in the other: the result must not depend on it."""
    there, back = fuse(findings, VIEW), fuse(findings[::-1], VIEW)
    key = lambda fused: (fused.primary.kind, str(fused.primary.culprit))  # noqa: E731
    assert sorted(map(key, there)) == sorted(map(key, back))
    return there


@pytest.mark.parametrize(
    ("cause", "symptom"),
    [
        (finding(K.GPU_OFF_BUS, GPU), finding(K.JOB_HANG, RANK, 3.0)),
        (finding(K.GPU_OFF_BUS, GPU), finding(K.RANK_DIED, RANK, 3.0)),
        (finding(K.GPU_OFF_BUS, GPU), finding(K.JOB_HANG, NOBODY, 3.0)),
        (finding(K.GPU_OFF_BUS, GPU), finding(K.GPU_NOT_ANSWERING, GPU, 6.0)),
        (finding(K.GPU_OFF_BUS, NODE), finding(K.RANK_DIED, RANK, 3.0)),
        (finding(K.GPU_MEMORY, GPU, 60.0), finding(K.STRAGGLER_COMPUTE, RANK, 20.0)),
        (finding(K.STRAGGLER_COMPUTE, RANK), finding(K.GPU_THERMAL, GPU, 15.0)),
        (finding(K.STRAGGLER_COMPUTE, NODE), finding(K.GPU_POWER, NODE, 15.0)),
        (finding(K.STRAGGLER_COMPUTE, RANK), finding(K.SLOW_LINK, LINK)),
        (finding(K.STRAGGLER_COMPUTE, OTHER), finding(K.SLOW_LINK, LINK)),
        (finding(K.STRAGGLER_COMPUTE, RANK), finding(K.JOB_SLOW, NOBODY)),
        (finding(K.SLOW_LINK, LINK), finding(K.JOB_SLOW, NOBODY)),
        (finding(K.SLOW_COLLECTIVE, NOBODY), finding(K.JOB_SLOW, NOBODY)),
        (finding(K.JOB_PAUSE, NOBODY), finding(K.JOB_SLOW, NOBODY)),
        (finding(K.RANK_DIED, RANK), finding(K.HOST_FAULT, NODE, cause="oom")),
        (finding(K.RANK_DIED, RANK), finding(K.JOB_HANG, NOBODY, 3.0)),
        (finding(K.AGENT_SILENT, NODE), finding(K.JOB_HANG, RANK, 4.0)),
        (finding(K.PORT_DOWN, LINK), finding(K.JOB_HANG, NOBODY, 4.0)),
        (finding(K.PORT_DOWN, LINK), finding(K.SLOW_LINK, LINK, 4.0)),
    ],
    ids=lambda each: each.kind.value if isinstance(each, Finding) else "",
)
def test_one_cause_is_one(cause: Finding, symptom: Finding) -> None:
    """The cause is the primary, in whatever order the two came."""
    (fused,) = together(cause, symptom)
    assert fused.primary.kind is cause.kind
    assert fused.primary.culprit == cause.culprit
    assert [each.kind for each in fused.explained] == [symptom.kind]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (finding(K.STRAGGLER_COMPUTE, RANK), finding(K.STRAGGLER_COMPUTE, OTHER)),
        (finding(K.GPU_OFF_BUS, GPU), finding(K.STRAGGLER_COMPUTE, OTHER)),
        (finding(K.GPU_OFF_BUS, GPU), finding(K.JOB_HANG, RANK, 3.0, cause="process_stopped")),
        (finding(K.GPU_OFF_BUS, GPU, 2000.0), finding(K.JOB_HANG, RANK, 3.0)),
        (finding(K.GPU_OFF_BUS, GPU, 3.0), finding(K.JOB_HANG, RANK, 60.0)),
        (finding(K.STRAGGLER_COMPUTE, RANK), finding(K.JOB_SLOW, Subject(kind="none", job="other"))),
        (finding(K.STRAGGLER_COMPUTE, OTHER), finding(K.GPU_THERMAL, GPU)),
        (finding(K.JOB_PAUSE, NOBODY), finding(K.STRAGGLER_COMPUTE, RANK)),
        (finding(K.AGENT_SILENT, NODE), finding(K.STRAGGLER_COMPUTE, OTHER)),
    ],
    ids=lambda each: each.kind.value if isinstance(each, Finding) else "",
)
def test_two_causes_stay_two(one: Finding, other: Finding) -> None:
    """Another rank, another time, another job, or a cause of its own."""
    assert len(together(one, other)) == 2


def test_a_chain_has_one_root() -> None:
    """GPU lost, rank dead, job hung, job slow: one incident, its victims named once."""
    chain = (
        finding(K.GPU_OFF_BUS, GPU, 20.0, severity=Severity.CRITICAL, gpus_held=1.0, latched=True),
        finding(K.RANK_DIED, RANK, 10.0, gpus_held=4.0, victims=(Subject(kind="job", job="llm"),)),
        finding(K.JOB_HANG, NOBODY, 5.0, gpus_held=4.0),
        finding(K.JOB_SLOW, NOBODY, 5.0),
    )
    (fused,) = together(*chain)
    assert fused.primary.kind is K.GPU_OFF_BUS
    assert len(fused.explained) == 3
    assert fused.primary.gpus_held == 4.0
    assert fused.primary.severity is Severity.CRITICAL
    assert fused.primary.victims == (Subject(kind="job", job="llm"), RANK)


def test_one_straggler_takes_the_slow_job_and_leaves_the_other_alone() -> None:
    """Two stragglers and one slow job are two causes."""
    fused = fuse(
        [
            finding(K.STRAGGLER_COMPUTE, RANK, 9.0),
            finding(K.STRAGGLER_COMPUTE, OTHER, 5.0),
            finding(K.JOB_SLOW, NOBODY),
        ],
        VIEW,
    )
    assert sorted(len(each.explained) for each in fused) == [0, 1]


def test_nothing_is_lost() -> None:
    """Every finding is in exactly one group, whatever the kinds: 300 random handfuls."""
    import random

    dice = random.Random(4)
    subjects = (GPU, RANK, OTHER, NODE, LINK, NOBODY, Subject(kind="fleet"))
    for _ in range(300):
        given = [
            finding(dice.choice(list(K)), dice.choice(subjects), dice.uniform(0, 100))
            for _ in range(dice.randint(1, 8))
        ]
        groups = fuse(given, VIEW)
        seen = [each.detector for fused in groups for each in fused.findings]
        assert sorted(seen) == sorted(each.detector for each in given)


def test_no_kind_explains_its_own_cause_in_the_table() -> None:
    """A rule whose cause and symptom kinds overlap would make circles likely."""
    for rule in RULES:
        overlap = rule.cause & rule.symptom
        # A lost GPU explains other words for its loss; a rack the GPUs in it, and no GPU explains a rack.
        assert overlap <= {K.GPU_OFF_BUS, K.GPU_THERMAL, K.GPU_POWER}
