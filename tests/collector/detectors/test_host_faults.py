"""The kernel's word about the host, and sources that went blind."""

from typing import Any

import numpy as np
import pytest
from tests.collector.detectors.builders import NOW, JobSpec, Table, event, fleet, job

from ringwatch_collector.detectors.host_conditions import MEANINGS
from ringwatch_collector.detectors.host_faults import HostFaults, SourceDown
from ringwatch_collector.view import GpuUser, SeenEvent
from ringwatch_knowledge import fault_classes
from ringwatch_proto import events
from ringwatch_proto.records import Severity, Verdict
from ringwatch_proto.signals import BY_NAME


def test_an_oom_kill_is_a_warning_and_a_broken_file_system_is_critical() -> None:
    """Each is its own finding."""
    oom = event(events.KERNEL_OOM, "n001", fields={"pid": "5"})
    broken = event(events.KERNEL_ERROR, "n002", fields={"pattern": "fs_readonly"}, severity=3)
    first, second = HostFaults().look(fleet(count=4, events=(oom, broken)))
    assert (first.cause, first.severity) == ("oom", Severity.WARNING)
    assert (second.cause, second.severity) == ("fs_readonly", Severity.CRITICAL)


def test_minor_kernel_lines_and_history_are_nothing() -> None:
    """Corrected errors are counted elsewhere; backfill is history."""
    minor = event(events.KERNEL_ERROR, "n001", severity=2)
    past = event(events.KERNEL_OOM, "n001", backfill=True)
    assert HostFaults().look(fleet(count=4, events=(minor, past))) == []


def test_a_source_that_worked_and_stopped_is_said() -> None:
    """From then on its rules see nothing there."""
    up = np.concatenate([np.ones((20, 1)), np.zeros((5, 1))])
    (finding,) = SourceDown().look(fleet(count=4, source=Table(["nvml"], [2], {"source.up": up})))
    assert (finding.culprit.node, finding.severity) == ("n002", Severity.INFO)


def test_a_source_that_never_worked_is_how_the_node_is() -> None:
    """A node without a driver has no NVML and no fault."""
    assert SourceDown().look(fleet(count=4, source=Table(["nvml"], [2], {"source.up": [0.0]}))) == []


def condition(
    name: str, where: str, ago_s: float = 1.0, kind: str = events.HOST_FAULT, **more: Any
) -> SeenEvent:
    """Return an event of the agent about a condition of n001."""
    fields = {"condition": name, "where": where, "since": f"{NOW - 100:.0f}", **more.pop("fields", {})}
    plain = {"device": where, "severity": 2, "text": f"{where}: {name}", "fields": fields}
    return event(kind, "n001", ago_s, **plain | more)


def host(**values: float) -> Table:
    """Return the rows of n000 and n001; the values are those of n001."""
    return Table(["n000", "n001"], [0, 1], {f"host.{name}": [0.0, value] for name, value in values.items()})


def test_a_file_system_that_does_not_answer_is_named_for_as_long_as_the_node_counts_it() -> None:
    """Long after the event, with the begin that the agent said; once the count is 0 it is over."""
    told = condition("mount_not_answering", "/data", ago_s=900.0)
    view = fleet(count=4, events=(told,), host=host(mounts_not_answering=1))
    (finding,) = HostFaults().look(view)
    assert (finding.cause, finding.verdict) == ("mount_not_answering", Verdict.HOST)
    assert (finding.culprit.node, finding.culprit.device) == ("n001", "/data")
    assert finding.onset_s == NOW - 900
    assert "storage.hang" in finding.why.source
    assert not finding.latched
    assert HostFaults().look(fleet(count=4, events=(told,), host=host(mounts_not_answering=0))) == []


def test_jobs_on_the_node_are_its_victims() -> None:
    """Those with the hook and those without; a fan alone stops no job."""
    user = GpuUser(job="slurm-7", user="ada", rank=0, pid=1, program="python3", pod="", how="nvml")
    hung, fan = condition("mount_not_answering", "/data"), condition("fan_stopped", "bmc FAN1")
    changed: dict[str, Any] = {"events": (hung, fan), "owners": {("n001", "GPU-1"): (user,)}}
    first, second = HostFaults().look(fleet(job(JobSpec(steps=20)), **changed))
    assert [victim.job for victim in first.victims] == ["llm", "slurm-7"]
    assert second.victims == ()


