"""What a scan says is wrong: the right part, how badly, what to do; nothing on a healthy node."""

from __future__ import annotations

import json
import math
import time
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from ringwatch_agent.look import Look
from ringwatch_agent.scan import Scan, judge, pci_gpus
from ringwatch_agent.scan_rules import RULES
from ringwatch_agent.scan_words import ACTIONS, gaps, objects, screen
from ringwatch_agent.source_health import SourceHealth
from ringwatch_agent.sources.base import Device, EventRecord, TableReading
from ringwatch_knowledge import data_files
from ringwatch_proto import events
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import BY_NAME, Table, columns_of

NOW_NS = time.time_ns()
COLUMNS = columns_of(Table.GPU)
LIBRARY = Path(__file__).parents[2] / "runbooks/ringwatch_runbooks/library"
HEALTHY = {
    "state": 0, "utilization_percent": 97, "temperature_celsius": 54, "temperature_margin_celsius": 36,
    "memory_temperature_celsius": 61, "memory_temperature_max_celsius": 95, "clock_event_reasons": 4,
    "sm_clock_mhz": 1755, "sm_clock_max_mhz": 1980, "power_limit_watts": 700, "read_ms": 2,
    "power_limit_default_watts": 700, "pcie_link_width": 16, "pcie_link_width_max": 16,
    "pcie_link_generation": 5, "pcie_link_generation_max": 5, "nvlink_active": 18, "nvlink_links": 18,
    "nvlink_errors_per_s": 0, "fabric_state": 3, "fabric_health": 1, "ecc_uncorrected": 0, "remap_pending": 0,
    "recovery_action": 0, "ecc_mode": 1, "ecc_mode_pending": 1,
}  # fmt: skip


def gpu(number: int) -> Device:
    """Return a GPU."""
    return Device(
        id=f"GPU-{number}", name=f"gpu{number}", pci_address=f"0000:{0x41 + number:02x}:00.0", model="H"
    )


def seen(
    *rows: dict[str, float], told: tuple[EventRecord, ...] = (), nvml: SourceHealth | None = None
) -> Look:
    """Return a look at GPUs with these changes to healthy readings; NaN takes one away."""
    values = array("f")
    for row in rows:
        readings = HEALTHY | row
        values.extend(readings.get(signal.name.removeprefix("gpu."), math.nan) for signal in COLUMNS)
    table = TableReading(
        table=Table.GPU,
        devices=tuple(gpu(number) for number in range(len(rows))),
        signals=tuple(signal.id for signal in COLUMNS),
        values=values,
    )
    health = nvml or SourceHealth(name="nvml", up=True)
    return Look(health={"nvml": health}, tables={Table.GPU: table} if rows else {}, events=told, took_s=1.2)


def down(reason: str, *, unsupported: bool = False) -> SourceHealth:
    """Return an NVML source that cannot be read."""
    return SourceHealth(name="nvml", up=False, reason=reason, unsupported=unsupported)


def scan(*rows: dict[str, float], told: tuple[EventRecord, ...] = (), tmp: Path = Path("/none")) -> Scan:
    """Judge what was seen."""
    return judge(seen(*rows, told=told), sysfs=tmp, now_ns=NOW_NS)


def event(
    kind: str, text: str, *, code: int = 0, age_s: float = 1.0, device: str = "0000:41:00.0"
) -> EventRecord:
    """Return an event of the kernel log."""
    return EventRecord(
        wall_ns=NOW_NS - int(age_s * 1e9), kind=kind, severity=3, source="kmsg", text=text, code=code,
        device=device, backfill=True,
    )  # fmt: skip


def test_a_healthy_node_has_nothing_wrong() -> None:
    """Power cap under load included."""
    assert scan({}, {}).troubles == ()
    assert scan({}, {}).worst is Severity.INFO


def test_absent_readings_are_no_trouble() -> None:
    """A board without any of these readings is not ill."""
    assert scan(dict.fromkeys(HEALTHY, math.nan) | {"state": 0}).troubles == ()


