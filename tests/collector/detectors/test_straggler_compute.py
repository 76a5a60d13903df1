"""The compute straggler names the rank that does its work slowly, with its cause, and nobody else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.collector.detectors.builders import (
    Array,
    JobSpec,
    Op,
    all_from,
    fleet,
    from_step,
    gpus,
    job,
    states,
)

from ringwatch_collector.detectors.straggler_compute import ComputeStraggler
from ringwatch_collector.view import FleetView
from ringwatch_proto.layout import Collective
from ringwatch_proto.records import Finding, IncidentKind, Severity, Verdict


def look(view: FleetView) -> list[Finding]:
    """Run the detector once."""
    return ComputeStraggler().look(view)


def only(view: FleetView) -> Finding:
    """Return the one finding of a view."""
    found = look(view)
    assert [str(finding.culprit) for finding in found] == [str(found[0].culprit)] if found else found
    return found[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("noise", "factor"), [(0.03, 1.3), (0.1, 1.6), (0.3, 3.0)])
def test_names_the_slow_rank_of_four(seed: int, noise: float, factor: float) -> None:
    """In a small group too, at any noise that the factor stands out of."""
    spec = JobSpec(seed=seed, noise=noise, steps=250, slow=from_step(130, 2, factor))
    finding = only(fleet(job(spec)))
    assert (finding.culprit.rank, finding.culprit.node) == (2, "n002")
    assert finding.kind is IncidentKind.STRAGGLER_COMPUTE
    assert finding.gpus_held > 0
    assert finding.why.inputs["compute_ratio"] > 1.05


def test_names_one_rank_of_two_hundred_and_fifty_six() -> None:
    """A tenth slower is enough where noise is low, and no other rank is named."""
    spec = JobSpec(ranks=256, per_node=8, steps=80, noise=0.02, slow=from_step(20, 77, 1.15))
    assert only(fleet(job(spec))).culprit.rank == 77


def test_a_straggler_is_found_without_a_reference() -> None:
    """Peers are enough: a job that was slow from its beginning has no healthy history."""
    spec = JobSpec(noise=0.05, slow=from_step(0, 1, 1.5), reference=False)
    assert only(fleet(job(spec))).culprit.rank == 1


def test_unexplained_is_said_with_what_was_ruled_out() -> None:
    """Who is slow is known, why is not: the verdict says so."""
    finding = only(fleet(job(JobSpec(slow=from_step(130, 2, 2.0)))))
    assert (finding.cause, finding.verdict) == ("unexplained", Verdict.CANNOT_TELL)
    assert {"a CPU quota", "a stopped process"} <= {ruled.cause for ruled in finding.ruled_out}
    assert any("heat" in text for text in finding.unsure)


@pytest.mark.parametrize(
    ("field", "cause"),
    [
        ("throttled_share", "cpu_quota"),
        ("stopped_share", "process_paused"),
        ("runqueue_share", "cpu_contention"),
    ],
)
def test_the_hosts_word_becomes_the_cause(field: str, cause: str) -> None:
    """What the kernel says about the process explains a slow rank."""
    changed: dict[str, Any] = {field: np.array([0.0, 0.0, 0.5, 0.0], np.float32)}
    view = job(JobSpec(slow=from_step(130, 2, 2.0)), states=states(4, **changed))
    finding = only(fleet(view))
    assert (finding.culprit.rank, finding.cause, finding.verdict) == (2, cause, Verdict.HOST)
    assert finding.confidence > 0.9


@pytest.mark.parametrize(
    ("bits", "clock", "celsius", "cause"),
    [
        (0x40, 1200.0, 90.0, "thermal_slowdown"),
        (0x20, 1300.0, 88.0, "thermal_slowdown"),
        (0x8, 990.0, 91.0, "thermal_slowdown"),
        (0x8, 990.0, 60.0, "power_brake"),
        (0x80, 990.0, 60.0, "power_brake"),
        (0x4, 1500.0, 62.0, "power_cap"),
        (0x0, 1500.0, 62.0, "clock_low"),
    ],
)
def test_the_gpus_word_becomes_the_cause(bits: int, clock: float, celsius: float, cause: str) -> None:
    """Each reason for a low clock has its own name."""
    changed = {
        "gpu.clock_event_reasons": {2: float(bits)},
        "gpu.sm_clock_mhz": {2: clock},
        "gpu.temperature_celsius": {2: celsius},
    }
    view = job(JobSpec(gpus=True, slow=from_step(130, 2, 1.6)))
    finding = only(fleet(view, gpu=gpus(4, 1, changed)))
    assert (finding.cause, finding.verdict) == (cause, Verdict.HARDWARE)
    assert finding.culprit.device == view.gpu_of[2]


def test_a_narrow_pcie_link_becomes_the_cause() -> None:
    """A link of half the width explains a slow rank when nothing else does."""
    view = job(JobSpec(gpus=True, slow=from_step(130, 2, 1.6)))
    finding = only(fleet(view, gpu=gpus(4, 1, {"gpu.pcie_link_width": {2: 4.0}})))
    assert finding.cause == "pcie_degraded"


def test_a_power_cap_that_all_share_explains_nobody() -> None:
    """At full load every GPU sits at its power limit."""
    view = job(JobSpec(gpus=True, slow=from_step(130, 2, 1.6)))
    assert only(fleet(view, gpu=gpus(4, 1))).cause == "unexplained"


def test_a_held_rank_is_named_though_it_stops_inside_collectives() -> None:
    """Duty-cycled stops hit the transfer as well: the kernel's word and a slower job are enough."""

    def stops(base: Array) -> Array:
        base[225::2] = 12.0
        return base

    held = states(4, stopped_share=np.array([0.0, 0.5, 0.0, 0.0], np.float32))
    finding = only(fleet(job(JobSpec(transfer=stops), states=held)))
    assert (finding.culprit.rank, finding.cause) == (1, "process_paused")


