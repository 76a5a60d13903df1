"""What readings of one GPU say is wrong with it: one table of rules. Reads nothing, prints nothing.

Limits are the board's own where it has them. Others: Azure's node health checks and DCGM
(https://github.com/Azure/azurehpc-health-checks, https://github.com/NVIDIA/DCGM
modules/health/DcgmHealthWatch.cpp), NVIDIA's memory error management guide
(https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/index.html).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ringwatch_knowledge import clock_events
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import GpuState

Readings = Mapping[str, float]

# Degrees that a GPU may come near its slowdown point before it is said to be hot.
NEAR_CELSIUS: Final = 5.0
SLOW_READ_MS: Final = 1000.0
# Corrected errors a second that are no longer single events.
CORRECTED_PER_S: Final = 1.0
# Replays a minute and lane that a bit error rate of 1e-12 allows, by PCIe generation (DCGM).
_REPLAYS: Final = {1: 0.15, 2: 0.3, 3: 0.48, 4: 0.96, 5: 1.92, 6: 3.84}
_PAGES_LIMIT: Final = 60
_POWER_SHARE: Final = 0.95
_BUSY_PERCENT: Final = 50.0
_OUTSIDE_POWER: Final = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One condition of one GPU. ``tells`` returns the words when it holds, else an empty text."""

    fault_class: str
    severity: Severity
    action: str
    runbook: str
    tells: Callable[[Readings], str]


def _at(readings: Readings, name: str) -> float:
    """Return a reading, NaN when it is absent: a comparison with it is then false."""
    return readings.get(f"gpu.{name}", math.nan)


def _state(state: GpuState, words: str) -> Callable[[Readings], str]:
    return lambda readings: words if _at(readings, "state") == state else ""


def _above(name: str, limit: float, words: str) -> Callable[[Readings], str]:
    def tells(readings: Readings) -> str:
        value = _at(readings, name)
        return words.format(value) if value > limit else ""

    return tells


def _reasons(mask: int, words: str) -> Callable[[Readings], str]:
    def tells(readings: Readings) -> str:
        bits = _at(readings, "clock_event_reasons")
        if math.isnan(bits) or not int(bits) & mask:
            return ""
        clock, most = _at(readings, "sm_clock_mhz"), _at(readings, "sm_clock_max_mhz")
        names = ", ".join(clock_events.names(int(bits) & clock_events.BAD_MASK))
        return f"{words} ({names}); SM clock {clock:.0f} of {most:.0f} MHz" + _heat(readings)

    return tells


def _heat(readings: Readings) -> str:
    degrees = _at(readings, "temperature_celsius")
    return "" if math.isnan(degrees) else f", {degrees:.0f} C"


def _bare_slowdown(readings: Readings) -> str:
    bits = _at(readings, "clock_event_reasons")
    if math.isnan(bits) or int(bits) & (0x8 | clock_events.THERMAL_MASK | _OUTSIDE_POWER) != 0x8:
        return ""
    return "hardware slowdown, neither for heat nor by the power brake: power supply or connector"


def _near_slowdown(readings: Readings) -> str:
    margin = _at(readings, "temperature_margin_celsius")
    if math.isnan(margin):
        margin = _at(readings, "slowdown_temperature_celsius") - _at(readings, "temperature_celsius")
    if margin <= NEAR_CELSIUS:
        return f"{margin:.0f} C below its slowdown point{_heat(readings)}"
    memory = _at(readings, "memory_temperature_celsius")
    left = _at(readings, "memory_temperature_max_celsius") - memory
    return f"memory {left:.0f} C below its limit, {memory:.0f} C" if left <= NEAR_CELSIUS else ""


def _power_limit(readings: Readings) -> str:
    limit, default = _at(readings, "power_limit_watts"), _at(readings, "power_limit_default_watts")
    if limit < _POWER_SHARE * default:
        return f"power limit {limit:.0f} W, the board's own is {default:.0f} W"
    return ""


def _links(readings: Readings) -> str:
    active, there = _at(readings, "nvlink_active"), _at(readings, "nvlink_links")
    # None at all is a board without a bridge.
    return f"{active:.0f} of {there:.0f} NVLinks are up" if 0 < active < there else ""


