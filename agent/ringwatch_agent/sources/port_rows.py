"""Finds the network ports in sysfs and reads one: an Ethernet interface, or a port of an RDMA device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import Device
from ringwatch_agent.sources.kept_files import KeptFile, children, read_number, read_word
from ringwatch_agent.sources.port_counters import NET_FAST, RDMA_FAST, WORDS

# A node has tens of ports; one with thousands of container interfaces must not flood the fleet.
MAX_PORTS: Final = 128
_RDMA_ACTIVE: Final = "4"
# The speed of some drivers asks the firmware: it is looked at when the link turns, and every so many reads.
_SPEED_EVERY: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRow:
    """One port now; counters are as they stand, absent ones are left out."""

    device: Device
    up: bool
    speed_gbit_per_s: float
    counters: Mapping[str, int]
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPlace:
    """Where a port lies in sysfs. ``name`` is the interface of the kernel, empty for an RDMA port."""

    device: Device
    folder: Path
    interface: str = ""


def find_ports(sysfs: Path, with_address: frozenset[str], off: frozenset[str]) -> list[PortPlace]:
    """Return the ports that matter, without those whose name fits a pattern of ``off``."""
    places = [*_interfaces(sysfs, with_address), *_rdma_ports(sysfs)]
    return [place for place in places if not any(fnmatchcase(place.device.name, each) for each in off)]


def _interfaces(sysfs: Path, with_address: frozenset[str]) -> Iterator[PortPlace]:
    """Yield hardware, and whatever else has an address.

    A bridge counts only when hardware is in it: those of container engines have the same address
    on every node and would make all nodes look like one.
    """
    for path in children(sysfs / "class/net"):
        wanted = _is_hardware(path) and not _is_virtual_function(path)
        if path.name == "lo" or not (wanted or path.name in with_address):
            continue
        members = [path.parent / each.name for each in children(path / "brif")]
        if (path / "bridge").is_dir() and not any(map(_is_hardware, members)):
            continue
        device = Device(id=path.name, name=path.name, pci_address=_pci(path), model=_driver(path))
        yield PortPlace(device=device, folder=path, interface=path.name)


def _rdma_ports(sysfs: Path) -> Iterator[PortPlace]:
    """Yield the ports of RDMA devices, without virtual functions, which count wrongly or nothing."""
    for device in children(sysfs / "class/infiniband"):
        if _is_virtual_function(device):
            continue
        for port in children(device / "ports"):
            name = f"{device.name}/{port.name}"
            yield PortPlace(
                device=Device(
                    id=name, name=name, pci_address=_pci(device), model=read_word(device / "hca_type")
                ),
                folder=port,
            )


class PortReader:
    """Reads one port once a second. ``keep`` keeps its files open."""

    def __init__(self, place: PortPlace, *, keep: bool = True) -> None:
        self.place = place
        counters = NET_FAST if place.interface else RDMA_FAST
        self._state = KeptFile(place.folder / ("carrier" if place.interface else "state"), keep=keep)
        self._counters = {name: KeptFile(place.folder / file, keep=keep) for name, file in counters.items()}
        self._index = read_number(place.folder / "ifindex") or 0 if place.interface else 0
        self._up: bool | None = None
        self._speed = math.nan
        self._reads = 0

    def read(self) -> PortRow:
        """Return the port now."""
        word = self._state.word()
        up = word == "1" if self.place.interface else word.partition(":")[0] == _RDMA_ACTIVE
        if up != self._up or self._reads % _SPEED_EVERY == 0:
            self._speed = self._read_speed()
        self._up = up
        self._reads += 1
        counts = ((name, file.number()) for name, file in self._counters.items())
        times = 1 if self.place.interface else 4
        return PortRow(
            device=self.place.device,
            up=up,
            speed_gbit_per_s=self._speed,
            counters={
                name: count * (times if name in WORDS else 1) for name, count in counts if count is not None
            },
            index=self._index,
        )

    def close(self) -> None:
        """Let go of its files."""
        for file in (self._state, *self._counters.values()):
            file.close()

    def _read_speed(self) -> float:
        if not self.place.interface:
            return _leading_number(read_word(self.place.folder / "rate"))
        speed = read_number(self.place.folder / "speed")
        return speed / 1000 if speed is not None and speed > 0 else math.nan


def _leading_number(text: str) -> float:
    try:
        return float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return math.nan


def _is_hardware(path: Path) -> bool:
    return (path / "device").exists()


def _is_virtual_function(path: Path) -> bool:
    return (path / "device/physfn").exists()


def _driver(path: Path) -> str:
    driver = path / "device/driver"
    return driver.resolve().name if driver.exists() else ""


def _pci(path: Path) -> str:
    for part in reversed((path / "device").resolve().parts):
        if part.count(":") == 2 and "." in part:
            return part
    return ""
