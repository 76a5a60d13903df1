"""A slow transfer names the link when the flows do, and nobody when they do not."""

from dataclasses import replace

import numpy as np
import pytest
from tests.collector.detectors.builders import (
    NOW,
    JobSpec,
    Op,
    Table,
    all_from,
    fleet,
    flows,
    from_step,
    job,
    nodes,
    states,
)

from ringwatch_collector.detectors.slow_collective import SlowCollective
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, IncidentKind, Verdict

HEALTHY = [2e10, 4e10, 1.7e10, 7e10]


def slow_at(node: int) -> list[float]:
    """Return delivery rates of a ring in which one node sends at 191 Mbit/s."""
    return [1.91e8 if at == node else rate for at, rate in enumerate(HEALTHY)]


def unsent(node: int) -> np.ndarray:
    """Return bytes that wait to be sent."""
    return np.where(np.arange(4) == node, 372e3, 0.0).astype(np.float32)


def ports(**values: list[float]) -> Table:
    """Return one port a node."""
    named = {f"port.{name}": value for name, value in values.items()}
    return Table([f"eth{at}" for at in range(4)], range(4), named)


def look(view: FleetView) -> list[Finding]:
    """Run the detector once."""
    return SlowCollective().look(view)


@pytest.mark.parametrize("node", range(4))
@pytest.mark.parametrize("noise", [0.05, 0.25])
def test_the_flow_that_delivers_least_names_the_link(node: int, noise: float) -> None:
    """Every rank's transfer rises alike; only the flow says which link."""
    view = job(JobSpec(noise=noise, transfer=all_from(150, 8.0)))
    ring = flows("llm", range(4), slow_at(node), unsent_bytes=unsent(node))
    (finding,) = look(fleet(view, flows=ring))
    assert (finding.kind, finding.cause) == (IncidentKind.SLOW_LINK, "slow_link")
    assert (finding.culprit.node, finding.culprit.peer) == (f"n00{node}", f"n00{(node + 1) % 4}")
    assert finding.unsure  # no port counter says which end
    assert "191 Mbit/s" in " ".join(evidence.text for evidence in finding.evidence)


def test_the_egress_queue_says_which_end() -> None:
    """A queue that holds packets back makes the sender's end certain."""
    view = job(JobSpec(transfer=all_from(150, 8.0)))
    ring = flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1))
    table = ports(queue_overlimits_per_s=[0.0, 900.0, 0.0, 0.0], queue_backlog_bytes=[0.0, 2e5, 0.0, 0.0])
    (finding,) = look(fleet(view, flows=ring, port=table))
    assert (finding.culprit.node, finding.culprit.device, finding.unsure) == ("n001", "eth1", ())
    assert finding.confidence > 0.9


def test_errors_at_the_receiver_turn_the_suspicion_round() -> None:
    """The same slow flow is the receiver's when its port drops packets and the sender's does not."""
    view = job(JobSpec(transfer=all_from(150, 8.0)))
    ring = flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1))
    (finding,) = look(fleet(view, flows=ring, port=ports(rx_drops_per_s=[0.0, 0.0, 300.0, 0.0])))
    assert (finding.culprit.node, finding.culprit.peer) == ("n002", "n001")


def test_all_flows_of_one_sender_name_the_sender() -> None:
    """A hot row is the source, a hot column the destination."""
    view = job(JobSpec(transfer=all_from(150, 8.0)))
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    for end, node, named in ((0, 2, "n002"), (1, 3, "n003")):
        rates = [2e8 if pair[end] == node else 3e10 for pair in pairs]
        mesh = flows(
            "llm",
            [a for a, _ in pairs],
            rates,
            peer_of=np.array([b for _, b in pairs]),
            unsent_bytes=np.full(12, 2e5, np.float32),
        )
        (finding,) = look(fleet(view, flows=mesh))
        assert (finding.culprit.node, finding.culprit.peer) == (named, "")


def test_a_slow_sender_that_delays_acknowledgements_is_told_from_who_sends_to_it() -> None:
    """Both flows at the slow node look slow: its queue says so, or the bytes that wait there."""
    view = job(JobSpec(transfer=all_from(150, 8.0)))
    rates = [2.4e8, 1.9e8, 3e10, 3e10]
    table = ports(queue_overlimits_per_s=[0.0, 900.0, 0.0, 0.0])
    waiting = np.array([4e4, 4e5, 0.0, 0.0], np.float32)
    even = flows("llm", range(4), rates, unsent_bytes=np.array([4e5, 4e5, 0.0, 0.0], np.float32))
    (by_queue,) = look(fleet(view, flows=even, port=table))
    (by_bytes,) = look(fleet(view, flows=flows("llm", range(4), rates, unsent_bytes=waiting)))
    (by_nothing,) = look(fleet(job(JobSpec(transfer=all_from(120, 8.0))), flows=even))
    assert (by_queue.culprit.node, by_bytes.culprit.node) == ("n001", "n001")
    assert by_nothing.culprit.kind == "none"