@pytest.mark.parametrize(
    ("readings", "fault_class", "action", "severity"),
    [
        ({"state": 1}, "gpu.off_bus", "reboot_node", 3),
        ({"state": 2}, "gpu.recovery_action", "drain_and_reset", 3),
        ({"state": 3}, "gpu.not_answering", "drain_and_reset", 3),
        ({"state": 4}, "gpu.reads_fail", "more_evidence", 2),
        ({"read_ms": 1600}, "gpu.answers_slowly", "watch", 2),
        ({"recovery_action": 1}, "gpu.recovery_action", "reset_gpu", 3),
        ({"recovery_action": 2}, "gpu.recovery_action", "reboot_node", 3),
        ({"recovery_action": 7}, "gpu.recovery_action", "contact_vendor", 2),
        ({"ecc_uncorrected": 1}, "gpu_memory.uncorrectable_contained", "drain_and_reset", 3),
        ({"ecc_corrected_per_s": 9}, "gpu_memory.correctable_rate", "watch", 2),
        ({"sram_threshold_exceeded": 1}, "gpu_memory.repeated_errors", "drain_and_replace", 3),
        ({"remap_pending": 1}, "gpu_memory.remap_pending", "reset_gpu", 2),
        ({"remap_failed": 1}, "gpu_memory.remap_failed", "drain_and_replace", 3),
        ({"retired_pages": 60}, "gpu_memory.remap_failed", "drain_and_replace", 3),
        ({"nvlink_active": 17}, "nvlink.inactive", "drain_and_reset", 3),
        ({"nvlink_errors_per_s": 2}, "nvlink.nonfatal", "check_nvlink", 2),
        ({"fabric_state": 2}, "fabric_manager.not_ready", "restart_service", 3),
        ({"pcie_link_width": 8}, "pcie.degraded", "check_pcie", 2),
        ({"pcie_link_generation": 3}, "pcie.degraded", "check_pcie", 2),
        ({"pcie_replays_per_s": 1}, "pcie.correctable", "check_pcie", 2),
        ({"clock_event_reasons": 0x40}, "cooling.thermal_throttle", "check_power_cooling", 2),
        ({"clock_event_reasons": 0x80}, "power.brake", "check_power_cooling", 3),
        ({"clock_event_reasons": 0x8}, "power.brake", "check_power_cooling", 2),
        ({"temperature_margin_celsius": 3}, "cooling.thermal_throttle", "check_power_cooling", 2),
        ({"power_limit_watts": 500}, "power.cap", "check_power_cooling", 2),
    ],
)
def test_a_reading_names_the_part_and_what_to_do(
    readings: dict[str, float], fault_class: str, action: str, severity: int
) -> None:
    """One trouble, of the GPU that shows it."""
    (trouble,) = scan({}, readings).troubles
    assert (trouble.fault_class, trouble.action, trouble.severity) == (fault_class, action, severity)
    assert (trouble.device, trouble.where) == ("GPU-1", "gpu1 (0000:42:00.0)")


@pytest.mark.parametrize(
    "readings",
    [
        {"nvlink_active": 0},
        {"pcie_link_generation": 1, "utilization_percent": 0},
        {"clock_event_reasons": 0x1, "sm_clock_mhz": 345},
        {"pcie_replays_per_s": 0.1},
        {"ecc_corrected_per_s": 0.2},
    ],
)
def test_what_looks_like_a_fault_and_is_none(readings: dict[str, float]) -> None:
    """No bridge, an idle link or clock, and errors that the hardware corrects."""
    assert scan(readings).troubles == ()


def test_gpus_that_are_all_silent_are_one_trouble_of_the_driver() -> None:
    """Not eight of GPUs."""
    (trouble,) = scan({"state": 3}, {"state": 3}).troubles
    assert (trouble.component, trouble.device, trouble.action) == ("driver", "", "reboot_node")


@pytest.mark.parametrize(
    ("reason", "fault_class"),
    [
        ("NVML: Driver/library version mismatch", "driver.library_mismatch"),
        ("nvmlInit has not come back for 4 s", "driver.not_answering"),
    ],
)
def test_a_driver_that_cannot_be_read_is_the_trouble(reason: str, fault_class: str) -> None:
    """With its reason."""
    (trouble,) = judge(seen(nvml=down(reason)), sysfs=Path("/none")).troubles
    assert (trouble.fault_class, trouble.severity) == (fault_class, Severity.CRITICAL)
    assert reason in trouble.text


def _bus(folder: Path, *addresses: str) -> Path:
    for address in addresses:
        device = folder / "bus/pci/devices" / address
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030200\n")
    return folder


def test_no_driver_is_a_trouble_only_where_there_are_gpus(tmp_path: Path) -> None:
    """A node without GPUs is well."""
    look = seen(nvml=down("NVML Shared Library Not Found", unsupported=True))
    assert judge(look, sysfs=tmp_path).troubles == ()
    (trouble,) = judge(look, sysfs=_bus(tmp_path, "0000:41:00.0")).troubles
    assert trouble.fault_class == "driver.not_bound"


