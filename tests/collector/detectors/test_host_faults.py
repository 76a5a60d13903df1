"""The kernel's word about the host, and sources that went blind."""

import numpy as np
from tests.collector.detectors.builders import Table, event, fleet

from ringwatch_collector.detectors.host_faults import HostFaults, SourceDown
from ringwatch_proto import events
from ringwatch_proto.records import Severity


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
