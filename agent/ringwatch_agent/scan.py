"""Judges one look at this node: what is wrong, how badly, and what to do. Reads nothing, prints nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ringwatch_agent.look import Look, rows
from ringwatch_agent.scan_events import meaning
from ringwatch_agent.scan_rules import RULES
from ringwatch_agent.scan_trouble import Trouble
from ringwatch_agent.source_health import SourceHealth
from ringwatch_agent.sources.base import Device, EventRecord
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import GpuState, Table, is_whole_gpu

# What the kernel log holds from before is judged for this long: later, readings say whether it is so still.
RECENT_S: Final = 3600.0
_Gpu = tuple[Device, Mapping[str, float]]
_ALL_SILENT: Final = "no GPU answers: the driver holds every call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a look came to."""

    troubles: tuple[Trouble, ...]
    older_faults: int = 0

    @property
    def worst(self) -> Severity:
        """Return how bad the worst is; INFO for nothing."""
        return max((trouble.severity for trouble in self.troubles), default=Severity.INFO)


def judge(seen: Look, *, sysfs: Path = Path("/sys"), now_ns: int | None = None) -> Scan:
    """Return everything that a look shows to be wrong, the worst first."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    on_bus = pci_gpus(sysfs)
    gpus = _placed(list(rows(seen.tables[Table.GPU])) if Table.GPU in seen.tables else [], on_bus)
    found = [*_of_gpus(gpus), *_missing(gpus, on_bus), *_of_ports(seen)]
    for health in seen.health.values():
        found += _of_source(health, on_bus)
    recent = [event for event in seen.events if now_ns - event.wall_ns <= RECENT_S * 1e9]
    at_pci = {device.pci_address: device for device, _ in gpus if device.pci_address}
    by_id = {device.id: device for device, _ in gpus}
    for event in recent:
        found += _of_event(event, at_pci.get(event.device) or by_id.get(event.device))
    merged = sorted(_merged(found), key=lambda trouble: trouble.order)
    return Scan(troubles=tuple(merged), older_faults=len(seen.events) - len(recent))


def pci_gpus(sysfs: Path) -> tuple[str, ...]:
    """Return the addresses of NVIDIA GPUs that the PCI bus shows, whatever the driver knows of them."""
    found = []
    for device in sorted((sysfs / "bus/pci/devices").glob("*")):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == "0x10de" and kind[:6] in ("0x0300", "0x0302"):
            found.append(device.name)
    return tuple(found)


def _of_gpus(gpus: Sequence[_Gpu]) -> list[Trouble]:
    whole = [(device, readings) for device, readings in gpus if is_whole_gpu(device.id)]
    states = [readings.get("gpu.state") for _, readings in whole]
    if len(states) > 1 and all(state == GpuState.NOT_ANSWERING for state in states):
        return [_driver_silent(_ALL_SILENT)]
    return [
        Trouble(
            severity=rule.severity,
            fault_class=rule.fault_class,
            action=rule.action,
            runbook=rule.runbook,
            text=words,
            device=device.id,
            where=_where(device),
        )
        for device, readings in whole
        for rule in RULES
        if (words := rule.tells(readings))
    ]


def _driver_silent(text: str) -> Trouble:
    return Trouble(
        severity=Severity.CRITICAL,
        fault_class="driver.not_answering",
        action="reboot_node",
        runbook="gpu-not-answering",
        text=text,
    )


def _placed(gpus: list[_Gpu], on_bus: Sequence[str]) -> list[_Gpu]:
    """Give the one GPU that has not said who it is the one place on the bus that no other has."""
    listed = {device.pci_address for device, _ in gpus}
    places = [address for address in on_bus if address not in listed]
    nameless = [device for device, _ in gpus if device.id == device.name]
    if len(places) != 1 or len(nameless) != 1:
        return gpus
    return [
        (replace(device, pci_address=places[0]) if device is nameless[0] else device, readings)
        for device, readings in gpus
    ]


def _missing(gpus: Sequence[_Gpu], on_bus: Sequence[str]) -> list[Trouble]:
    listed = {device.pci_address for device, _ in gpus}
    nameless = sum(device.id == device.name for device, _ in gpus if not device.pci_address)
    missing = [address for address in on_bus if listed and address not in listed]
    return [
        Trouble(
            severity=Severity.CRITICAL,
            fault_class="gpu.missing",
            action="drain_and_reset",
            runbook="gpu-missing",
            text="it is on the PCI bus and NVML does not list it",
            device=address,
            where=address,
        )
        for address in (missing if len(missing) > nameless else ())
    ]


def _of_source(health: SourceHealth, on_bus: Sequence[str]) -> list[Trouble]:
    if health.up is not False and health.up is not None:
        return []
    if health.name != "nvml":
        return []
    if health.up is None:
        return [_driver_silent("the first reading of the GPUs has not come back")]
    if health.unsupported:
        return _no_driver(health.reason, on_bus)
    if "version mismatch" in health.reason:
        return [
            Trouble(
                severity=Severity.CRITICAL,
                fault_class="driver.library_mismatch",
                action="reboot_node",
                runbook="driver-mismatch",
                text=health.reason,
            )
        ]
    return [_driver_silent(health.reason)]


def _no_driver(reason: str, on_bus: Sequence[str]) -> list[Trouble]:
    if not on_bus:
        return []  # a node without GPUs
    return [
        Trouble(
            severity=Severity.CRITICAL,
            fault_class="driver.not_bound",
            action="fix_config",
            runbook="gpu-missing",
            text=f"{len(on_bus)} NVIDIA GPUs on the PCI bus and no driver: {reason}",
        )
    ]


def _of_ports(seen: Look) -> list[Trouble]:
    ports = rows(seen.tables[Table.PORT]) if Table.PORT in seen.tables else ()
    return [
        Trouble(
            severity=Severity.INFO,
            fault_class="ib_link.down" if "port.symbol_errors_per_s" in readings else "ethernet.link_down",
            action="check_link",
            runbook="port-down",
            text="the port is down; is a cable meant to be in it?",
            device=device.id,
            where=device.name,
            source="ports",
        )
        for device, readings in ports
        if readings.get("port.up") == 0
    ]


def _of_event(event: EventRecord, device: Device | None) -> list[Trouble]:
    """Judge what the driver or the kernel said; what readings show too is left to them."""
    told = meaning(event)
    if told is None:
        return []
    where = _where(device) if device else event.device
    return [replace(told, device=device.id if device else event.device, where=where, source=event.source)]


def _merged(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Make one of troubles of one class and device: the worst, with the words of all."""
    groups: dict[tuple[str, str], list[Trouble]] = {}
    for trouble in troubles:
        groups.setdefault((trouble.device, trouble.fault_class), []).append(trouble)
    merged = []
    for group in groups.values():
        worst = max(group, key=lambda trouble: trouble.severity)
        words = "; ".join(dict.fromkeys(trouble.text for trouble in group))
        merged.append(replace(worst, text=words))
    return merged


def _where(device: Device) -> str:
    return f"{device.name} ({device.pci_address})" if device.pci_address else device.name
