"""The one node that all slow groups share is named; where several are left, nobody is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tests.collector.detectors.builders import EMPTY, Array, JobSpec, Op, Table, fleet, gpus, job, no_flows

from ringwatch_collector.detectors.slow_collective import SlowCollective
from ringwatch_collector.view import FleetView
from ringwatch_proto.layout import Collective
from ringwatch_proto.records import Finding, IncidentKind, Verdict

# Four nodes of four ranks: tensor groups within nodes, data groups across two, pipelines across the others.
TENSOR = [range(4), range(4, 8), range(8, 12), range(12, 16)]
DATA = [(0, 4), (1, 5), (2, 6), (3, 7), (8, 12), (9, 13), (10, 14), (11, 15)]
PIPE = [(0, 8), (1, 9), (2, 10), (3, 11), (4, 12), (5, 13), (6, 14), (7, 15)]
OPS = (
    Op(name="tp", groups=TENSOR, transfer_s=0.01, share=0.8, bytes=1 << 24),
    Op(name="pp", groups=PIPE, transfer_s=0.002, share=0.1, kind=Collective.SEND, bytes=1 << 22),
    Op(name="dp", groups=DATA, transfer_s=0.03, share=0.1, kind=Collective.REDUCE_SCATTER, bytes=1 << 28),
)


def later(factor: float) -> Callable[[Array], Array]:
    """Return a transfer that takes longer from step 90 on."""
    return lambda base: np.where(np.arange(base.size) >= 90, factor, base)


def look(slow: list[str], port: Table | None = None) -> list[Finding]:
    """Run the detector on a job in which the groups of these names are slow."""
    spec = JobSpec(
        ranks=16, per_node=4, ops=OPS, work_s=0.05, noise=0.02, group_transfer={n: later(4.0) for n in slow}
    )
    view: FleetView = fleet(job(spec), flows=no_flows(), port=port or EMPTY, gpu=gpus(4, 4))
    return SlowCollective().look(view)


def test_the_node_in_all_slow_groups_and_in_no_healthy_one() -> None:
    """Data groups say two nodes, pipelines say which of them."""
    (finding,) = look(["dp0", "dp1", "dp2", "dp3", "pp0", "pp1", "pp2", "pp3"])
    assert (finding.kind, finding.verdict) == (IncidentKind.SLOW_LINK, Verdict.NETWORK)
    assert (finding.culprit.kind, finding.culprit.node) == ("link", "n000")


def test_two_nodes_left_are_not_guessed_between() -> None:
    """Only data groups are slow: both of their nodes are in all of them."""
    (finding,) = look(["dp0", "dp1", "dp2", "dp3"])
    assert (finding.kind, finding.culprit.kind) == (IncidentKind.SLOW_COLLECTIVE, "none")


def test_a_port_that_counts_errors_decides_between_two() -> None:
    """The counter speaks for one of the nodes that are left."""
    errors = np.zeros(4)
    errors[1] = 300.0
    port = Table([f"mlx5_{at}" for at in range(4)], range(4), {"port.symbol_errors_per_s": errors})
    (finding,) = look(["dp0", "dp1", "dp2", "dp3"], port)
    assert (finding.culprit.kind, finding.culprit.node, finding.culprit.device) == ("link", "n001", "mlx5_1")


def test_groups_within_one_node_mean_its_inner_links() -> None:
    """One tensor group of four is slow: NVLink or PCIe there, no network."""
    (finding,) = look(["tp2"])
    assert (finding.kind, finding.cause, finding.verdict) == (
        IncidentKind.NVLINK_FAULT,
        "slow_nvlink",
        Verdict.HARDWARE,
    )
    assert (finding.culprit.kind, finding.culprit.node) == ("node", "n002")


def test_slow_groups_in_two_nodes_name_neither() -> None:
    """Two nodes whose inner links are slow at once have something else in common."""
    (finding,) = look(["tp1", "tp2"])
    assert finding.culprit.kind == "none"