def test_a_gpu_on_the_bus_that_nvml_does_not_list_is_missing(tmp_path: Path) -> None:
    """By its address; bridges and other boards are none."""
    bus = _bus(tmp_path, "0000:41:00.0", "0000:42:00.0")
    switch = bus / "bus/pci/devices/0000:05:00.0"
    switch.mkdir()
    (switch / "vendor").write_text("0x10de\n")
    (switch / "class").write_text("0x068000\n")
    assert pci_gpus(bus) == ("0000:41:00.0", "0000:42:00.0")
    (trouble,) = scan({}, tmp=bus).troubles
    assert (trouble.fault_class, trouble.where) == ("gpu.missing", "0000:42:00.0")


def test_an_xid_is_read_by_the_catalogue_and_placed_by_address() -> None:
    """A loss that the readings show too is told once, with both words."""
    line = event(events.GPU_XID, "NVRM: Xid (PCI:0000:41:00): 79, GPU has fallen off the bus.", code=79)
    (trouble,) = scan({"state": 1}, {}, told=(line,)).troubles
    assert (trouble.fault_class, trouble.device) == ("gpu.off_bus", "GPU-0")
    assert "Xid 79" in trouble.text
    assert "lost" in trouble.text


def test_old_lines_are_counted_and_not_judged() -> None:
    """Readings say whether it is so still."""
    result = scan({}, told=(event(events.GPU_XID, "Xid 79", code=79, age_s=7200),))
    assert (result.troubles, result.older_faults) == ((), 1)


def test_the_worst_comes_first() -> None:
    """Critical before warning."""
    order = [
        trouble.severity for trouble in scan({"remap_pending": 1}, {"state": 1}, {"read_ms": 2000}).troubles
    ]
    assert order == [Severity.CRITICAL, Severity.WARNING, Severity.WARNING]


def test_every_action_and_runbook_that_a_scan_names_is_there() -> None:
    """The words of an action, the runbook in the library."""
    actions = {rule.action for rule in RULES}
    actions |= {row["first_action"] for row in data_files.read("xid.json")["xids"]}
    actions |= {row["first_action"] for row in data_files.read("sxid.json")["sxids"]}
    assert actions <= ACTIONS.keys()
    runbooks = {rule.runbook for rule in RULES if rule.runbook} | {
        "driver-mismatch",
        "gpu-missing",
        "nvswitch",
    }
    assert {name for name in runbooks if not (LIBRARY / f"{name}.yaml").exists()} == set()
    assert all(f"gpu.{name}" in BY_NAME for name in HEALTHY)


def test_a_screen_says_what_is_wrong_what_to_do_and_what_was_not_seen() -> None:
    """In a few lines."""
    look = seen({"state": 1}, {})
    text = screen("n1", look, judge(look, sysfs=Path("/none")), {})
    assert "1 CRIT" in text
    assert "2 GPUs: 1 lost, 1 ok" in text
    assert "CRIT gpu0 (0000:41:00.0)  gpu.off_bus: the driver has lost the GPU" in text
    assert "-> drain the node, then reboot it   (ringwatch runbook show gpu-off-the-bus)" in text


def test_a_screen_stays_one_screen() -> None:
    """However much is wrong."""
    ill: dict[str, float] = {"remap_failed": 1, "fabric_state": 1, "pcie_link_width": 1}
    look = seen(*[ill] * 8)
    text = screen("n1", look, judge(look, sysfs=Path("/none")), {})
    assert len(text.splitlines()) < 40
    assert "12 more" in text


def test_json_is_one_object_a_trouble_and_one_of_the_whole() -> None:
    """For machines."""
    look = seen({"state": 1}, {})
    trouble, whole = map(json.loads, objects("n1", look, judge(look, sysfs=Path("/none")), {}).splitlines())
    assert (trouble["component"], trouble["action"], trouble["severity"]) == ("gpu", "reboot_node", "CRIT")
    assert (whole["worst"], whole["gpus"]) == ("CRIT", {"lost": 1, "ok": 1})


def test_signals_that_several_gpus_lack_for_one_reason_are_told_together() -> None:
    """One line for eight GPUs."""
    look = seen({}, {})
    lacking = {"fan_percent": "Not Supported", "c2c_errors_per_s": "Not Supported"}
    told = gaps(replace(look, missing={"GPU-0": lacking, "GPU-1": lacking}))
    assert told == [(["c2c_errors_per_s", "fan_percent"], "Not Supported", ["gpu0", "gpu1"])]
