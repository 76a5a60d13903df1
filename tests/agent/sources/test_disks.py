"""Disks out of a procfs and sysfs tree."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ringwatch_agent.sources.disks import DisksSource
from ringwatch_proto import events
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.records import Severity


def disk(proc: Path, sysfs: Path, **counts: int) -> None:
    """Write a disk with one partition, a loop device, and their counters."""
    for name in ("nvme0n1", "loop0"):
        (sysfs / "block" / name).mkdir(parents=True, exist_ok=True)
    busy, ios, waited, sectors = (counts.get(name, 0) for name in ("busy", "ios", "waited", "sectors"))
    numbers = f"{ios} 0 {sectors} {waited} 0 0 {sectors} 0 0 {busy} 0"
    lines = [f"259 0 nvme0n1 {numbers}", f"259 1 nvme0n1p1 {numbers}", f"7 0 loop0 {numbers}"]
    (proc / "diskstats").write_text("\n".join(lines) + "\n")


def source(tmp_path: Path) -> DisksSource:
    """Return the source over a tree."""
    return DisksSource(proc=tmp_path, sysfs=tmp_path / "sys")


def test_use_is_that_of_the_interval(tmp_path: Path) -> None:
    """The partition is not counted twice, the loop device not at all."""
    disk(tmp_path, tmp_path / "sys")
    disks = source(tmp_path)
    disks.open()
    disks.read()
    assert disks.latest is not None
    assert math.isnan(disks.latest.values["disk_busy_percent"])
    disk(tmp_path, tmp_path / "sys", busy=10**7, ios=10, waited=50, sectors=8)
    disks.read()
    values = disks.latest.values
    assert values["disk_busy_percent"] == 100
    assert values["disk_wait_ms"] == 5
    assert values["disk_read_bytes_per_s"] == values["disk_write_bytes_per_s"] > 0


def test_counters_that_went_back_are_no_use(tmp_path: Path) -> None:
    """A disk that was plugged in again."""
    disk(tmp_path, tmp_path / "sys", busy=100, ios=10)
    disks = source(tmp_path)
    disks.read()
    disk(tmp_path, tmp_path / "sys")
    disks.read()
    assert disks.latest is not None
    assert math.isnan(disks.latest.values["disk_busy_percent"])


def test_errors_of_scsi_disks_are_hexadecimal(tmp_path: Path) -> None:
    """ioerr_cnt of the device."""
    disk(tmp_path, tmp_path / "sys")
    file = tmp_path / "sys/block/nvme0n1/device/ioerr_cnt"
    file.parent.mkdir()
    file.write_text("0x0f\n")
    disks = source(tmp_path)
    disks.read()
    file.write_text("0x1f\n")
    disks.read()
    assert disks.latest is not None
    assert disks.latest.values["disk_errors_per_s"] > 0


def test_a_controller_that_is_dead_is_told_and_taken_back(tmp_path: Path) -> None:
    """With its name and state."""
    disk(tmp_path, tmp_path / "sys")
    state = tmp_path / "sys/class/nvme/nvme3/state"
    state.parent.mkdir(parents=True)
    state.write_text("live\n")
    disks = source(tmp_path)
    assert disks.read().events == ()
    state.write_text("dead\n")
    (told,) = disks.read().events
    assert (told.device, told.severity) == ("nvme3", Severity.CRITICAL)
    assert disks.latest is not None
    assert disks.latest.values["nvme_not_live"] == 1
    state.write_text("live\n")
    assert [event.kind for event in disks.read().events] == [events.HOST_CLEARED]


def test_a_machine_without_disks_has_no_such_source(tmp_path: Path) -> None:
    """And says so."""
    with pytest.raises(SourceUnsupported, match="no disk"):
        source(tmp_path).open()


def test_this_machine_is_read() -> None:
    """The real files give sane values."""
    disks = DisksSource()
    disks.read()
    disks.read()
    assert disks.latest is not None
    assert not disks.latest.values["disk_busy_percent"] < 0
    disks.close()