def test_a_held_rank_of_a_job_that_is_not_slower_is_nothing() -> None:
    """A quota that nobody feels is not an incident."""
    held = states(4, throttled_share=np.array([0.0, 0.5, 0.0, 0.0], np.float32))
    assert look(fleet(job(JobSpec(), states=held))) == []


def test_a_quota_on_every_rank_blames_no_rank() -> None:
    """A job whose ranks are all throttled has no straggler."""
    held = states(4, throttled_share=np.full(4, 0.4, np.float32))
    assert look(fleet(job(JobSpec(slow=all_from(130, 2.0)), states=held))) == []


def test_all_ranks_slower_together_blames_nobody() -> None:
    """Common slowness is not a straggler."""
    assert look(fleet(job(JobSpec(slow=all_from(130, 2.0))))) == []


def test_rotating_stragglers_blame_nobody() -> None:
    """Uneven work makes another rank the last one in each step."""

    def rotating(base: Array) -> Array:
        rng = np.random.default_rng(5)
        base[np.arange(base.shape[0]), rng.integers(0, base.shape[1], base.shape[0])] = 2.0
        return base

    assert look(fleet(job(JobSpec(slow=rotating)))) == []


def test_a_rank_with_more_work_is_not_slow() -> None:
    """Where the job says how much work each rank has, time is taken by work."""
    amount = np.ones((250, 4))
    amount[130:, 2] = 2.0
    assert look(fleet(job(JobSpec(work_amount=amount)))) == []


def test_a_slow_stage_is_structure_and_no_straggler() -> None:
    """Stages are compared with themselves only, with a reference or without."""
    assert look(fleet(job(_pipeline()))) == []
    assert look(fleet(job(replace(_pipeline(), reference=False)))) == []


def test_of_a_slow_pipeline_only_the_slow_rank_is_named() -> None:
    """The stages behind a slow rank are late too, and are not slow."""
    spec = replace(_pipeline(), slow=from_step(40, 5, 2.0))
    finding = only(fleet(job(spec)))
    assert finding.culprit.rank == 5


def _pipeline() -> JobSpec:
    """Return 4 stages of 4 data-parallel ranks; the last stage has more work."""
    stages = [range(4 * stage, 4 * stage + 4) for stage in range(4)]
    pipelines = [range(column, 16, 4) for column in range(4)]
    work = np.repeat([0.06, 0.06, 0.06, 0.10], 4)
    ops = (
        Op(name="pp", groups=pipelines, transfer_s=0.002, share=0.9, kind=Collective.SEND, bytes=1 << 22),
        Op(name="dp", groups=stages, transfer_s=0.015, share=0.1, bytes=1 << 26),
    )
    return JobSpec(ranks=16, per_node=4, steps=120, work_s=work, ops=ops)


def test_two_stragglers_are_two_findings() -> None:
    """One fault does not hide another."""

    def two(base: Array) -> Array:
        base[100:, 3] = 1.8
        base[100:, 11] = 1.8
        return base

    found = look(fleet(job(JobSpec(ranks=16, per_node=1, slow=two))))
    assert sorted(finding.culprit.rank for finding in found) == [3, 11]


def test_a_node_whose_ranks_are_all_slow_is_one_finding() -> None:
    """What hits every GPU of a node is the node's."""

    def brake(base: Array) -> Array:
        base[60:, 8:12] = 1.7
        return base

    changed = {
        "gpu.clock_event_reasons": dict.fromkeys(range(8, 12), 128.0),
        "gpu.sm_clock_mhz": dict.fromkeys(range(8, 12), 1000.0),
    }
    view = job(JobSpec(ranks=32, per_node=4, steps=120, noise=0.03, gpus=True, slow=brake))
    finding = only(fleet(view, gpu=gpus(8, 4, changed)))
    assert (finding.culprit.kind, finding.culprit.node, finding.cause) == ("node", "n002", "power_brake")


def test_a_job_that_slows_little_is_a_warning_and_more_is_critical() -> None:
    """Severity follows what the job loses."""
    mild = only(fleet(job(JobSpec(noise=0.02, slow=from_step(100, 2, 1.15)))))
    grave = only(fleet(job(JobSpec(noise=0.02, slow=from_step(100, 2, 2.0)))))
    assert (mild.severity, grave.severity) == (Severity.WARNING, Severity.CRITICAL)


def test_a_slow_rank_that_nobody_waits_for_is_nothing() -> None:
    """Slow work that a slow loader elsewhere hides costs nothing."""
    spec = JobSpec(noise=0.03, slow=from_step(130, 2, 1.3), extra_data_s=from_step(130, 0, 0.2, 0.0))
    assert look(fleet(job(spec))) == []


def test_a_recovered_straggler_is_not_said_any_more() -> None:
    """The window still holds the fault; the newest blocks do not."""

    def over(base: Array) -> Array:
        base[100:200, 2] = 2.0
        return base

    assert look(fleet(job(JobSpec(slow=over)))) == []
