"""The driver's word is believed about hardware, and not about what applications do to themselves."""

from dataclasses import replace
from typing import Any

import pytest
from tests.collector.detectors.builders import JobSpec, event, fleet, gpu_id, gpus, job

from ringwatch_collector.detectors.gpu_faults import GpuFaults
from ringwatch_collector.view import FleetView, GpuUser, SeenEvent
from ringwatch_proto import events
from ringwatch_proto.records import Finding, IncidentKind, Severity
from ringwatch_proto.signals import GpuState


def xid(code: int, ago_s: float = 1.0, **changed: Any) -> SeenEvent:
    """Return an Xid of GPU 0 of n001."""
    plain: dict[str, Any] = {
        "device": gpu_id(1, 0),
        "code": code,
        "text": f"NVRM: Xid (PCI:0000:1b:00): {code}, pid=1",
    }
    return event(events.GPU_XID, "n001", ago_s, **(plain | changed))


def look(*seen: SeenEvent, **changed: Any) -> list[Finding]:
    """Run the detector on a fleet in which these events happened."""
    plain: dict[str, Any] = {"events": seen, "gpu": gpus(4, 1)}
    view: FleetView = fleet(job(JobSpec(steps=20, gpus=True)), **(plain | changed))
    return GpuFaults().look(view)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (79, IncidentKind.GPU_OFF_BUS),
        (48, IncidentKind.GPU_MEMORY),
        (64, IncidentKind.GPU_MEMORY),
        (95, IncidentKind.GPU_MEMORY),
        (74, IncidentKind.NVLINK_FAULT),
        (119, IncidentKind.GPU_NOT_ANSWERING),
        (62, IncidentKind.GPU_FAULT),
    ],
)
def test_hardware_xids_have_their_kind(code: int, kind: IncidentKind) -> None:
    """The catalogue's fault class decides what the incident is about."""
    (finding,) = look(xid(code))
    assert (finding.kind, finding.cause) == (kind, f"xid_{code}")
    assert (finding.culprit.kind, finding.culprit.node, finding.culprit.device) == (
        "gpu",
        "n001",
        gpu_id(1, 0),
    )
    assert finding.severity is Severity.CRITICAL


@pytest.mark.parametrize("code", [13, 31, 43, 45, 14, 44, 154])
def test_xids_of_applications_and_followers_accuse_no_gpu(code: int) -> None:
    """A program that reads a wild address breaks itself."""
    assert look(xid(code)) == []


def test_an_unknown_xid_is_a_warning() -> None:
    """What the catalogue lacks is not called harmless."""
    (finding,) = look(xid(999))
    assert finding.severity is Severity.WARNING


def test_backfill_and_old_events_do_not_page() -> None:
    """What lay in the log before the agent began is history."""
    assert look(xid(79, backfill=True)) == []
    assert look(xid(79, ago_s=100.0)) == []


def test_an_event_that_came_late_counts_from_when_it_came() -> None:
    """A spool that was offline delivers what happened meanwhile."""
    (finding,) = look(replace(xid(79, ago_s=500.0), received_s=xid(79).received_s))
    assert finding.cause == "xid_79"


def test_xid_and_lost_state_are_one_finding_with_both() -> None:
    """Two sources that agree make one fault, named by the Xid, for as long as the GPU is lost."""
    (finding,) = look(xid(79, ago_s=200.0), gpu=gpus(4, 1, {"gpu.state": {1: GpuState.LOST}}))
    assert (finding.kind, finding.cause) == (IncidentKind.GPU_OFF_BUS, "xid_79")
    assert len(finding.evidence) == 2
    assert finding.gpus_held == 1


@pytest.mark.parametrize(
    ("state", "kind", "cause"),
    [
        (GpuState.LOST, IncidentKind.GPU_OFF_BUS, "gpu_lost"),
        (GpuState.NEEDS_RESET, IncidentKind.GPU_FAULT, "needs_reset"),
        (GpuState.NOT_ANSWERING, IncidentKind.GPU_NOT_ANSWERING, "not_answering"),
        (GpuState.FAILING, IncidentKind.GPU_FAULT, "reads_fail"),
    ],
)
def test_states_speak_for_themselves(state: GpuState, kind: IncidentKind, cause: str) -> None:
    """A GPU's state is enough without any event."""
    (finding,) = look(gpu=gpus(4, 1, {"gpu.state": {2: state}}))
    assert (finding.kind, finding.cause, finding.culprit.node) == (kind, cause, "n002")


def test_a_stale_state_says_nothing() -> None:
    """The last good or bad value of a silent node is no reading."""
    table = gpus(4, 1, {"gpu.state": {2: GpuState.LOST}})
    table.age = 30.0
    assert look(gpu=table) == []


def test_a_gpu_that_answers_again_is_not_lost() -> None:
    """The recovery takes the loss back."""
    lost = event(events.GPU_LOST, "n001", 5.0, device=gpu_id(1, 0))
    back = event(events.GPU_RECOVERED, "n001", 1.0, device=gpu_id(1, 0))
    assert look(lost, back) == []


def test_an_xid_without_a_known_gpu_is_the_nodes() -> None:
    """A line that names no device of the node is placed at the node, and said to be."""
    (finding,) = look(xid(79, device=""))
    assert (finding.culprit.kind, finding.culprit.node) == ("node", "n001")
    assert finding.unsure


def test_two_gpus_are_two_findings() -> None:
    """Faults of two GPUs are not mixed."""
    assert len(look(xid(79), xid(79, device=gpu_id(2, 0)))) == 2


def test_whom_a_fault_hits_is_said_with_no_hook_in_the_job() -> None:
    """The rank, its job and its user, by what the agent sees; without any, nothing is said."""
    user = GpuUser(job="slurm-812", user="ada", rank=3, pid=7, program="python3", pod="", how="nvml")
    other = replace(user, rank=-1, job="", program="nsys", pid=8)
    (finding,) = look(xid(79), owners={("n001", gpu_id(1, 0)): (other, user)})
    assert finding.summary.endswith("; used by slurm-812 rank 3 of ada and 1 more")
    assert [victim.job for victim in finding.victims] == ["slurm-812"]
    assert finding.gpus_held == 1
    (finding,) = look(xid(79), owners={("n002", gpu_id(1, 0)): (user,)})
    assert finding.victims == ()
    assert "used by" not in finding.summary
