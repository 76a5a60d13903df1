"""Temperatures, fans and alarms out of a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringwatch_agent.sources.sensors import SensorsSource
from ringwatch_proto import events
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.records import Severity


def chip(sysfs: Path, number: int, name: str, **files: int | str) -> None:
    """Write one hardware monitor."""
    folder = sysfs / f"class/hwmon/hwmon{number}"
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in {"name": name, **files}.items():
        (folder / file).write_text(f"{value}\n")


def values(sensors: SensorsSource) -> dict[str, float]:
    """Return what was published."""
    assert sensors.latest is not None
    return dict(sensors.latest.values)


def test_inlet_processors_and_drives_are_told_apart(tmp_path: Path) -> None:
    """By the chip, and by what the board calls the sensor; an open sensor counts for nothing."""
    chip(tmp_path, 0, "coretemp", temp1_input=71000, temp1_label="Package id 0", temp2_input=83500)
    chip(tmp_path, 1, "nvme", temp1_input=45850, temp1_label="Composite")
    chip(tmp_path, 2, "bmc", temp1_input=24000, temp1_label="Inlet Temp", temp2_input=-273000)
    sensors = SensorsSource(sysfs=tmp_path)
    sensors.open()
    sensors.read()
    assert values(sensors)["inlet_temperature_celsius"] == 24
    assert values(sensors)["cpu_temperature_celsius"] == 83.5
    assert values(sensors)["disk_temperature_celsius"] == 45.85


def test_a_fan_that_stops_is_told_by_name_and_taken_back(tmp_path: Path) -> None:
    """Standing still below its minimum; one that may stand still is no fault."""
    chip(tmp_path, 0, "nct", fan1_input=9000, fan1_min=500, fan1_label="FAN A", fan2_input=0)
    sensors = SensorsSource(sysfs=tmp_path)
    sensors.open()
    assert sensors.read().events == ()
    assert values(sensors)["fan_slowest_rpm"] == 9000
    chip(tmp_path, 0, "nct", fan1_input=0)
    (told,) = sensors.read().events
    assert (told.fields["condition"], told.device) == ("fan_stopped", "nct FAN A")
    assert values(sensors)["fans_stopped"] == 1
    assert "fan_slowest_rpm" not in values(sensors)
    chip(tmp_path, 0, "nct", fan1_input=9000)
    assert [event.kind for event in sensors.read().events] == [events.HOST_CLEARED]


def test_a_critical_alarm_is_critical(tmp_path: Path) -> None:
    """The sensor is named."""
    chip(tmp_path, 0, "coretemp", temp1_input=99000, temp1_label="Package id 1", temp1_crit_alarm=1)
    sensors = SensorsSource(sysfs=tmp_path)
    sensors.open()
    (told,) = sensors.read().events
    assert (told.severity, told.device) == (Severity.CRITICAL, "coretemp Package id 1")


def test_a_sensor_that_is_not_there_any_more_costs_itself(tmp_path: Path) -> None:
    """Drivers come and go."""
    chip(tmp_path, 0, "nvme", temp1_input=40000)
    chip(tmp_path, 1, "coretemp", temp1_input=50000)
    sensors = SensorsSource(sysfs=tmp_path)
    sensors.open()
    (tmp_path / "class/hwmon/hwmon0/temp1_input").unlink()
    sensors.read()
    assert "disk_temperature_celsius" not in values(sensors)
    assert values(sensors)["cpu_temperature_celsius"] == 50


def test_a_machine_without_sensors_says_so(tmp_path: Path) -> None:
    """And that IPMI is not read."""
    with pytest.raises(SourceUnsupported, match="IPMI is not read"):
        SensorsSource(sysfs=tmp_path).open()
