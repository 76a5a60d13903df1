"""Shows GPU readings once more under the DCGM_FI_* names and labels that existing dashboards ask for.

Only what can be said in the same unit is here: counters that cross as rates have no such name. Names,
units and types are those of dcgm-exporter's etc/default-counters.csv and DCGM's dcgm_fields.h.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.metrics_text import family, labels
from ringwatch_agent.sampler import Instant
from ringwatch_agent.sources.base import Device, EventRecord, TableReading
from ringwatch_proto import events
from ringwatch_proto.signals import BY_ID, BY_NAME, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class DcgmField:
    """One name: which signal it shows, and by what factor."""

    name: str
    signal: str
    help: str
    kind: str = "gauge"
    factor: float = 1.0


def _field(name: str, signal: str, help: str, kind: str = "gauge", factor: float = 1.0) -> DcgmField:
    return DcgmField(name=name, signal=f"gpu.{signal}", help=help, kind=kind, factor=factor)


FIELDS: Final[tuple[DcgmField, ...]] = (
    _field("DCGM_FI_DEV_SM_CLOCK", "sm_clock_mhz", "SM clock frequency (in MHz)."),
    _field("DCGM_FI_DEV_MEM_CLOCK", "memory_clock_mhz", "Memory clock frequency (in MHz)."),
    _field("DCGM_FI_DEV_MEMORY_TEMP", "memory_temperature_celsius", "Memory temperature (in C)."),
    _field("DCGM_FI_DEV_GPU_TEMP", "temperature_celsius", "GPU temperature (in C)."),
    _field("DCGM_FI_DEV_POWER_USAGE", "power_watts", "Power draw (in W)."),
    _field("DCGM_FI_DEV_POWER_MGMT_LIMIT", "power_limit_watts", "Power management limit (in W)."),
    _field("DCGM_FI_DEV_GPU_UTIL", "utilization_percent", "GPU utilization (in %)."),
    _field("DCGM_FI_DEV_MEM_COPY_UTIL", "memory_utilization_percent", "Memory utilization (in %)."),
    _field("DCGM_FI_DEV_ENC_UTIL", "encoder_utilization_percent", "Encoder utilization (in %)."),
    _field("DCGM_FI_DEV_DEC_UTIL", "decoder_utilization_percent", "Decoder utilization (in %)."),
    _field("DCGM_FI_DEV_FB_USED", "memory_used_mib", "Framebuffer memory used (in MiB)."),
    _field("DCGM_FI_DEV_FB_TOTAL", "memory_total_mib", "Framebuffer memory (in MiB)."),
    _field("DCGM_FI_DEV_FB_RESERVED", "memory_reserved_mib", "Framebuffer memory reserved (in MiB)."),
    _field("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "clock_event_reasons", "Clocks event reasons bit mask."),
    _field("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "ecc_corrected", "Single-bit volatile ECC errors.", "counter"),
    _field("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "ecc_uncorrected", "Double-bit volatile ECC errors.", "counter"),
    _field(
        "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "ecc_corrected_total", "Single-bit persistent ECC errors.", "counter"
    ),
    _field(
        "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL",
        "ecc_uncorrected_total",
        "Double-bit persistent ECC errors.",
        "counter",
    ),
    _field(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "remapped_rows",
        "Number of remapped rows for uncorrectable errors",
        "counter",
    ),
    _field(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "remapped_rows_corrected",
        "Number of remapped rows for correctable errors",
        "counter",
    ),
    _field("DCGM_FI_DEV_ROW_REMAP_PENDING", "remap_pending", "Whether remapping of rows is pending"),
    _field("DCGM_FI_DEV_ROW_REMAP_FAILURE", "remap_failed", "Whether remapping of rows has failed"),
    _field("DCGM_FI_DEV_PCIE_LINK_GEN", "pcie_link_generation", "PCIe current link generation."),
    _field("DCGM_FI_DEV_PCIE_LINK_WIDTH", "pcie_link_width", "PCIe current link width."),
    _field("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "pcie_link_width_max", "PCIe max link width."),
    _field("DCGM_FI_DEV_FAN_SPEED", "fan_percent", "Fan speed (in 0-100%)."),
    _field("DCGM_FI_PROF_PCIE_TX_BYTES", "pcie_tx_bytes_per_s", "PCIe bytes sent (in B/s)."),
    _field("DCGM_FI_PROF_PCIE_RX_BYTES", "pcie_rx_bytes_per_s", "PCIe bytes received (in B/s)."),
    _field("DCGM_FI_PROF_NVLINK_TX_BYTES", "nvlink_tx_bytes_per_s", "NVLink bytes sent (in B/s)."),
    _field("DCGM_FI_PROF_NVLINK_RX_BYTES", "nvlink_rx_bytes_per_s", "NVLink bytes received (in B/s)."),
    _field("DCGM_FI_PROF_SM_ACTIVE", "sm_activity_percent", "Ratio of SM activity.", factor=0.01),
    _field("DCGM_FI_PROF_SM_OCCUPANCY", "sm_occupancy_percent", "Ratio of resident warps.", factor=0.01),
    _field("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "tensor_activity_percent", "Tensor activity.", factor=0.01),
    _field("DCGM_FI_PROF_DRAM_ACTIVE", "dram_activity_percent", "Memory interface activity.", factor=0.01),
)

# An Xid is an event: its count over a window is what dcgm-exporter calls the same thing, and unlike
# DCGM_FI_DEV_XID_ERRORS, the last code for ever, it ends and hides no repetition.
_XIDS: Final = "DCGM_EXP_XID_ERRORS_COUNT"
_XID_WINDOW_S: Final = 300.0
_MAX_XIDS: Final = 4096
_WHOLE_GPU: Final = re.compile(r"gpu(\d+)")


class DcgmFace:
    """Renders GPU tables under DCGM's names, and counts the Xids of the last five minutes."""

    def __init__(self, hostname: str, *, clock: Callable[[], Instant] = Instant.now) -> None:
        self._hostname = hostname
        self._clock = clock
        self._xids: deque[tuple[int, str, int, int]] = deque(maxlen=_MAX_XIDS)

    def note(self, records: Iterable[EventRecord]) -> None:
        """Remember the Xids among events that were just read."""
        now_ns = self._clock().monotonic_ns
        for event in records:
            if event.kind == events.GPU_XID and not event.backfill:
                times = _count(event.fields.get("repeats", "1"))
                self._xids.append((now_ns, event.device, event.code, times))

    def lines(self, tables: Iterable[TableReading]) -> list[str]:
        """Return the lines of every GPU table that is fresh."""
        gpus = [table for table in tables if table.table is Table.GPU]
        return [line for table in gpus for line in self._lines(table)]

    def _lines(self, table: TableReading) -> Iterator[str]:
        rows = {row: at for row, each in enumerate(table.devices) if (at := _pairs(each, self._hostname))}
        width = len(table.signals)
        for each in FIELDS:
            signal = BY_NAME[each.signal].id
            if signal in table.signals:
                cells = table.values[table.signals.index(signal) :: width]
                yield from family(
                    each.name,
                    each.kind,
                    each.help,
                    [(labels(**at), cells[row] * each.factor) for row, at in rows.items()],
                )
        yield from self._framebuffer_free(table, rows)
        yield from self._xid_counts([(table.devices[row], at) for row, at in rows.items()])

    def _framebuffer_free(self, table: TableReading, rows: Mapping[int, Mapping[str, str]]) -> Iterator[str]:
        column = {BY_ID[signal].name: index for index, signal in enumerate(table.signals)}
        wanted = ("gpu.memory_total_mib", "gpu.memory_used_mib")
        if not all(name in column for name in wanted):
            return
        width = len(table.signals)
        cells: list[tuple[str, float]] = []
        for row, at in rows.items():
            total, used = (table.values[row * width + column[name]] for name in wanted)
            reserved = (
                table.values[row * width + column["gpu.memory_reserved_mib"]]
                if "gpu.memory_reserved_mib" in column
                else 0.0
            )
            cells.append((labels(**at), total - used - (0.0 if math.isnan(reserved) else reserved)))
        yield from family("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", cells)

    def _xid_counts(self, gpus: Sequence[tuple[Device, Mapping[str, str]]]) -> Iterator[str]:
        oldest_ns = self._clock().monotonic_ns - round(_XID_WINDOW_S * 1e9)
        while self._xids and self._xids[0][0] < oldest_ns:
            self._xids.popleft()
        cells: list[tuple[str, float]] = []
        for device, at in gpus:
            known_as = {device.id, device.pci_address}
            counts: Counter[int] = Counter()
            for _, where, code, times in self._xids:
                if where in known_as:
                    counts[code] += times
            window = str(round(_XID_WINDOW_S * 1000))
            cells += [
                (labels(**at, window_size_in_ms=window, xid=str(code)), float(count))
                for code, count in sorted(counts.items())
            ]
        yield from family(_XIDS, "gauge", "Count of XID Errors within user-specified time window.", cells)


def _pairs(device: Device, hostname: str) -> dict[str, str]:
    """Return the labels of dcgm-exporter; none for a part of a GPU."""
    found = _WHOLE_GPU.fullmatch(device.name)
    if found is None:
        return {}
    return {
        "gpu": found[1],
        "UUID": device.id,
        "pci_bus_id": _eight_digits(device.pci_address),
        "device": f"nvidia{found[1]}",
        "modelName": device.model,
        "Hostname": hostname,
    }


def _eight_digits(pci_address: str) -> str:
    """Write a PCI address as NVML and DCGM do: ``00000000:41:00.0``."""
    domain, separator, rest = pci_address.partition(":")
    return f"{domain.zfill(8)}:{rest}".upper() if separator else pci_address


def _count(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 1