def _link_errors(readings: Readings) -> str:
    rate, link = _at(readings, "nvlink_errors_per_s"), _at(readings, "nvlink_worst_link")
    where = "" if math.isnan(link) else f", most on link {link:.0f}"
    return f"{rate:.3g} NVLink errors/s{where}" if rate > 0 else ""


def _fabric(readings: Readings) -> str:
    state = _at(readings, "fabric_state")
    words = {1: "has not started to join", 2: "is still joining", 4: "failed to join"}
    return f"the GPU {words[int(state)]} its NVLink fabric" if state in words else ""


def _narrow(readings: Readings) -> str:
    width, most = _at(readings, "pcie_link_width"), _at(readings, "pcie_link_width_max")
    generation, best = _at(readings, "pcie_link_generation"), _at(readings, "pcie_link_generation_max")
    # An idle link may lower its generation to save power; it never gives lanes away.
    slow = generation < best and _at(readings, "utilization_percent") >= _BUSY_PERCENT
    if width < most or slow:
        return f"PCIe gen {generation:.0f} x{width:.0f}, it can do gen {best:.0f} x{most:.0f}"
    return ""


def _replays(readings: Readings) -> str:
    per_minute = 60.0 * _at(readings, "pcie_replays_per_s")
    generation, width = _at(readings, "pcie_link_generation"), _at(readings, "pcie_link_width")
    if math.isnan(generation) or math.isnan(width):
        return ""
    allowed = math.ceil(_REPLAYS.get(int(generation), _REPLAYS[6]) * width)
    return f"{per_minute:.0f} PCIe replays a minute, {allowed} allowed" if per_minute > allowed else ""


def _pending(now: str, later: str, words: str) -> Callable[[Readings], str]:
    def tells(readings: Readings) -> str:
        is_on, becomes = _at(readings, now), _at(readings, later)
        if math.isnan(is_on) or math.isnan(becomes) or is_on == becomes:
            return ""
        return f"{words} turns {'on' if becomes else 'off'} at the next reset"

    return tells


_CRIT, _WARN, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO


def _rule(
    fault_class: str, severity: Severity, action: str, runbook: str, tells: Callable[[Readings], str]
) -> Rule:
    return Rule(fault_class=fault_class, severity=severity, action=action, runbook=runbook, tells=tells)


def _recovery(action: int, severity: Severity, token: str, words: str) -> Rule:
    def tells(readings: Readings) -> str:
        return words if _at(readings, "recovery_action") == action else ""

    return _rule("gpu.recovery_action", severity, token, "recovery-action", tells)


