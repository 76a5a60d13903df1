"""The table of GPU faults and what each face of Ringwatch has to show for it. Starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

# Which GPU is ill: its number, its name on the page, and its address in the kernel log.
ILL: Final = 3
NAME: Final = "gpu3"
UUID: Final = "GPU-00000003-0000-0000-0000-000000000000"
PCI: Final = "0000:44:00"
LOST, NEEDS_RESET, NOT_ANSWERING = 1.0, 2.0, 3.0


class Driver(Protocol):
    """The emulated driver, as far as faults use it."""

    def set(self, **values: int) -> None:
        """Change what NVML says from now on."""

    def grow(self, key: str, rate: int) -> None:
        """Have a counter grow by ``rate`` a second from now on."""

    def xid(self, gpu: int, code: int) -> None:
        """Report an Xid once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bed:
    """What a fault is laid into: the driver and a kernel log."""

    driver: Driver
    kernel: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One scrape of ``/metrics``: values by metric and name of the device."""

    values: Mapping[tuple[str, str], float]
    devices: Mapping[str, str] = field(default_factory=dict)

    def gpu(self, metric: str, name: str = NAME) -> float | None:
        """Return a reading of a GPU, None when the page has none."""
        return self.values.get((f"ringwatch_gpu_{metric}", name))

    def source(self, name: str) -> float | None:
        """Return whether a source is up, None when the page does not say."""
        return self.values.get(("ringwatch_source_up", name))

    def names(self) -> list[str]:
        """Return the names of the GPUs."""
        return sorted(name for metric, name in self.values if metric == "ringwatch_gpu_reading_age_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the collector shows of the node.

    ``incidents`` are (kind, cause, severity, device), ``events`` (kind, device, code, source),
    ``sources`` the reason of each source that is down.
    """

    incidents: Sequence[tuple[str, str, str, str]]
    events: Sequence[tuple[str, str, int, str]]
    sources: Mapping[str, str]
    readings: Mapping[tuple[str, str], float]


