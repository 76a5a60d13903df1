"""The host row."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import pytest

from ringwatch_agent.sources.host import HostSource, pressure
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_proto.signals import BY_NAME


def _row(source: HostSource) -> dict[str, float]:
    (table,) = source.read().tables
    names = {signal.id: signal.name for signal in BY_NAME.values()}
    return dict(zip((names[each] for each in table.signals), table.values, strict=True))


def test_this_machine_has_sane_readings() -> None:
    """CPU count, memory and uptime agree with what the kernel says otherwise."""
    source = HostSource(node="n1")
    source.open()
    row = _row(source)
    assert row["host.cpus"] == os.cpu_count()
    assert 0 < row["host.memory_available_mib"] <= row["host.memory_total_mib"]
    assert row["host.uptime_s"] > 0
    assert row["host.reading_age_s"] == 0
    assert math.isnan(row["host.oom_kills_per_s"])  # one value is no rate
    assert not _row(source)["host.oom_kills_per_s"] < 0
    source.close()


def test_the_row_is_the_node() -> None:
    """The device is named as the node is."""
    source = HostSource(node="n1")
    source.open()
    assert source.read().tables[0].devices[0].id == "n1"


def test_pressure_is_the_ten_second_average_of_both_lines() -> None:
    """avg10 of "some" and of "full", in percent."""
    text = b"some avg10=12.34 avg60=1.00 avg300=0.10 total=1\nfull avg10=9.00 avg60=0 avg300=0 total=0\n"
    assert pressure(text) == {"some": 12.34, "full": 9.0}


@pytest.mark.parametrize("data", [None, b"", b"some total=1\n", b"some avg10=x\n", b"\xff\n"])
def test_a_kernel_without_pressure_says_nothing(data: bytes | None) -> None:
    """Absent is absent, not zero."""
    assert pressure(data) == {}


def test_a_procfs_without_counters_leaves_them_absent(tmp_path: Path) -> None:
    """An empty tree costs its columns only."""
    source = HostSource(node="n1", proc=tmp_path)
    source.open()
    row = _row(source)
    assert math.isnan(row["host.processes_blocked"])
    assert math.isnan(row["host.memory_pressure_percent"])
    assert math.isnan(row["host.memory_total_mib"])
    assert row["host.uptime_s"] > 0
    source.close()


def test_memory_swap_and_huge_pages_come_from_one_file(tmp_path: Path) -> None:
    """In MiB; used swap is what there is less what is free."""
    lines = {"MemTotal": 2097152, "MemAvailable": 1048576, "SwapTotal": 4096, "SwapFree": 1024}
    text = "".join(f"{name}:  {count} kB\n" for name, count in lines.items())
    (tmp_path / "meminfo").write_text(text + "HugePages_Total:  16\nHugePages_Free:   4\n")
    row = _row(HostSource(node="n1", proc=tmp_path))
    assert (row["host.memory_total_mib"], row["host.memory_available_mib"]) == (2048, 1024)
    assert (row["host.swap_total_mib"], row["host.swap_used_mib"]) == (4, 3)
    assert (row["host.hugepages_total"], row["host.hugepages_free"]) == (16, 4)


def test_cpu_use_and_steal_are_shares_of_the_interval(tmp_path: Path) -> None:
    """40 of 100 ticks idle, 10 stolen; guest time is in user time already."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 0 100 0 0 0 0 50 0\ncpu0 1 1 1\nprocs_running 1\nprocs_blocked 3\n")
    source = HostSource(node="n1", proc=tmp_path)
    source.open()
    stat.write_text("cpu  150 0 0 140 0 0 0 10 90 0\ncpu0 1 1 1\nprocs_running 1\nprocs_blocked 3\n")
    row = _row(source)
    assert (row["host.cpu_percent"], row["host.cpu_steal_percent"]) == (60, 10)
    assert row["host.processes_blocked"] == 3


def test_counters_of_the_kernel_come_as_rates(tmp_path: Path) -> None:
    """OOM kills, swapping in, major faults and NUMA misses."""
    names = ("oom_kill", "pswpin", "pgmajfault", "numa_miss")
    file = tmp_path / "vmstat"
    file.write_text("".join(f"{name} 5\n" for name in names))
    source = HostSource(node="n1", proc=tmp_path)
    source.read()
    file.write_text("".join(f"{name} 9\n" for name in names))
    row = _row(source)
    assert row["host.oom_kills_per_s"] > 0
    assert row["host.swap_ins_per_s"] == row["host.major_faults_per_s"] == row["host.numa_misses_per_s"]


def test_a_slow_part_stands_in_the_row_with_its_age_until_it_is_too_old() -> None:
    """What was read three periods ago is not shown as live."""
    part = HostPart("disks", "disks_age_s", 10.0)
    source = HostSource(node="n1", parts=(part,))
    assert "host.disk_wait_ms" not in _row(source)
    part.publish({"disk_wait_ms": 4.0}, at_s=time.monotonic() - 12.0)
    row = _row(source)
    assert row["host.disk_wait_ms"] == 4
    assert row["host.disks_age_s"] == pytest.approx(12, abs=5)
    part.publish({"disk_wait_ms": 4.0}, at_s=time.monotonic() - 31.0)
    row = _row(source)
    assert math.isnan(row["host.disk_wait_ms"])
    assert row["host.disks_age_s"] > 30
