"""A rack that is hot together is one trouble of the room, and explains its GPUs'."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.collector.detectors.builders import JobSpec, fleet, gpus, job, nodes

from ringwatch_collector.detectors.gpu_limits import GpuLimits
from ringwatch_collector.detectors.rack_limits import RackLimits
from ringwatch_collector.fusion import fuse
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import IncidentKind, Severity

RACKS = [f"r{at // 4}" for at in range(12)]


def hot(*rows: int, bits: int = 0x40, racks: list[str] | None = None) -> FleetView:
    """Return twelve nodes of one GPU in three racks; these GPUs are held."""
    table = gpus(12, 1, {"gpu.clock_event_reasons": dict.fromkeys(rows, float(bits))})
    named = replace(nodes(12), racks=RACKS if racks is None else racks)
    return fleet(job(JobSpec(ranks=12, steps=20)), gpu=table, nodes=named)


@pytest.mark.parametrize(
    ("bits", "kind", "cause"),
    [(0x40, IncidentKind.GPU_THERMAL, "rack_cooling"), (0x80, IncidentKind.GPU_POWER, "rack_power")],
)
def test_most_nodes_of_one_rack_are_the_racks_trouble(bits: int, kind: IncidentKind, cause: str) -> None:
    """Three of four in one rack, none elsewhere."""
    (finding,) = RackLimits().look(hot(4, 5, 7, bits=bits))
    assert (finding.kind, finding.cause, finding.severity) == (kind, cause, Severity.CRITICAL)
    assert (finding.culprit.kind, finding.culprit.device) == ("fleet", "rack r1")
    assert [victim.node for victim in finding.victims] == ["n004", "n005", "n007"]


def test_the_rack_explains_its_gpus() -> None:
    """Four findings, one cause."""
    view = hot(4, 5, 7)
    findings = [*GpuLimits().look(view), *RackLimits().look(view)]
    (fused,) = fuse(findings, view)
    assert fused.primary.cause == "rack_cooling"
    assert len(fused.explained) == 3


def test_a_hot_gpu_elsewhere_is_its_own_trouble() -> None:
    """One of eight elsewhere does not hide the rack, and is not explained by it."""
    view = hot(4, 5, 6, 7, 9)
    fused = fuse([*GpuLimits().look(view), *RackLimits().look(view)], view)
    assert sorted(each.primary.culprit.kind for each in fused) == ["fleet", "gpu"]


@pytest.mark.parametrize("rows", [(4, 5), (0, 4, 8), (0, 1, 2, 4, 5, 6, 8, 9, 10)])
def test_fewer_spread_or_everywhere_is_no_rack(rows: tuple[int, ...]) -> None:
    """Two nodes, one a rack, or all racks alike."""
    assert RackLimits().look(hot(*rows)) == []


def test_without_labels_nothing_is_said() -> None:
    """Absent is absent: nodes without a rack are not one rack."""
    assert RackLimits().look(hot(4, 5, 7, racks=[])) == []
    assert RackLimits().look(hot(4, 5, 7, racks=[""] * 12)) == []
