"""Processes, limits and daemons out of a procfs tree."""

from __future__ import annotations

import os
from pathlib import Path

from ringwatch_agent.sources.processes import ProcessesSource
from ringwatch_proto import events
from ringwatch_proto.records import Severity


def process(proc: Path, pid: int, name: str, state: str = "S") -> None:
    """Write one process."""
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {state} 1 1 1 0\n")
    (proc / str(pid) / "comm").write_text(f"{name}\n")


def switches(proc: Path, count: int) -> None:
    """Write NVSwitch devices."""
    for at in range(count):
        (proc / f"driver/nvidia-nvswitch/devices/0000:0{at}:00.0").mkdir(parents=True)


def values(source: ProcessesSource) -> dict[str, float]:
    """Return what was published."""
    assert source.latest is not None
    return dict(source.latest.values)


def test_states_are_counted_whatever_a_process_is_called(tmp_path: Path) -> None:
    """A name may hold brackets and spaces."""
    process(tmp_path, 10, "a) Z (b", "D")
    process(tmp_path, 11, "python3", "Z")
    process(tmp_path, 12, "bash")
    source = ProcessesSource(proc=tmp_path)
    source.read()
    seen = values(source)
    assert (seen["processes"], seen["processes_uninterruptible"], seen["processes_zombie"]) == (3, 1, 1)
    assert "fabric_manager_up" not in seen


def test_limits_are_shares(tmp_path: Path) -> None:
    """Open files, threads against pids, tracked connections; a limit that is not there is absent."""
    for file, text in {
        "loadavg": "0.1 0.1 0.1 2/400 99",
        "sys/fs/file-nr": "250\t0\t1000",
        "sys/kernel/pid_max": "4000",
        "sys/net/netfilter/nf_conntrack_count": "99",
        "sys/net/netfilter/nf_conntrack_max": "100",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text + "\n")
    source = ProcessesSource(proc=tmp_path)
    source.read()
    seen = values(source)
    assert seen["file_descriptors_used_percent"] == 25
    assert seen["pids_used_percent"] == 10
    assert seen["conntrack_used_percent"] == 99
    empty = ProcessesSource(proc=tmp_path / "sys")
    empty.read()
    assert "conntrack_used_percent" not in values(empty)


def test_an_nvswitch_node_without_its_fabric_manager_is_told(tmp_path: Path) -> None:
    """Critical, and taken back when it runs."""
    process(tmp_path, 2, "kthreadd")
    switches(tmp_path, 4)
    source = ProcessesSource(proc=tmp_path)
    (told,) = source.read().events
    assert told.fields["condition"] == "fabric_manager_down"
    assert told.severity in (Severity.CRITICAL, Severity.INFO)
    assert (values(source)["fabric_manager_up"], values(source)["nvswitches"]) == (0, 4)
    process(tmp_path, 900, "nv-fabricmanage")
    assert [event.kind for event in source.read().events] == [events.HOST_CLEARED]
    assert values(source)["fabric_manager_up"] == 1


def test_a_node_without_nvswitches_needs_no_fabric_manager(tmp_path: Path) -> None:
    """Its absence is not even a reading."""
    process(tmp_path, 2, "kthreadd")
    source = ProcessesSource(proc=tmp_path)
    assert source.read().events == ()
    assert "fabric_manager_up" not in values(source)


def test_daemons_of_a_host_that_is_not_seen_are_not_judged(tmp_path: Path) -> None:
    """In a container with its own process ids nothing is known of the host's daemons."""
    switches(tmp_path, 4)
    process(tmp_path, 1, "ringwatch")
    source = ProcessesSource(proc=tmp_path)
    assert source.read().events == ()
    assert "fabric_manager_up" not in values(source)
    assert values(source)["nvswitches"] == 4


def test_daemons_are_known_by_the_name_that_the_kernel_keeps(tmp_path: Path) -> None:
    """Fifteen bytes of it."""
    process(tmp_path, 2, "kthreadd")
    process(tmp_path, 700, "chronyd")
    process(tmp_path, 701, "nvidia-persiste")
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text("NVRM version")
    source = ProcessesSource(proc=tmp_path)
    source.read()
    assert (values(source)["time_daemon_up"], values(source)["persistence_daemon_up"]) == (1, 1)


def test_this_machine_is_read() -> None:
    """This process is among them."""
    source = ProcessesSource()
    source.read()
    assert values(source)["processes"] >= 1
    assert os.getpid() > 0
