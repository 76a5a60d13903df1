"""What is asked of NVML for one GPU: each signal of the catalogue and the call that gives it.

Runs in the reader process only; any of these calls may block for ever.
https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pynvml as nvml

_MIB: Final = 1 << 20
_ALL_LINKS: Final = 0xFFFFFFFF
_MAX_LINKS: Final = 18

# A handle is opaque: what pynvml gave out.
Handle = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call. ``gauges`` and ``counters`` pick signals out of what it returns; counters only rise."""

    name: str
    call: Callable[[Handle], Any]
    gauges: Mapping[str, Callable[[Any], float]]
    counters: Mapping[str, Callable[[Any], int]]


def _gauge(signal: str, call: Callable[[Handle], Any], scale: float = 1.0) -> Ask:
    return Ask(name=signal, call=call, gauges={signal: lambda value: value * scale}, counters={})


def _counter(signal: str, call: Callable[[Handle], Any]) -> Ask:
    return Ask(name=signal, call=call, gauges={}, counters={signal: int})


def _field(number: int, scale: int = 1, scope: int = 0) -> Callable[[Handle], int]:
    def call(handle: Handle) -> int:
        (value,) = nvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])
        if value.nvmlReturn != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(value.nvmlReturn)
        wide = value.valueType in (
            nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG,
            nvml.NVML_VALUE_TYPE_UNSIGNED_LONG,
        )
        return int(value.value.ullVal if wide else value.value.uiVal) * scale

    return call


def _clock_event_reasons(handle: Handle) -> int:
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except nvml.NVMLError_FunctionNotFound:  # drivers before 535 know it by its old name
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def _active_links(handle: Handle) -> int:
    active = 0
    for link in range(_MAX_LINKS):
        try:
            active += bool(nvml.nvmlDeviceGetNvLinkState(handle, link))
        except (nvml.NVMLError_InvalidArgument, nvml.NVMLError_NotSupported):
            if link == 0:
                raise
            break
    return active


def _link_errors(handle: Handle) -> int:
    totals = (
        nvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
        nvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        nvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    )
    return sum(_field(total)(handle) for total in totals)


def _ecc(kind: int) -> Callable[[Handle], int]:
    return lambda handle: int(nvml.nvmlDeviceGetTotalEccErrors(handle, kind, nvml.NVML_VOLATILE_ECC))


ASKS: Final[tuple[Ask, ...]] = (
    Ask(
        name="utilization",
        call=nvml.nvmlDeviceGetUtilizationRates,
        gauges={
            "utilization_percent": lambda rates: rates.gpu,
            "memory_utilization_percent": lambda rates: rates.memory,
        },
        counters={},
    ),
    Ask(
        name="memory",
        call=nvml.nvmlDeviceGetMemoryInfo,
        gauges={
            "memory_used_mib": lambda memory: memory.used / _MIB,
            "memory_total_mib": lambda memory: memory.total / _MIB,
        },
        counters={},
    ),
    _gauge("power_watts", nvml.nvmlDeviceGetPowerUsage, 1e-3),
    _gauge("power_limit_watts", nvml.nvmlDeviceGetEnforcedPowerLimit, 1e-3),
    _gauge(
        "temperature_celsius",
        lambda handle: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
    ),
    _gauge("memory_temperature_celsius", _field(nvml.NVML_FI_DEV_MEMORY_TEMP)),
    _gauge(
        "slowdown_temperature_celsius",
        lambda handle: nvml.nvmlDeviceGetTemperatureThreshold(
            handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        ),
    ),
    _gauge("sm_clock_mhz", lambda handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
    _gauge("sm_clock_max_mhz", lambda handle: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)),
    _gauge("memory_clock_mhz", lambda handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
    _gauge("clock_event_reasons", _clock_event_reasons),
    _counter("ecc_corrected_per_s", _ecc(nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED)),
    _gauge("ecc_uncorrected", _ecc(nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)),
    Ask(
        name="remapped_rows",
        call=nvml.nvmlDeviceGetRemappedRows,
        # (correctable, uncorrectable, pending, failed)
        gauges={
            "remapped_rows": lambda rows: rows[1],
            "remap_pending": lambda rows: rows[2],
            "remap_failed": lambda rows: rows[3],
        },
        counters={},
    ),
    _gauge("nvlink_active", _active_links),
    _counter("nvlink_errors_per_s", _link_errors),
    # KiB, over all links of the GPU.
    _counter("nvlink_rx_bytes_per_s", _field(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, 1024, _ALL_LINKS)),
    _counter("nvlink_tx_bytes_per_s", _field(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 1024, _ALL_LINKS)),
    # nvmlDeviceGetPcieThroughput would do for older boards, but each call holds the driver for 20 ms.
    _counter("pcie_rx_bytes_per_s", _field(nvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES)),
    _counter("pcie_tx_bytes_per_s", _field(nvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES)),
    _counter("pcie_replays_per_s", nvml.nvmlDeviceGetPcieReplayCounter),
    _gauge("pcie_link_generation", nvml.nvmlDeviceGetCurrPcieLinkGeneration),
    _gauge("pcie_link_width", nvml.nvmlDeviceGetCurrPcieLinkWidth),
    _gauge("pcie_link_width_max", nvml.nvmlDeviceGetMaxPcieLinkWidth),
    _gauge("processes", lambda handle: len(nvml.nvmlDeviceGetComputeRunningProcesses(handle))),
    _gauge("fan_percent", nvml.nvmlDeviceGetFanSpeed),
)