RULES: Final[tuple[Rule, ...]] = (
    _rule("gpu.off_bus", _CRIT, "reboot_node", "gpu-off-the-bus",
          _state(GpuState.LOST, "the driver has lost the GPU")),
    _rule("gpu.recovery_action", _CRIT, "drain_and_reset", "recovery-action",
          _state(GpuState.NEEDS_RESET, "the driver wants the GPU reset")),
    _rule("gpu.not_answering", _CRIT, "drain_and_reset", "gpu-not-answering",
          _state(GpuState.NOT_ANSWERING, "NVML calls on the GPU do not come back")),
    _rule("gpu.reads_fail", _WARN, "more_evidence", "gpu-fault",
          _state(GpuState.FAILING, "reads of the GPU fail")),
    _rule("gpu.answers_slowly", _WARN, "watch", "gpu-not-answering",
          _above("read_ms", SLOW_READ_MS, "a round of NVML calls took {:.0f} ms")),
    _recovery(1, _CRIT, "reset_gpu", "the driver asks for a reset of the GPU"),
    _recovery(2, _CRIT, "reboot_node", "the driver asks for a reboot of the node"),
    _recovery(3, _WARN, "drain_and_reset", "the driver asks to end peer traffic and reset the GPU"),
    _recovery(4, _CRIT, "drain_and_reset", "the driver asks to drain and reset the GPU"),
    _rule("gpu.recovery_action", _WARN, "contact_vendor", "recovery-action",
          _above("recovery_action", 4, "the driver asks for recovery action {:.0f}")),
    _rule("gpu_memory.remap_failed", _CRIT, "drain_and_replace", "row-remap-failed",
          _above("remap_failed", 0, "a row could not be remapped")),
    _rule("gpu_memory.remap_failed", _CRIT, "drain_and_replace", "row-remap-failed",
          _above("memory_unrepairable", 0, "memory cannot be repaired any more")),
    _rule("gpu_memory.remap_failed", _CRIT, "drain_and_replace", "row-remap-failed",
          _above("retired_pages", _PAGES_LIMIT - 1, "{:.0f} retired pages")),
    _rule("gpu_memory.repeated_errors", _CRIT, "drain_and_replace", "sram-errors",
          _above("sram_threshold_exceeded", 0, "SRAM errors passed the driver's threshold")),
    _rule("gpu_memory.uncorrectable_contained", _CRIT, "drain_and_reset", "uncorrectable-ecc",
          _above("ecc_uncorrected", 0, "{:.0f} uncorrected memory errors since driver load")),
    _rule("gpu_memory.remap_pending", _WARN, "reset_gpu", "row-remap-pending",
          _above("remap_pending", 0, "a row remap waits for a reset")),
    _rule("gpu_memory.remap_pending", _WARN, "reset_gpu", "row-remap-pending",
          _above("retired_pages_pending", 0, "a page retirement waits for a reset")),
    _rule("gpu_memory.remap_pending", _WARN, "reset_gpu", "row-remap-pending",
          _above("repair_pending", 0, "a channel or TPC repair waits for a reset")),
    _rule("gpu_memory.remap_pending", _WARN, "watch", "gpu-memory",
          _above("remap_banks_exhausted", 0, "{:.0f} memory banks have no spare row left")),
    _rule("gpu_memory.correctable_rate", _WARN, "watch", "gpu-memory",
          _above("ecc_corrected_per_s", CORRECTED_PER_S, "{:.3g} corrected memory errors/s")),
    _rule("nvlink.inactive", _CRIT, "drain_and_reset", "nvlink", _links),
    _rule("nvlink.fatal", _CRIT, "drain_and_reset", "nvlink",
          _above("nvlink_recoveries_failed", 0, "{:.0f} NVLink recoveries failed")),
    _rule("nvlink.nonfatal", _WARN, "check_nvlink", "nvlink", _link_errors),
    _rule("fabric_manager.not_ready", _CRIT, "restart_service", "fabric-manager", _fabric),
    _rule("nvlink.fatal", _CRIT, "drain_and_reset", "nvlink",
          lambda at: "the NVLink fabric calls the GPU unhealthy" if _at(at, "fabric_health") == 2 else ""),
    _rule("pcie.uncorrectable", _CRIT, "drain_and_reset", "pcie-degraded",
          _above("pcie_uncorrected", 0, "{:.0f} uncorrected PCIe errors since driver load")),
    _rule("pcie.degraded", _WARN, "check_pcie", "pcie-degraded", _narrow),
    _rule("pcie.correctable", _WARN, "check_pcie", "pcie-degraded", _replays),
    _rule("power.brake", _CRIT, "check_power_cooling", "power",
          _reasons(_OUTSIDE_POWER, "the power brake holds it down")),
    _rule("power.brake", _WARN, "check_power_cooling", "power", _bare_slowdown),
    _rule("cooling.thermal_throttle", _WARN, "check_power_cooling", "thermal",
          _reasons(clock_events.THERMAL_MASK, "slowed down for heat")),
    _rule("cooling.thermal_throttle", _WARN, "check_power_cooling", "thermal", _near_slowdown),
    _rule("power.cap", _WARN, "check_power_cooling", "power-cap", _power_limit),
    _rule("config.platform_setting", _INFO, "reset_gpu", "",
          _pending("ecc_mode", "ecc_mode_pending", "ECC")),
    _rule("config.platform_setting", _INFO, "reset_gpu", "",
          _pending("mig_mode", "mig_mode_pending", "MIG")),
)  # fmt: skip
