"""Reads one network port out of sysfs: an Ethernet interface, or a port of an RDMA device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Device

# Signal of the catalogue -> file under statistics/.
_NET_COUNTERS: Final[Mapping[str, str]] = {
    "rx_bytes_per_s": "statistics/rx_bytes",
    "tx_bytes_per_s": "statistics/tx_bytes",
    "rx_errors_per_s": "statistics/rx_errors",
    "tx_errors_per_s": "statistics/tx_errors",
    "rx_drops_per_s": "statistics/rx_dropped",
    "tx_drops_per_s": "statistics/tx_dropped",
    "carrier_changes_per_s": "carrier_changes",
}
# https://enterprise-support.nvidia.com/s/article/understanding-mlx5-linux-counters-and-status-parameters
_RDMA_COUNTERS: Final[Mapping[str, str]] = {
    "rx_bytes_per_s": "counters/port_rcv_data",
    "tx_bytes_per_s": "counters/port_xmit_data",
    "rx_errors_per_s": "counters/port_rcv_errors",
    "tx_drops_per_s": "counters/port_xmit_discards",
    "symbol_errors_per_s": "counters/symbol_error",
    "link_downed_per_s": "counters/link_downed",
    "link_recoveries_per_s": "counters/link_error_recovery",
    "out_of_sequence_per_s": "hw_counters/out_of_sequence",
    "congestion_notices_per_s": "hw_counters/np_cnp_sent",
    "ecn_marked_per_s": "hw_counters/np_ecn_marked_roce_packets",
}
# These two count 32-bit words (InfiniBand specification, PortCountersExtended).
_WORDS: Final = frozenset({"rx_bytes_per_s", "tx_bytes_per_s"})
_RDMA_ACTIVE: Final = "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRow:
    """One port now; counters are as they stand, absent ones are left out."""

    device: Device
    up: bool
    speed_gbit_per_s: float
    counters: Mapping[str, int]
    index: int = 0


def net_rows(sysfs: Path, with_address: frozenset[str]) -> Iterator[PortRow]:
    """Yield the Ethernet interfaces that matter: hardware, and whatever else has an address.

    A bridge counts only when hardware is in it: those of container engines have the same address
    on every node and would make all nodes look like one.
    """
    for path in sorted(_children(sysfs / "class/net")):
        if path.name == "lo" or not (_is_hardware(path) or path.name in with_address):
            continue
        members = [path.parent / each.name for each in _children(path / "brif")]
        if (path / "bridge").is_dir() and not any(map(_is_hardware, members)):
            continue
        yield _net_row(path)


def rdma_rows(sysfs: Path) -> Iterator[PortRow]:
    """Yield the ports of the RDMA devices."""
    for device in sorted(_children(sysfs / "class/infiniband")):
        for port in sorted(_children(device / "ports")):
            yield _rdma_row(device, port)


def _net_row(path: Path) -> PortRow:
    speed = number(path / "speed")
    return PortRow(
        device=Device(id=path.name, name=path.name, pci_address=_pci(path), model=_driver(path)),
        up=number(path / "carrier") == 1,
        speed_gbit_per_s=speed / 1000 if speed is not None and speed > 0 else math.nan,
        counters=_counters(path, _NET_COUNTERS),
        index=number(path / "ifindex") or 0,
    )


def _rdma_row(device: Path, port: Path) -> PortRow:
    name = f"{device.name}/{port.name}"
    counters = _counters(port, _RDMA_COUNTERS)
    return PortRow(
        device=Device(id=name, name=name, pci_address=_pci(device), model=_word(device / "hca_type")),
        up=_word(port / "state").partition(":")[0] == _RDMA_ACTIVE,
        speed_gbit_per_s=_leading_number(_word(port / "rate")),
        counters={key: count * 4 if key in _WORDS else count for key, count in counters.items()},
    )


def number(path: Path) -> int | None:
    """Return the whole number in a sysfs file; None when there is none or it cannot be read now."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _counters(path: Path, files: Mapping[str, str]) -> dict[str, int]:
    counts = ((signal, number(path / file)) for signal, file in files.items())
    return {signal: count for signal, count in counts if count is not None}


def _word(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _leading_number(text: str) -> float:
    try:
        return float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return math.nan


def _is_hardware(path: Path) -> bool:
    return (path / "device").exists()


def _driver(path: Path) -> str:
    driver = path / "device/driver"
    return driver.resolve().name if driver.exists() else ""


def _pci(path: Path) -> str:
    for part in reversed((path / "device").resolve().parts):
        if part.count(":") == 2 and "." in part:
            return part
    return ""


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