def test_a_condition_that_is_over_is_over() -> None:
    """The newest word counts, for each place by itself."""
    told = condition("mount_not_answering", "/data", ago_s=20.0)
    other = condition("mount_not_answering", "/home", ago_s=15.0)
    over = condition("mount_not_answering", "/data", ago_s=5.0, kind=events.HOST_CLEARED, severity=1)
    view = fleet(count=4, events=(told, other, over), host=host(mounts_not_answering=1))
    assert [finding.culprit.device for finding in HostFaults().look(view)] == ["/home"]


def test_a_condition_that_nobody_named_is_still_a_finding() -> None:
    """A collector that started a moment ago sees the count only, and says that it cannot name it."""
    (finding,) = HostFaults().look(fleet(count=4, host=host(file_systems_read_only=2)))
    assert (finding.culprit.node, finding.cause) == ("n001", "file_system_read_only")
    assert finding.unsure


def test_a_node_that_is_silent_keeps_its_condition_for_a_while() -> None:
    """Without its row the last word stands until the agent would have said it again."""
    recent, old = (condition("nvme_not_live", "nvme0", ago_s=ago_s) for ago_s in (600.0, 2000.0))
    silent = host(nvme_not_live=1)
    silent.age = 300.0
    assert len(HostFaults().look(fleet(count=4, events=(recent,), host=silent))) == 1
    assert HostFaults().look(fleet(count=4, events=(old,), host=silent)) == []


@pytest.mark.parametrize(
    ("name", "where", "kind"),
    [
        ("memory_uncorrected", "mc0/dimm2", "node"),
        ("pcie_fatal", "0000:41:00.0", "node"),
        ("pcie_fatal", "GPU-1", "gpu"),
    ],
)
def test_what_happened_once_is_latched_and_names_its_place(name: str, where: str, kind: str) -> None:
    """It does not unhappen; a device that is a GPU is that GPU."""
    (finding,) = HostFaults().look(
        fleet(count=4, events=(condition(name, where, severity=3, fields={"once": "1"}),))
    )
    assert (finding.cause, finding.culprit.kind, finding.culprit.device) == (name, kind, where)
    assert (finding.severity, finding.verdict, finding.latched) == (Severity.CRITICAL, Verdict.HARDWARE, True)
    old = condition(name, where, ago_s=40.0, severity=3, fields={"once": "1"})
    assert HostFaults().look(fleet(count=4, events=(old,))) == []


def test_information_is_no_fault() -> None:
    """A clock that was never kept, and corrected errors."""
    never = condition("clock_unsynchronised", "clock", severity=1)
    corrected = condition("memory_corrected", "mc0", kind=events.HOST_CORRECTED, severity=1)
    assert HostFaults().look(fleet(count=4, events=(never, corrected))) == []


def test_a_condition_of_a_newer_agent_is_passed_on() -> None:
    """Its name is shown, and that nothing is known of it."""
    (finding,) = HostFaults().look(fleet(count=4, events=(condition("disk_on_fire", "sda"),)))
    assert (finding.cause, finding.verdict) == ("disk_on_fire", Verdict.CANNOT_TELL)


def test_a_limit_that_is_nearly_reached_is_said() -> None:
    """95 percent of tracked connections; 94 is nothing."""
    (finding,) = HostFaults().look(fleet(count=4, host=host(conntrack_used_percent=97)))
    assert (finding.cause, finding.culprit.node) == ("conntrack_exhausted", "n001")
    assert finding.why.thresholds == {"used_percent": 95}
    assert HostFaults().look(fleet(count=4, host=host(conntrack_used_percent=94))) == []


def test_every_meaning_is_in_the_catalogue() -> None:
    """Its class and the signal that counts it."""
    for meaning in MEANINGS.values():
        assert fault_classes.lookup(meaning.fault_class).fault_class == meaning.fault_class
        assert not meaning.signal or meaning.signal in BY_NAME
