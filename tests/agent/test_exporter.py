"""What the /metrics page says, and what of DCGM's names it can say."""

from __future__ import annotations

import math
import shutil
import subprocess
from array import array
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ringwatch_agent.dcgm_names import FIELDS
from ringwatch_agent.exporter import AgentNumbers, Exporter
from ringwatch_agent.sampler import Instant
from ringwatch_agent.sources.base import Device, EventRecord, Reading, TableReading
from ringwatch_proto import events
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import BY_NAME, Table

NUMBERS = AgentNumbers(
    uplink_connected=True,
    spool_batches=3,
    spool_bytes=99,
    beats_missed=1,
    spool_on_disk=False,
    dropped={"spool.blocks": 7},
)
GPU = Device(id="GPU-1", name="gpu0", pci_address="0000:41:00.0", model='H100 "80GB"')
SLICE = Device(id="MIG-1", name="gpu0/mig1", pci_address="0000:41:00.0", model="H100 1g.10gb")
Labels = dict[str, str]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> Instant:
        """Return the moment."""
        return Instant(wall_ns=0, monotonic_ns=round(self.s * 1e9))


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def _table(**readings: float) -> TableReading:
    return TableReading(
        table=Table.GPU,
        devices=(GPU, SLICE),
        signals=tuple(BY_NAME[f"gpu.{name}"].id for name in readings),
        values=array("f", [*readings.values(), *(value / 7 for value in readings.values())]),
    )


def _exporter(clock: Clock, *told: EventRecord, dcgm_names: bool = False, **readings: float) -> Exporter:
    exporter = Exporter("n1", lambda: NUMBERS, clock=clock, dcgm_names=dcgm_names)
    exporter.take([Reading(tables=(_table(**readings),), events=told)], clock())
    return exporter


def _samples(exporter: Exporter) -> Iterator[tuple[str, Labels, float]]:
    """Read the page back with the parser of the official client."""
    for metric in text_string_to_metric_families(exporter.page()):
        for sample in metric.samples:
            yield sample.name, sample.labels, sample.value


def _of(exporter: Exporter, name: str, device: str = "GPU-1") -> list[float]:
    return [
        value
        for each, at, value in _samples(exporter)
        if each == name and device in (at.get("device", device), at.get("UUID"))
    ]


def test_readings_are_shown_with_node_and_device(clock: Clock) -> None:
    """Names come from the catalogue; what is absent is left out."""
    exporter = _exporter(clock, reading_age_s=0.5, power_watts=312.0, fan_percent=math.nan)
    assert ("ringwatch_gpu_power_watts", {"node": "n1", "device": "GPU-1", "name": "gpu0"}, 312.0) in list(
        _samples(exporter)
    )
    assert "ringwatch_gpu_fan_percent" not in exporter.page()


def test_the_agent_shows_what_it_dropped_and_whether_the_spool_is_on_disk(clock: Clock) -> None:
    """Losses by kind, and a full disk, are for everyone to see."""
    found = {(name, at.get("kind", "")): value for name, at, value in _samples(_exporter(clock))}
    assert found["ringwatch_agent_dropped_total", "spool.blocks"] == 7
    assert found["ringwatch_agent_uplink_connected", ""] == 1
    assert found["ringwatch_agent_spool_on_disk", ""] == 0


def test_a_table_that_gains_a_column_shows_nothing_twice(clock: Clock) -> None:
    """Prometheus refuses a page that holds a series twice."""
    exporter = _exporter(clock, reading_age_s=0.5, power_watts=312.0)
    exporter.take(
        [Reading(tables=(_table(reading_age_s=0.1, power_watts=313.0, fan_percent=30.0),))], clock()
    )
    parts = (_table(reading_age_s=0.1, power_watts=313.0), _table(fan_percent=30.0))
    exporter.take([Reading(tables=(part,)) for part in parts], clock())
    seen = [(name, tuple(sorted(at.items()))) for name, at, _ in _samples(exporter)]
    assert len(seen) == len(set(seen))
    assert _of(exporter, "ringwatch_gpu_power_watts") == [313.0]
    assert _of(exporter, "ringwatch_gpu_fan_percent") == [30.0]


