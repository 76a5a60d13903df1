"""Tests of judging: against peers of the same kind, against the past, and never on too few."""

from __future__ import annotations

import pytest

from ringwatch_proto.probe import FEWEST_PEERS, Measure, ProbeResult, judge


def speed(value: float, device: str = "cuda:0", kind: str = "H100", *, shared: bool = False) -> Measure:
    """Return one measured speed."""
    return Measure(name="gemm", device=device, kind=kind, value=value, unit="TFLOP/s", shared=shared)


def found(*measures: Measure, node: str = "n1", at_s: float = 10.0, level: str = "full") -> ProbeResult:
    """Return a probe that found these."""
    return ProbeResult(node=node, at_s=at_s, level=level, seconds=1.0, measures=measures)


def test_one_slow_gpu_among_those_of_its_node_is_named() -> None:
    """The others of the node are its peers."""
    gpus = [speed(100.0, f"cuda:{at}") for at in range(7)]

    judgement = judge(found(*gpus, speed(75.0, "cuda:7")), [])

    assert not judgement.passed
    assert judgement.reasons == ("cuda:7 gemm: 75 TFLOP/s, 75% of the median of 7 peers",)
    assert judgement.compared == 8


@pytest.mark.parametrize("peers", range(FEWEST_PEERS))
def test_too_few_peers_condemn_nobody_and_it_is_said(peers: int) -> None:
    """A median of two is nobody's norm."""
    others = [found(speed(100.0), node=f"n{at + 2}") for at in range(peers)]

    judgement = judge(found(speed(10.0)), others)

    assert judgement.passed
    assert judgement.compared == 0


@pytest.mark.parametrize(("other", "level"), [(speed(100.0, kind="A100"), "full"), (speed(100.0), "quick")])
def test_another_kind_or_level_is_no_peer(other: Measure, level: str) -> None:
    """An older card is slower and well."""
    others = [found(other, node=f"n{at}", level=level) for at in range(2, 9)]

    assert judge(found(speed(50.0)), others).compared == 0


def test_only_the_newest_probe_of_a_node_counts() -> None:
    """One node with many probes is one peer."""
    others = [found(speed(100.0), node="n2", at_s=float(at)) for at in range(9)]

    assert judge(found(speed(50.0)), others).judged[0].peers == 1


def test_what_shares_its_time_with_other_work_may_differ_more() -> None:
    """A busy CPU is no broken CPU; half as fast is."""
    others = [found(speed(100.0, shared=True), node=f"n{at}") for at in range(2, 6)]

    assert judge(found(speed(60.0, shared=True)), others).passed
    assert not judge(found(speed(40.0, shared=True)), others).passed


def test_a_probe_that_found_nothing_proves_nothing() -> None:
    """No measure is no proof."""
    assert not judge(found(), []).passed
