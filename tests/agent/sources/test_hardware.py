"""Memory, CPU and PCIe errors out of a tree."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ringwatch_agent.sources.hardware import HardwareSource, machine_checks, numa_free_spread
from ringwatch_proto import events
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.records import Severity


def write(root: Path, files: dict[str, object]) -> None:
    """Write files below ``root``."""
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{value}\n")


def memory(sysfs: Path, *, corrected: int = 0, uncorrected: int = 0, controller: int | None = None) -> None:
    """Write one controller with one module."""
    module = "devices/system/edac/mc/mc0/dimm2"
    write(
        sysfs,
        {
            f"{module}/dimm_ce_count": corrected,
            f"{module}/dimm_ue_count": uncorrected,
            f"{module}/dimm_label": "CPU_SrcID#0_MC#1_Chan#0_DIMM#0",
            "devices/system/edac/mc/mc0/ce_count": corrected if controller is None else controller,
            "devices/system/edac/mc/mc0/ue_count": uncorrected,
        },
    )


def aer(sysfs: Path, *, corrected: int = 0, nonfatal: int = 0, fatal: int = 0) -> None:
    """Write the counters of one device as the kernel does, and a device without any."""
    folder = "bus/pci/devices/0000:41:00.0"
    write(
        sysfs,
        {
            f"{folder}/aer_dev_correctable": f"RxErr 0\nBadTLP {corrected}\nTOTAL_ERR_COR {corrected}",
            f"{folder}/aer_dev_nonfatal": f"Poison TLP {nonfatal}\nTOTAL_ERR_NONFATAL {nonfatal}",
            f"{folder}/aer_dev_fatal": f"DLP 0\nCmpltTO {fatal}\nTOTAL_ERR_FATAL {fatal}",
            "bus/pci/devices/0000:00:1f.0/vendor": "0x8086",
        },
    )


def source(tmp_path: Path) -> HardwareSource:
    """Return the source over a tree."""
    return HardwareSource(sysfs=tmp_path, proc=tmp_path / "proc")


def values(hardware: HardwareSource) -> dict[str, float]:
    """Return what was published."""
    assert hardware.latest is not None
    return dict(hardware.latest.values)


def test_an_uncorrected_memory_error_names_its_module_at_once(tmp_path: Path) -> None:
    """Critical, with the label that the board gives it; what was there before is a number only."""
    memory(tmp_path, uncorrected=1)
    hardware = source(tmp_path)
    assert hardware.read().events == ()
    assert values(hardware)["memory_uncorrected"] == 1
    memory(tmp_path, uncorrected=2)
    (told,) = hardware.read().events
    assert (told.kind, told.severity) == (events.HOST_FAULT, Severity.CRITICAL)
    assert told.device == "mc0/dimm2 CPU_SrcID#0_MC#1_Chan#0_DIMM#0"
    assert told.fields["condition"] == "memory_uncorrected"
    assert told.fields["once"] == "1"


def test_corrected_memory_errors_are_a_rate_and_one_event(tmp_path: Path) -> None:
    """What the controller could not place is counted on the controller."""
    memory(tmp_path, corrected=1)
    hardware = source(tmp_path)
    hardware.read()
    memory(tmp_path, corrected=5, controller=7)
    told = hardware.read().events
    assert [(event.kind, event.device.split(" ")[0], event.code) for event in told] == [
        (events.HOST_CORRECTED, "mc0/dimm2", 4)
    ]
    assert values(hardware)["memory_corrected_per_s"] > 0
    memory(tmp_path, corrected=5, controller=9)
    assert [event.device for event in hardware.read().events] == ["mc0"]


def test_pcie_errors_name_device_and_kind(tmp_path: Path) -> None:
    """Fatal ones are critical; names with spaces, as older kernels write them, are read too."""
    aer(tmp_path)
    hardware = source(tmp_path)
    hardware.read()
    aer(tmp_path, corrected=12, nonfatal=1, fatal=1)
    told = {event.fields["condition"]: event for event in hardware.read().events}
    assert {name: event.severity for name, event in told.items()} == {
        "pcie_corrected": Severity.INFO,
        "pcie_nonfatal": Severity.WARNING,
        "pcie_fatal": Severity.CRITICAL,
    }
    assert {event.device for event in told.values()} == {"0000:41:00.0"}
    assert "Poison TLP 1" in told["pcie_nonfatal"].text
    assert (values(hardware)["pcie_fatal"], values(hardware)["pcie_nonfatal"]) == (1, 1)


def test_a_count_that_begins_again_is_no_news(tmp_path: Path) -> None:
    """A driver that was loaded again, a device that was plugged in."""
    aer(tmp_path, fatal=3)
    hardware = source(tmp_path)
    hardware.read()
    aer(tmp_path, fatal=1)
    assert hardware.read().events == ()
    hardware.close()
    aer(tmp_path, fatal=2)
    assert hardware.read().events == ()


def test_machine_checks_are_summed_over_cpus() -> None:
    """The line of exceptions, not that of polls."""
    text = b"  0:  5  5  IO-APIC\nMCE:  1  2  Machine check exceptions\nMCP:  44  44  Machine check polls\n"
    assert machine_checks(text) == 3
    assert machine_checks(b"  0:  5  5\n") is None


def test_numa_imbalance_is_the_spread_of_free_shares(tmp_path: Path) -> None:
    """One node has none, and a node without memory does not count."""
    lines = "Node 0 MemTotal:  1000 kB\nNode 0 MemFree:  {} kB"
    write(tmp_path, {"node0/meminfo": lines.format(900), "possible": "0-1"})
    assert numa_free_spread(tmp_path) is None
    write(tmp_path, {"node1/meminfo": lines.format(100), "node2/meminfo": "Node 2 MemTotal: 0 kB"})
    assert numa_free_spread(tmp_path) == pytest.approx(80)


def test_a_machine_that_counts_nothing_has_no_such_source(tmp_path: Path) -> None:
    """Absent is not zero errors."""
    with pytest.raises(SourceUnsupported, match="no EDAC"):
        source(tmp_path).open()
    hardware = source(tmp_path)
    hardware.read()
    assert values(hardware) == {}


def test_rates_need_two_looks(tmp_path: Path) -> None:
    """The first is NaN."""
    memory(tmp_path)
    hardware = source(tmp_path)
    hardware.open()
    hardware.read()
    assert math.isnan(values(hardware)["memory_corrected_per_s"])
