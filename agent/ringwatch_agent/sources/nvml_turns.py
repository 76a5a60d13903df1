"""Turns what changed between two readings of the GPUs into events. Reads nothing."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from typing import Final

from ringwatch_agent.sources.base import Device, EventRecord, TableReading
from ringwatch_agent.sources.nvml_roster import STATE, WIDTH
from ringwatch_agent.sources.pipe_frames import Json
from ringwatch_knowledge.xid import lookup
from ringwatch_proto import events
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import GpuState, is_whole_gpu

SOURCE: Final = "nvml"
_EVENT_OF: Final = {
    GpuState.LOST: events.GPU_LOST,
    GpuState.NEEDS_RESET: events.GPU_NEEDS_RESET,
    GpuState.NOT_ANSWERING: events.GPU_NOT_ANSWERING,
    GpuState.FAILING: events.GPU_READS_FAIL,
}
_UNLISTED: Final = "NVML no longer lists it"


class Turns:
    """Remembers the state and the links of each GPU."""

    def __init__(self) -> None:
        self._states: dict[str, float] = {}
        self._down: dict[str, frozenset[int]] = {}

    def take(self, table: TableReading, why: Mapping[str, str], down: Json) -> list[EventRecord]:
        """Return what happened since the last reading."""
        told: list[EventRecord] = []
        states = table.values[STATE::WIDTH]
        for device, state in zip(table.devices, states, strict=True):
            before = self._states.get(device.id, float(GpuState.OK))
            if math.isnan(state) or state == before or not is_whole_gpu(device.id):
                continue
            self._states[device.id] = state
            told.append(_turned(device, GpuState(int(state)), why.get(device.id) or _UNLISTED))
        if len(told) > 1 and all(state == GpuState.NOT_ANSWERING for state in self._states.values()):
            told = [_blocked(len(told))]
        links = {device.id: frozenset(down.get(device.id, ())) for device in table.devices}
        if links != self._down:
            told += self._links(table, links)
        return told

    def _links(self, table: TableReading, links: dict[str, frozenset[int]]) -> list[EventRecord]:
        # Links that were down from the start are the build of the node, unless siblings have more.
        usual = statistics.median_low([len(down) for down in links.values()])
        told = []
        for device in table.devices:
            down, before = links[device.id], self._down.get(device.id)
            came = down - before if before is not None else down
            if came and (before is not None or len(down) > usual):
                told.append(_link_down(device, came))
        self._down = links
        return told


def _turned(device: Device, state: GpuState, why: str) -> EventRecord:
    recovered = state is GpuState.OK
    return EventRecord(
        wall_ns=time.time_ns(),
        kind=events.GPU_RECOVERED if recovered else _EVENT_OF[state],
        severity=Severity.INFO if recovered else Severity.CRITICAL,
        source=SOURCE,
        device=device.id,
        text=f"{_where(device)}: " + ("answers again" if recovered else why),
        fields={"state": state.name.lower()},
    )


def _blocked(gpus: int) -> EventRecord:
    return EventRecord(
        wall_ns=time.time_ns(),
        kind=events.GPU_NOT_ANSWERING,
        severity=Severity.CRITICAL,
        source=SOURCE,
        text=f"none of {gpus} GPUs answers: the driver holds every call",
        fields={"state": GpuState.NOT_ANSWERING.name.lower()},
    )


def _link_down(device: Device, links: frozenset[int]) -> EventRecord:
    names = ", ".join(str(link) for link in sorted(links))
    return EventRecord(
        wall_ns=time.time_ns(),
        kind=events.NVLINK_DOWN,
        severity=Severity.CRITICAL,
        source=SOURCE,
        device=device.id,
        text=f"{_where(device)}: NVLink {names} is down",
        fields={"links": names},
    )


def xid(device: Device | None, told: Json) -> EventRecord:
    """Return the event of an Xid that NVML reported."""
    code = int(told["code"])
    where = _where(device) if device else "a GPU"
    parts = ("gpu_instance", "compute_instance")
    return EventRecord(
        wall_ns=int(told["wall_ns"]),
        kind=events.GPU_XID,
        severity=lookup(code).severity,
        source=SOURCE,
        device=str(told["gpu"]),
        code=code,
        text=f"{where}: NVML reports Xid {code}",
        fields={name: str(told[name]) for name in parts if name in told},
    )


def _where(device: Device) -> str:
    return f"{device.name} ({device.pci_address})"
