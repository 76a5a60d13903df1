"""What a GPU's own counters and flags say: each a finding of the right kind, none on a healthy fleet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.collector.detectors.builders import Table, fleet, gpu_id, gpus

from ringwatch_collector.detectors.gpu_health import GpuHealth
from ringwatch_proto.records import Finding, IncidentKind, Severity


def look(**signals: Sequence[float]) -> list[Finding]:
    """Return what is found on two nodes of two GPUs."""
    devices = [gpu_id(node, gpu) for node in range(2) for gpu in range(2)]
    values = {f"gpu.{name}": rows for name, rows in signals.items()}
    return GpuHealth().look(fleet(gpu=Table(devices, [0, 0, 1, 1], values), count=2))


@pytest.mark.parametrize(
    ("signal", "value", "kind", "cause", "severity"),
    [
        ("remap_pending", 1.0, IncidentKind.GPU_MEMORY, "remap_pending", Severity.WARNING),
        ("remap_failed", 1.0, IncidentKind.GPU_MEMORY, "remap_failed", Severity.CRITICAL),
        ("ecc_uncorrected", 3.0, IncidentKind.GPU_MEMORY, "uncorrected_ecc", Severity.CRITICAL),
        ("ecc_corrected_per_s", 40.0, IncidentKind.GPU_MEMORY, "correctable_rate", Severity.WARNING),
        ("recovery_action", 4.0, IncidentKind.GPU_FAULT, "needs_reset", Severity.CRITICAL),
    ],
)
def test_a_flag_or_counter_is_a_finding_of_its_gpu(
    signal: str, value: float, kind: IncidentKind, cause: str, severity: Severity
) -> None:
    """The GPU that says it, and no other."""
    (finding,) = look(**{signal: (0.0, 0.0, 0.0, value)})
    assert (finding.kind, finding.cause, finding.severity) == (kind, cause, severity)
    assert (finding.culprit.node, finding.culprit.device) == ("n001", gpu_id(1, 1))


def test_of_one_gpus_memory_troubles_the_worst_is_told() -> None:
    """A pending remap says little beside uncorrected errors."""
    (finding,) = look(remap_pending=(1.0, 0, 0, 0), ecc_uncorrected=(2.0, 0, 0, 0))
    assert finding.cause == "uncorrected_ecc"


def test_a_gpu_with_fewer_links_than_its_siblings_is_a_finding() -> None:
    """Links that all GPUs of a node lack are how it is built."""
    (finding,) = look(nvlink_links=(18.0,) * 4, nvlink_active=(18.0, 18.0, 17.0, 18.0))
    assert (finding.kind, finding.cause) == (IncidentKind.NVLINK_FAULT, "nvlink_down")
    assert "17 of 18" in finding.summary
    assert look(nvlink_links=(18.0,) * 4, nvlink_active=(4.0,) * 4) == []


def test_a_healthy_fleet_gives_nothing() -> None:
    """Zeros and absent readings are no faults."""
    assert GpuHealth().look(fleet(gpu=gpus(2, 4), count=2)) == []
    assert look(remap_pending=(0.0,) * 4, ecc_uncorrected=(0.0,) * 4, recovery_action=(0.0,) * 4) == []