def test_a_flow_that_rests_while_transfers_go_on_holds_nothing_up() -> None:
    """After pauses a flow starts slowly, with few bytes left over: its low rate is no slow link."""
    view = job(JobSpec(transfer=all_from(120, 8.0)))
    resting = np.array([0.4, 0.5, 0.4, 0.4], np.float32)
    (finding,) = look(
        fleet(view, flows=flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1), busy_share=resting))
    )
    assert finding.culprit.kind == "none"


def test_without_flows_nobody_is_blamed() -> None:
    """With RDMA there may be no flow: that it is slow is said, where is not."""
    (finding,) = look(fleet(job(JobSpec(transfer=all_from(120, 5.0)))))
    assert (finding.kind, finding.verdict) == (IncidentKind.SLOW_COLLECTIVE, Verdict.CANNOT_TELL)
    assert finding.culprit.kind == "none"
    assert {ruled.cause for ruled in finding.ruled_out} == {"a late rank", "a held process"}


def test_flows_that_are_all_slow_blame_no_link() -> None:
    """A congested fabric is no one link."""
    view = job(JobSpec(transfer=all_from(120, 5.0)))
    (finding,) = look(fleet(view, flows=flows("llm", range(4), [2e8] * 4)))
    assert finding.culprit.kind == "none"


def test_stale_flows_and_those_of_other_jobs_do_not_count() -> None:
    """A reading of another time or job names no link."""
    view = job(JobSpec(transfer=all_from(120, 5.0)))
    old = flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1), received_s=np.full(4, NOW - 60))
    other = flows("another", range(4), slow_at(1), unsent_bytes=unsent(1))
    assert look(fleet(view, flows=old))[0].culprit.kind == "none"
    assert look(fleet(view, flows=other))[0].culprit.kind == "none"


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(),
        JobSpec(noise=0.3),
        JobSpec(slow=from_step(130, 2, 2.0)),
        JobSpec(slow=all_from(130, 2.0)),
        JobSpec(extra_data_s=from_step(130, 2, 0.05, 0.0)),
        JobSpec(transfer=all_from(120, 5.0), reference=False),
    ],
)
def test_other_faults_and_an_unknown_reference_say_nothing(spec: JobSpec) -> None:
    """A late rank is no slow link, and without a reference nothing has risen."""
    ring = flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1))
    assert look(fleet(job(spec), flows=ring)) == []


def test_a_held_process_slows_collectives_without_a_link() -> None:
    """A stopped receiver leaves bytes unsent at its peer: no link is at fault."""
    held = states(4, stopped_share=np.array([0.0, 0.0, 0.3, 0.0], np.float32))
    view = job(JobSpec(transfer=all_from(120, 5.0)), states=held)
    assert look(fleet(view, flows=flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1)))) == []


def test_busy_hosts_are_not_taken_for_a_slow_network() -> None:
    """Where every rank waits for a CPU a transfer measures the host."""
    busy = states(4, runqueue_share=np.full(4, 0.5, np.float32))
    assert look(fleet(job(JobSpec(transfer=all_from(120, 5.0)), states=busy))) == []


def test_one_slow_group_of_four_is_enough() -> None:
    """Sibling groups that are well do not hide the one that is not."""
    groups = [range(4 * group, 4 * group + 4) for group in range(4)]
    spec = JobSpec(
        ranks=16,
        per_node=4,
        steps=200,
        ops=(
            Op(name="dp", groups=groups, transfer_s=0.06, share=1.0),
            Op(name="world", groups=[range(16)], transfer_s=0.001, share=0.0, bytes=8),
        ),
        group_transfer={"dp2": lambda base: np.where(np.arange(base.size) >= 90, 5.0, base)},
    )
    (finding,) = look(fleet(job(spec)))
    assert "dp2" in finding.evidence[0].text
    assert "1 of 5 groups" in finding.evidence[0].text


def test_an_unknown_peer_is_no_link() -> None:
    """Traffic to an address that no node has is not between ranks."""
    view = job(JobSpec(transfer=all_from(120, 5.0)))
    ring = flows("llm", range(4), slow_at(1), unsent_bytes=unsent(1), peer_of=np.full(4, -1))
    assert look(fleet(view, flows=ring, nodes=replace(nodes(4))))[0].culprit.kind == "none"
