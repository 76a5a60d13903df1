"""The ``sensors`` source: temperatures, fans and alarms of the kernel's hardware monitors (hwmon).

Reading one may ask a drive or a slow bus, and block there, so it has a thread of its own as every source has.
IPMI is not read: its commands go through the baseboard controller, block for seconds when that is busy, and
some controllers lose sensors under load; where the kernel shows the board's sensors in hwmon they are here.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.conditions import Condition
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_agent.sources.kept_files import children, read_number, read_word
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.records import Severity

_INPUT: Final = re.compile(r"(?P<name>(?:temp|fan|in|power|curr)\d+)_input")
_CPU_CHIPS: Final = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})
_INLET: Final = re.compile(r"inlet|ambient|front panel", re.IGNORECASE)
# What a sensor that is not connected says, in thousandths of a degree.
_POSSIBLE: Final = range(-40_000, 150_000)
# Sensors are found again so often: a driver may be loaded late.
_FIND_EVERY_S: Final = 600.0
_MOST: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One sensor: its chip, its name in the folder, and what the board calls it."""

    folder: Path
    chip: str
    name: str
    label: str

    @property
    def where(self) -> str:
        """Return what an operator calls it."""
        return f"{self.chip} {self.label or self.name}"[:96]

    def number(self, file: str) -> int | None:
        """Return the number in one of its files."""
        return read_number(self.folder / f"{self.name}_{file}")


class SensorsSource(HostPart):
    """Reads every sensor a few times a minute."""

    def __init__(self, *, sysfs: Path = Path("/sys"), period_s: float = 15.0) -> None:
        super().__init__("sensors", "sensors_age_s", period_s)
        self._folder = sysfs / "class/hwmon"
        self._sensors: list[Sensor] = []
        self._found_s = -math.inf

    def open(self) -> None:
        """Raise SourceUnsupported where the kernel knows no sensor, as in most virtual machines."""
        self._find()
        if not self._sensors:
            raise SourceUnsupported("the kernel knows no hardware monitor; IPMI is not read")

    def read(self) -> Reading:
        """Return the temperatures, fans and alarms now."""
        if time.monotonic() - self._found_s > _FIND_EVERY_S:
            self._find()
        temperatures = [
            (sensor, value / 1000)
            for sensor in self._of("temp")
            if (value := sensor.number("input")) is not None and value in _POSSIBLE
        ]
        fans = [(sensor, sensor.number("input")) for sensor in self._of("fan")]
        stopped = [sensor for sensor, rpm in fans if _has_stopped(sensor, rpm)]
        alarms = [sensor for sensor in self._sensors if sensor.number("crit_alarm") == 1]
        values = _hottest(temperatures) | {
            "fans_stopped": float(len(stopped)),
            "sensor_alarms": float(len(alarms)),
        }
        turning = [float(rpm) for _, rpm in fans if rpm]
        if turning:
            values["fan_slowest_rpm"] = min(turning)
        return self.publish(values, holding=[*map(_fan, stopped), *map(_alarm, alarms)])

    def _find(self) -> None:
        self._sensors = list(_sensors(self._folder))[:_MOST]
        self._found_s = time.monotonic()

    def _of(self, kind: str) -> Iterator[Sensor]:
        return (sensor for sensor in self._sensors if sensor.name.startswith(kind))


def _sensors(folder: Path) -> Iterator[Sensor]:
    for chip in children(folder):
        name = read_word(chip / "name")
        for file in children(chip):
            found = _INPUT.fullmatch(file.name)
            if found:
                label = read_word(chip / f"{found['name']}_label")
                label = label if label.isprintable() else ""
                yield Sensor(folder=chip, chip=name or chip.name, name=found["name"], label=label)


def _hottest(temperatures: list[tuple[Sensor, float]]) -> dict[str, float]:
    groups = {
        "inlet_temperature_celsius": [value for sensor, value in temperatures if _INLET.search(sensor.label)],
        "cpu_temperature_celsius": [value for sensor, value in temperatures if sensor.chip in _CPU_CHIPS],
        "disk_temperature_celsius": [value for sensor, value in temperatures if sensor.chip == "nvme"],
    }
    return {name: max(values) for name, values in groups.items() if values}


def _has_stopped(sensor: Sensor, rpm: int | None) -> bool:
    return sensor.number("alarm") == 1 or (rpm == 0 and (sensor.number("min") or 0) > 0)


def _fan(sensor: Sensor) -> Condition:
    text = f"fan {sensor.where} raises an alarm or stands still"
    return Condition(name="fan_stopped", where=sensor.where, text=text)


def _alarm(sensor: Sensor) -> Condition:
    return Condition(
        name="sensor_alarm",
        where=sensor.where,
        severity=Severity.CRITICAL,
        text=f"sensor {sensor.where} is beyond its critical limit",
    )