Shows = Callable[[Page], str]
Tells = Callable[[Told], str]
Lay = Callable[[Bed], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row. ``page`` and ``told`` return the words of a cell once it is right, else an empty text.

    ``scan`` is (fault class, action, exit code). ``live`` says whether all other GPUs have to stay
    live meanwhile; ``first`` is laid before the agent starts.
    """

    name: str
    title: str
    lay: Lay
    page: Shows
    told: Tells
    scan: tuple[str, str, int]
    first: Lay = lambda _: None
    live: bool = True
    recovers: bool = True


def _set(**values: int) -> Lay:
    return lambda bed: bed.driver.set(**values)


def _ill(**values: int) -> Lay:
    return _set(**{f"gpu{ILL}__{name}": value for name, value in values.items()})


def _xid(code: int, words: str, **values: int) -> Lay:
    """Report an Xid both ways, as a driver does: by NVML and by a line of the kernel log."""

    def lay(bed: Bed) -> None:
        if values:
            _ill(**values)(bed)
        bed.driver.xid(ILL, code)
        bed.kernel(f"NVRM: Xid (PCI:{PCI}): {code}, {words}")

    return lay


def _state(value: float, words: str) -> Shows:
    return lambda page: f"state {value:.0f} ({words})" if page.gpu("state") == value else ""


def _reads(metric: str, holds: Callable[[float], bool], words: str) -> Shows:
    def shows(page: Page) -> str:
        value = page.gpu(metric)
        return words.format(value) if value is not None and holds(value) else ""

    return shows


def _incident(kind: str, *causes: str, device: str = UUID) -> Tells:
    def tells(told: Told) -> str:
        for found, cause, severity, where in told.incidents:
            if found == kind and where == device and (not causes or cause in causes):
                return f"{severity} {found} ({cause})"
        return ""

    return tells


def _both(first: Tells, second: Tells) -> Tells:
    def tells(told: Told) -> str:
        one, two = first(told), second(told)
        return f"{one}; {two}" if one and two else ""

    return tells


def _one_event(kind: str, code: int) -> Tells:
    def tells(told: Told) -> str:
        found = [source for each, device, number, source in told.events
                 if each == kind and number == code and device == UUID]  # fmt: skip
        return f"one event from {found[0]}" if len(found) == 1 else ""

    return tells


def _quiet(told: Told) -> str:
    about_gpus = [kind for kind, *_ in told.incidents if kind.startswith(("gpu.", "nvlink."))]
    return "" if about_gpus else "no incident"


def _reading(signal: str, least: float) -> Tells:
    def tells(told: Told) -> str:
        value = told.readings.get((signal, UUID))
        return f"{signal} {value:.0f}" if value is not None and value >= least else ""

    return tells


def _throttled(page: Page) -> str:
    bits = page.gpu("clock_event_reasons")
    return f"clock_event_reasons {int(bits):#x}" if bits else ""


def _lacks(page: Page) -> str:
    absent = ("fabric_state", "tensor_activity_percent", "pcie_rx_bytes_per_s", "temperature_margin_celsius")
    there = [metric for metric in absent if page.gpu(metric) is not None]
    power = page.gpu("power_watts")
    return "" if there or power is None else f"{len(absent)} readings absent, none 0; power {power:.0f} W"


def _absent_once(*metrics: str) -> Shows:
    """Tell of rates that are absent for the interval of the step, and never below 0."""

    def shows(page: Page) -> str:
        values = [page.gpu(metric) for metric in metrics]
        if any(value is not None and value < 0 for value in values):
            return ""
        return "rates absent for the interval, none below 0" if values == [None] * 3 else ""

    return shows


def _instances(page: Page) -> str:
    names = [name for name in page.names() if "/mig" in name]
    whole = page.gpu("utilization_percent")
    return f"rows {', '.join(names)}; no utilization" if len(names) == 2 and whole is None else ""


def _moved(page: Page) -> str:
    """Tell whether the GPU that came back under another index is known by its UUID."""
    name = page.devices.get(UUID, "")
    state = page.gpu("state", name)
    return f"same row, now {name}" if name == "gpu7" and state == 0 else ""


def _gone(page: Page) -> str:
    name = page.devices.get(UUID, "")
    return f"row kept as {name!r}, state 1 (lost)" if page.gpu("state", name) == LOST else ""


def _all_silent(page: Page) -> str:
    states = [page.gpu("state", name) for name in page.names()]
    return f"all {len(states)} GPUs state 3; host and network live" if set(states) == {NOT_ANSWERING} else ""


def _source_down(page: Page) -> str:
    return "source_up{nvml} 0" if page.source("nvml") == 0 else ""


def _down_because(words: str) -> Tells:
    def tells(told: Told) -> str:
        return f"source nvml down: {words}" if words in told.sources.get("nvml", "") else ""

    return tells


def _one_of_the_node(told: Told) -> str:
    """Tell whether a silent driver is one incident of the node and not one a GPU."""
    silent = [where for kind, _, _, where in told.incidents if kind == "gpu.not_answering"]
    return "one incident of the node: gpu.not_answering" if silent == [""] else ""


def _reloaded(page: Page) -> str:
    rates = [
        value for (metric, _), value in page.values.items()
        if metric.startswith("ringwatch_gpu_") and metric.endswith("_per_s")
    ]  # fmt: skip
    was_down = page.values.get(("ringwatch_source_failures", "nvml"), 0.0) > 0
    well = was_down and page.gpu("state") == 0 and page.gpu("power_watts") is not None
    return "reads again; no negative rate" if well and rates and min(rates) >= 0 else ""


_HEALTHY: Final = ("", "", 0)

FAULTS: Final[tuple[Fault, ...]] = (
    Fault(
        name="healthy", title="none", lay=lambda _: None,
        page=_state(0.0, "ok"), told=_quiet, scan=_HEALTHY, recovers=False,
    ),
    Fault(
        name="lost", title="GPU lost (NVML error 15)", lay=_ill(error=15),
        page=_state(LOST, "lost"), told=_incident("gpu.off_bus", "gpu_lost"),
        scan=("gpu.off_bus", "reboot_node", 20),
    ),
    Fault(
        name="needs-reset", title="GPU needs a reset (NVML error 16)", lay=_ill(error=16),
        page=_state(NEEDS_RESET, "needs reset"), told=_incident("gpu.fault", "needs_reset"),
        scan=("gpu.recovery_action", "drain_and_reset", 20),
    ),
    Fault(
        name="off-the-bus", title="fallen off the bus (Xid 79 in NVML and kernel log, then error 15)",
        lay=_xid(79, "pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", error=15),
        page=_state(LOST, "lost"),
        told=_both(_incident("gpu.off_bus", "xid_79"), _one_event("gpu.xid", 79)),
        scan=("gpu.off_bus", "reboot_node", 20),
    ),
    Fault(
        name="blocked", title="a call on one GPU blocks for ever", lay=_ill(block=1),
        page=_state(NOT_ANSWERING, "not answering"), told=_incident("gpu.not_answering"),
        scan=("gpu.not_answering", "drain_and_reset", 20),
    ),
    Fault(
        name="slow", title="each call on one GPU takes 200 ms", lay=_ill(slow_ms=200),
        page=_reads("read_ms", lambda ms: ms > 1000, "read_ms {:.0f}"),
        told=_reading("gpu.read_ms", 1000.0), scan=("gpu.answers_slowly", "watch", 10),
    ),
    Fault(
        name="failing", title="every call on one GPU fails (NVML error 999)", lay=_ill(error=999),
        page=_state(4.0, "reads fail"), told=_incident("gpu.fault", "reads_fail"),
        scan=("gpu.reads_fail", "more_evidence", 10),
    ),
    Fault(
        name="backwards", title="counters step back to 0",
        first=_set(pcie_bytes=10**15, nvlink_kib=10**12, energy=10**15),
        lay=_set(pcie_bytes=0, nvlink_kib=0, energy=0),
        page=_absent_once("pcie_rx_bytes_per_s", "nvlink_rx_bytes_per_s", "mean_power_watts"),
        told=_quiet, scan=_HEALTHY, recovers=False,
    ),
    Fault(
        name="unsupported", title="a board without many readings (A100)", first=_set(profile=1),
        lay=lambda _: None, page=_lacks, told=_quiet, scan=_HEALTHY, recovers=False,
    ),
    Fault(
        name="mismatch", title="driver and library versions differ, at start", first=_set(mismatch=1),
        lay=lambda _: None, page=_source_down,
        told=_both(_incident("host.fault", "driver_mismatch", device=""), _down_because("version mismatch")),
        scan=("driver.library_mismatch", "reboot_node", 20), live=False,
    ),
    Fault(
        name="ecc-corrected", title="corrected memory errors, 40 a second",
        lay=lambda bed: bed.driver.grow(f"gpu{ILL}__corrected__dram", 40),
        page=_reads("ecc_corrected_per_s", lambda rate: 1 < rate < 50, "ecc_corrected_per_s {:.0f}"),
        told=_incident("gpu.memory", "correctable_rate"), scan=("gpu_memory.correctable_rate", "watch", 10),
    ),
    Fault(
        name="ecc-uncorrected", title="uncorrected memory errors, without an Xid",
        lay=_ill(uncorrected__dram=2, uncorrected__dram__total=2),
        page=_reads("ecc_dram_uncorrected", lambda count: count == 2, "ecc_dram_uncorrected {:.0f}"),
        told=_incident("gpu.memory", "uncorrected_ecc"),
        scan=("gpu_memory.uncorrectable_contained", "drain_and_reset", 20),
    ),
    Fault(
        name="xid-48", title="uncorrected memory error with Xid 48",
        lay=_xid(48, "pid=4242, name=python, An uncorrectable double bit error (DBE) has been detected on "
                 "GPU in the framebuffer at partition 2, subpartition 1.", uncorrected__dram=1),
        page=_reads("ecc_uncorrected", lambda count: count == 1, "ecc_uncorrected {:.0f}"),
        told=_both(_incident("gpu.memory"), _one_event("gpu.xid", 48)),
        scan=("gpu_memory.uncorrectable_contained", "drain_and_reset", 20),
    ),
    Fault(
        name="remap-pending", title="row remap pending", lay=_ill(pending=1, remapped=1),
        page=_reads("remap_pending", lambda flag: flag == 1, "remap_pending {:.0f}"),
        told=_incident("gpu.memory", "remap_pending"),
        scan=("gpu_memory.remap_pending", "reset_gpu", 10),
    ),
    Fault(
        name="remap-failed", title="row remap failed", lay=_ill(remap_failed=1),
        page=_reads("remap_failed", lambda flag: flag == 1, "remap_failed {:.0f}"),
        told=_incident("gpu.memory", "remap_failed"),
        scan=("gpu_memory.remap_failed", "drain_and_replace", 20),
    ),
    Fault(
        name="thermal", title="thermal slowdown", lay=_ill(reasons=0x48, temperature=91, clock=990),
        page=_throttled, told=_incident("gpu.thermal", "thermal_slowdown"),
        scan=("cooling.thermal_throttle", "check_power_cooling", 10),
    ),
    Fault(
        name="power-brake", title="power brake", lay=_ill(reasons=0x88, clock=990),
        page=_throttled, told=_incident("gpu.power", "power_brake"),
        scan=("power.brake", "check_power_cooling", 20),
    ),
    Fault(
        name="nvlink-down", title="one NVLink down", lay=_ill(link4=0),
        page=_reads("nvlink_active", lambda links: links == 17, "nvlink_active {:.0f} of 18"),
        told=_incident("nvlink.fault", "nvlink_down"), scan=("nvlink.inactive", "drain_and_reset", 20),
    ),
    Fault(
        name="xid-31", title="an application's fault (Xid 31)",
        lay=_xid(31, "pid=4242, name=python, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS "
                 "GPCCLIENT_T1_0 faulted @ 0x7f0c_12000000. Fault is of type FAULT_PDE ACCESS_TYPE_READ"),
        page=_state(0.0, "ok: an Xid is an event, no gauge"),
        told=_both(_quiet, _one_event("gpu.xid", 31)), scan=("application.illegal_address", "check_app", 10),
        recovers=False,
    ),
    Fault(
        name="xid-119", title="GSP firmware silent (Xid 119), GPU still answers",
        lay=_xid(119, "pid=4242, name=nvidia-smi, Timeout after 6s of waiting for RPC response from GPU3 "
                 "GSP! Expected function 76 (GSP_RM_CONTROL) (0x2080a068 0x4)."),
        page=_reads("reading_age_s", lambda age_s: age_s > 5, "asked less: reading_age_s {:.0f}"),
        told=_both(_incident("gpu.not_answering", "xid_119"), _one_event("gpu.xid", 119)),
        scan=("firmware.gsp_failure", "drain_and_reset", 20), recovers=False,
    ),
    Fault(
        name="mig", title="GPU divided (MIG, 2 instances)", first=_ill(mig=1, mig_instances=2),
        lay=lambda _: None, page=_instances, told=_quiet, scan=_HEALTHY, recovers=False,
    ),
    Fault(
        name="gone", title="GPU gone after a driver reload",
        lay=lambda bed: bed.driver.set(**{f"gpu{ILL}__gone": 1, "reloads": 1}),
        page=_gone, told=_incident("gpu.off_bus", "gpu_lost"), scan=("gpu.missing", "drain_and_reset", 20),
    ),
    Fault(
        name="moved", title="GPU back under another index after a driver reload",
        lay=lambda bed: bed.driver.set(**{f"gpu{ILL}__last": 1, "reloads": 1}),
        page=_moved, told=_quiet, scan=_HEALTHY, recovers=False,
    ),
    Fault(
        name="reload", title="driver reload", lay=_set(reloads=1),
        page=_reloaded, told=_quiet, scan=_HEALTHY, recovers=False,
    ),
    Fault(
        name="lock", title="a lock in the driver blocks every call", lay=_set(all__block=1),
        page=_all_silent, told=_one_of_the_node, scan=("driver.not_answering", "reboot_node", 20), live=False,
    ),
    Fault(
        name="init", title="nvmlInit blocks, at start", first=_set(init__block=1), lay=lambda _: None,
        page=_source_down,
        told=_both(
            _incident("gpu.not_answering", "driver_blocked", device=""), _down_because("nvmlInit")
        ),
        scan=("driver.not_answering", "reboot_node", 20), live=False,
    ),
)  # fmt: skip


def bus(folder: Path) -> Path:
    """Lay the emulator's eight GPUs into ``folder``, as sysfs shows a PCI bus; return its root."""
    for number in range(8):
        device = folder / "bus/pci/devices" / f"0000:{0x41 + number:02x}:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030200\n")
    return folder