def test_promtool_takes_the_page(clock: Clock) -> None:
    """Prometheus' own parser; its advice on names is about DCGM's, and not heeded."""
    assert shutil.which("promtool"), "promtool is missing: install the package prometheus"
    page = _exporter(clock, dcgm_names=True, power_watts=312.0, ecc_corrected=1.0).page()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert "error while linting" not in done.stderr


def test_a_stale_reading_is_never_shown_as_current(clock: Clock) -> None:
    """Only its age remains, and it grows; under DCGM's names nothing does."""
    exporter = _exporter(clock, dcgm_names=True, reading_age_s=0.5, power_watts=312.0)
    clock.s += 60.0
    page = exporter.page()
    assert "ringwatch_gpu_power_watts" not in page
    assert "DCGM_FI_DEV_POWER_USAGE" not in page
    assert _of(exporter, "ringwatch_gpu_reading_age_s") == [60.5]


def test_dcgm_names_carry_the_labels_that_dashboards_select_by(clock: Clock) -> None:
    """One row a GPU; a slice of one is no GPU of its own there."""
    exporter = _exporter(clock, dcgm_names=True, power_watts=312.0)
    found = [(at, value) for name, at, value in _samples(exporter) if name == "DCGM_FI_DEV_POWER_USAGE"]
    labels = {
        "gpu": "0",
        "UUID": "GPU-1",
        "pci_bus_id": "00000000:41:00.0",
        "device": "nvidia0",
        "modelName": 'H100 "80GB"',
        "Hostname": "n1",
    }
    assert found == [(labels, 312.0)]


def test_without_the_flag_there_is_no_dcgm_name(clock: Clock) -> None:
    """Nobody counts a GPU twice by accident."""
    assert "DCGM" not in _exporter(clock, power_watts=312.0).page()


def test_what_the_board_cannot_say_has_no_dcgm_sample(clock: Clock) -> None:
    """Absent, and neither 0 nor DCGM's blank value."""
    page = _exporter(clock, dcgm_names=True, memory_temperature_celsius=math.nan, power_watts=1.0).page()
    assert "DCGM_FI_DEV_MEMORY_TEMP" not in page


def test_free_framebuffer_leaves_out_what_the_driver_keeps(clock: Clock) -> None:
    """Total, used, reserved and free add up as in DCGM."""
    exporter = _exporter(
        clock, dcgm_names=True, memory_total_mib=81559.0, memory_used_mib=1000.0, memory_reserved_mib=559.0
    )
    assert _of(exporter, "DCGM_FI_DEV_FB_FREE") == [80000.0]


def test_xids_are_counted_over_a_window_and_then_forgotten(clock: Clock) -> None:
    """By code, whether NVML or the kernel told it, repetitions included; backfill is not news."""

    def xid(device: str, code: int, **more: str) -> EventRecord:
        return EventRecord(
            wall_ns=0,
            kind=events.GPU_XID,
            severity=Severity.CRITICAL,
            source="kmsg",
            text="x",
            device=device,
            code=code,
            fields=more,
            backfill=code == 48,
        )

    told = (xid("GPU-1", 79), xid("0000:41:00.0", 13, repeats="4"), xid("GPU-1", 48))
    exporter = _exporter(clock, *told, dcgm_names=True, power_watts=1.0)
    counts = {
        at["xid"]: value for name, at, value in _samples(exporter) if name == "DCGM_EXP_XID_ERRORS_COUNT"
    }
    assert counts == {"79": 1.0, "13": 4.0}
    clock.s += 301.0
    exporter.take([Reading(tables=(_table(power_watts=1.0),))], clock())
    assert "DCGM_EXP_XID_ERRORS_COUNT" not in exporter.page()


def test_every_dcgm_name_shows_a_signal_of_the_catalogue_once() -> None:
    """A name that points nowhere would silently stay empty."""
    assert {each.signal for each in FIELDS} <= set(BY_NAME)
    assert len({each.name for each in FIELDS}) == len(FIELDS)
