"""The host row."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from ringwatch_agent.sources.host import HostSource, pressure
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


def test_pressure_is_read_from_the_some_line(tmp_path: Path) -> None:
    """avg10 of "some", in percent."""
    file = tmp_path / "cpu"
    file.write_text(
        "some avg10=12.34 avg60=1.00 avg300=0.10 total=1\nfull avg10=9.00 avg60=0 avg300=0 total=0\n"
    )
    assert pressure(file) == 12.34


@pytest.mark.parametrize("text", [None, "", "full avg10=1.0 total=1\n", "some total=1\n"])
def test_a_kernel_without_pressure_gives_nan(tmp_path: Path, text: str | None) -> None:
    """Absent is NaN, not zero."""
    file = tmp_path / "cpu"
    if text is not None:
        file.write_text(text)
    assert math.isnan(pressure(file))


def test_a_procfs_without_counters_leaves_them_absent(tmp_path: Path) -> None:
    """An empty tree costs its columns only."""
    source = HostSource(node="n1", proc=tmp_path)
    source.open()
    row = _row(source)
    assert math.isnan(row["host.processes_blocked"])
    assert math.isnan(row["host.memory_pressure_percent"])
    assert row["host.memory_total_mib"] > 0
