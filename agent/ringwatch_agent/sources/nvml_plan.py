"""The table of every GPU signal: the question that gives it, how often, and which boards answer it.

Runs in the reader process only; any of these questions may block for ever.
https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ringwatch_agent.sources import nvml_asks as ask
from ringwatch_agent.sources import nvml_fields as fields
from ringwatch_agent.sources import nvml_links as links
from ringwatch_agent.sources.nvml_activity import METRICS, activity
from ringwatch_agent.sources.nvml_asks import Bind
from ringwatch_agent.sources.nvml_fabric import fabric

# Seconds between two readings of a group. What moves with the load is read at every beat; health and
# links every ten seconds and at once after an Xid; limits and modes every minute.
FAST, SLOW, RARE = 0.0, 10.0, 60.0

# What the reader itself says of each row.
OWN: Final = ("reading_age_s", "state", "slow_reading_age_s", "read_ms")


class Entry(NamedTuple):
    """One question and what it gives."""

    signals: tuple[str, ...]
    every_s: float
    support: str
    bind: Bind


def _one(signal: str, every_s: float, support: str, bind: Bind) -> Entry:
    return Entry((signal,), every_s, support, bind)


def _number(signal: str, every_s: float, support: str, *names: str, scale: float = 1.0) -> Entry:
    return Entry((signal,), every_s, support, ask.number(signal, *names, scale=scale))


def _clock(signal: str, every_s: float, name: str, which: int) -> Entry:
    return _one(signal, every_s, "all", ask.number(signal, name, arguments=(which,)))


def _threshold(signal: str, which: int) -> Entry:
    name = "nvmlDeviceGetTemperatureThreshold"
    return _one(signal, RARE, "Kepler and newer", ask.number(signal, name, arguments=(which,)))


def _errors(signal: str, kind: int, counter: int, where: int) -> Entry:
    support = "boards with ECC on" if counter else "boards with ECC on, not while MIG is on"
    return _one(signal, SLOW, support, ask.errors(signal, kind, counter, where))


_DRAM, _SRAM = 2, 7
_SRAM_SIGNALS: Final = (
    "ecc_sram_l2_total", "ecc_sram_sm_total", "ecc_sram_pcie_total", "ecc_sram_mcu_total",
    "ecc_sram_other_total", "sram_threshold_exceeded",
)  # fmt: skip
_MIG: Final = "A30, A100, Hopper and newer"

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        ("utilization_percent", "memory_utilization_percent"), FAST, "all, not while MIG is on",
        ask.numbers(
            ("utilization_percent", "memory_utilization_percent"), "nvmlDeviceGetUtilizationRates", form="II"
        ),
    ),
    Entry(("memory_total_mib", "memory_reserved_mib", "memory_used_mib"), FAST, "all", ask.memory),
    _number("power_watts", FAST, "Fermi and newer", "nvmlDeviceGetPowerUsage", scale=1e-3),
    _one("temperature_celsius", FAST, "all", ask.temperature),
    _clock("sm_clock_mhz", FAST, "nvmlDeviceGetClockInfo", 1),
    _clock("memory_clock_mhz", FAST, "nvmlDeviceGetClockInfo", 2),
    _one("clock_event_reasons", FAST, "all", ask.clock_event_reasons),
    _one(
        "temperature_margin_celsius", SLOW, "Ada, Hopper and newer, driver 550",
        ask.numbers(
            ("temperature_margin_celsius",), "nvmlDeviceGetMarginTemperature", form="i", version=0x1000008
        ),
    ),
    Entry(("processes", "process_memory_mib"), SLOW, "all", ask.processes),
    _one(
        "encoder_utilization_percent", SLOW, "boards with video units, not while MIG is on",
        ask.pair("encoder_utilization_percent", "", "nvmlDeviceGetEncoderUtilization"),
    ),
    _one(
        "decoder_utilization_percent", SLOW, "boards with video units, not while MIG is on",
        ask.pair("decoder_utilization_percent", "", "nvmlDeviceGetDecoderUtilization"),
    ),
    Entry(tuple(METRICS.values()), SLOW, "Hopper and newer", activity),
    Entry(
        ("fabric_state", "fabric_health", "fabric_health_bits"), SLOW,
        "Hopper and newer on NVSwitch", fabric,
    ),
    _number("pcie_link_generation", SLOW, "all", "nvmlDeviceGetCurrPcieLinkGeneration"),
    _number("pcie_link_width", SLOW, "all", "nvmlDeviceGetCurrPcieLinkWidth"),
    _number("power_limit_watts", SLOW, "Fermi and newer", "nvmlDeviceGetEnforcedPowerLimit", scale=1e-3),
    _errors("ecc_dram_corrected", 0, 0, _DRAM),
    _errors("ecc_dram_uncorrected", 1, 0, _DRAM),
    _errors("ecc_sram_corrected", 0, 0, _SRAM),
    _errors("ecc_sram_uncorrected", 1, 0, _SRAM),
    _errors("ecc_dram_corrected_total", 0, 1, _DRAM),
    _errors("ecc_dram_uncorrected_total", 1, 1, _DRAM),
    _errors("ecc_sram_corrected_total", 0, 1, _SRAM),
    _errors("ecc_sram_uncorrected_total", 1, 1, _SRAM),
    Entry(
        _SRAM_SIGNALS, RARE, "Ampere and newer, as root",
        ask.numbers(
            _SRAM_SIGNALS, "nvmlDeviceGetSramEccErrorStatus", form="4x48xQQQQQI4x", version=0x1000068
        ),
    ),
    _one(
        "repair_pending", RARE, "Ampere and newer, driver 575",
        ask.numbers(
            ("repair_pending",), "nvmlDeviceGetRepairStatus", form="II", version=0x100000C,
            join=lambda parts: float(any(parts)),
        ),
    ),
    _one(
        "memory_unrepairable", RARE, "Hopper and newer, driver 590",
        ask.numbers(
            ("memory_unrepairable",), "nvmlDeviceGetUnrepairableMemoryFlag_v1", form="I", version=0x1000008
        ),
    ),
    Entry(
        ("remap_banks_low", "remap_banks_exhausted"), RARE, "Ampere and newer, not while MIG is on",
        ask.numbers(
            ("remap_banks_low", "remap_banks_exhausted"), "nvmlDeviceGetRowRemapperHistogram", form="12xII"
        ),
    ),
    _clock("sm_clock_max_mhz", RARE, "nvmlDeviceGetMaxClockInfo", 1),
    _number(
        "power_limit_default_watts", RARE, "Kepler and newer", "nvmlDeviceGetPowerManagementDefaultLimit",
        scale=1e-3,
    ),
    _threshold("shutdown_temperature_celsius", 0),
    _threshold("slowdown_temperature_celsius", 1),
    _threshold("memory_temperature_max_celsius", 2),
    _number("pcie_link_generation_max", RARE, "all", "nvmlDeviceGetMaxPcieLinkGeneration"),
    _number("pcie_link_width_max", RARE, "all", "nvmlDeviceGetMaxPcieLinkWidth"),
    _one(
        "bar1_used_mib", RARE, "Kepler and newer",
        ask.numbers(
            ("bar1_used_mib",), "nvmlDeviceGetBAR1MemoryInfo", form="16xQ", scale=1 / (1 << 20)
        ),
    ),
    Entry(
        ("ecc_mode", "ecc_mode_pending"), RARE, "boards with ECC",
        ask.pair("ecc_mode", "ecc_mode_pending", "nvmlDeviceGetEccMode"),
    ),
    Entry(
        ("mig_mode", "mig_mode_pending"), SLOW, _MIG,
        ask.pair("mig_mode", "mig_mode_pending", "nvmlDeviceGetMigMode"),
    ),
    _one(
        "gsp_firmware", RARE, "Turing and newer",
        ask.pair("gsp_firmware", "", "nvmlDeviceGetGspFirmwareMode"),
    ),
    _number("persistence_mode", RARE, "all on Linux", "nvmlDeviceGetPersistenceMode"),
    _number("compute_mode", RARE, "all", "nvmlDeviceGetComputeMode"),
    _number("virtualization_mode", RARE, "all", "nvmlDeviceGetVirtualizationMode"),
    _number("fan_percent", RARE, "boards with fans of their own", "nvmlDeviceGetFanSpeed"),
)  # fmt: skip

BATCHES: Final[tuple[tuple[float, tuple[fields.Field, ...]], ...]] = (
    (FAST, fields.FAST),
    (SLOW, fields.SLOW),
    (RARE, fields.RARE),
)
LINKS_SUPPORT: Final = "boards with NVLink; error rate by link: before Blackwell as replay, recovery, CRC"


def support() -> dict[str, str]:
    """Return which boards and drivers give each signal."""
    told = dict.fromkeys(OWN, "always") | dict.fromkeys(links.SIGNALS, LINKS_SUPPORT)
    told |= {name: entry.support for entry in ENTRIES for name in entry.signals}
    told |= {field.signal: field.support for _, batch in BATCHES for field in batch}
    told["nvlink_tx_bytes_per_s"] = told["nvlink_rx_bytes_per_s"] = "Ampere and newer"
    return told | {"mig_instances": _MIG}


def periods() -> dict[str, float]:
    """Return how many seconds lie between two readings of each signal; 0 is at every beat."""
    told: dict[str, float] = dict.fromkeys(OWN, FAST) | dict.fromkeys((*links.SIGNALS, "mig_instances"), SLOW)
    told |= {name: entry.every_s for entry in ENTRIES for name in entry.signals}
    return told | {field.signal: every_s for every_s, batch in BATCHES for field in batch}


def signals() -> tuple[str, ...]:
    """Return every signal that the reader can give."""
    return tuple(support())
