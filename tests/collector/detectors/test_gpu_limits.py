"""Hot and braked GPUs are a warning of their own; a power cap under load is not."""

import numpy as np
from tests.collector.detectors.builders import Table, fleet, gpu_id, gpus

from ringwatch_collector.detectors.gpu_limits import GpuLimits
from ringwatch_proto.records import IncidentKind, Severity


def test_a_hot_gpu_is_a_warning() -> None:
    """Without any job."""
    table = gpus(2, 4, {"gpu.clock_event_reasons": {5: 0x40}, "gpu.temperature_celsius": {5: 92.0}})
    (finding,) = GpuLimits().look(fleet(gpu=table, count=2))
    assert (finding.kind, finding.severity) == (IncidentKind.GPU_THERMAL, Severity.WARNING)
    assert (finding.culprit.node, finding.culprit.device) == ("n001", gpu_id(1, 1))
    assert "92 C" in finding.summary


def test_a_braked_node_is_one_finding() -> None:
    """The brake line is the node's, not its GPUs'."""
    table = gpus(2, 4, {"gpu.clock_event_reasons": dict.fromkeys(range(4), float(0x80))})
    (finding,) = GpuLimits().look(fleet(gpu=table, count=2))
    assert (finding.kind, finding.culprit.kind, finding.culprit.node) == (
        IncidentKind.GPU_POWER,
        "node",
        "n000",
    )


def test_a_power_cap_and_a_blink_are_normal() -> None:
    """The driver holds power at its limit under load; boost touches the thermal bit for a moment."""
    assert GpuLimits().look(fleet(gpu=gpus(2, 4), count=2)) == []
    bits = np.full((15, 1), 4.0)
    bits[-1] = 0x20
    blink = Table([gpu_id(0, 0)], [0], {"gpu.clock_event_reasons": bits})
    assert GpuLimits().look(fleet(gpu=blink, count=1)) == []
