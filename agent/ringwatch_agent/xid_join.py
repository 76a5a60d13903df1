"""Makes one event of an Xid that both the kernel log and NVML told. Reads nothing, judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ringwatch_agent.sources.base import Device, EventRecord, Reading
from ringwatch_agent.sources.repeats import Repeats
from ringwatch_proto import events
from ringwatch_proto.signals import Table

# The kernel's line has the driver's words and NVML's event has none, so the line is worth waiting for.
HOLD_S: Final = 2.0
# A line tells for the events of its kind until this long after it; a flood of lines is told anew every 5 s.
JOIN_S: Final = 8.0
# The GPU's firmware has stopped answering the driver: https://docs.nvidia.com/deploy/xid-errors/
FIRMWARE_XIDS: Final = frozenset({119, 120})
_KERNEL, _NVML = "kmsg", "nvml"
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    key: _Key
    event: EventRecord
    since_s: float


class XidJoin:
    """Sits between sources and encoder.

    An Xid of NVML waits ``HOLD_S`` for its line in the kernel log and is told alone when none comes.
    ``on_firmware`` is called with the GPU of an Xid that says its firmware is silent.
    """

    def __init__(self, on_firmware: Callable[[str], None] = lambda _: None) -> None:
        self.joined = 0
        self._on_firmware = on_firmware
        self._devices: tuple[Device, ...] = ()
        self._at_pci: dict[str, str] = {}
        self._lines_s: dict[_Key, float] = {}
        self._held: list[_Held] = []
        self._repeats = Repeats()

    def join(self, readings: Sequence[Reading], now_s: float) -> list[Reading]:
        """Return the readings with each Xid once; ``now_s`` is monotonic."""
        for reading in readings:
            self._learn(reading)
        # Lines first, whichever source was read first in this beat.
        joined = [self._with(reading, _KERNEL, self._line, now_s) for reading in readings]
        joined = [self._with(reading, _NVML, self._hold, now_s) for reading in joined]
        told = self._told_alone(now_s)
        return [*joined, Reading(events=tuple(told))] if told else joined

    def rest(self) -> list[EventRecord]:
        """Return what still waits for its line."""
        held, self._held = self._held, []
        return [each.event for each in held]

    def _learn(self, reading: Reading) -> None:
        for table in reading.tables:
            if table.table is Table.GPU and table.devices is not self._devices:
                self._devices = table.devices
                self._at_pci = {
                    device.pci_address: device.id for device in table.devices if device.pci_address
                }

    def _with(
        self,
        reading: Reading,
        source: str,
        take: Callable[[EventRecord, float], list[EventRecord]],
        now_s: float,
    ) -> Reading:
        if not any(_is_xid(event, source) for event in reading.events):
            return reading
        told: list[EventRecord] = []
        for event in reading.events:
            told += take(event, now_s) if _is_xid(event, source) else [event]
        return replace(reading, events=tuple(told))

    def _key(self, event: EventRecord) -> _Key:
        return self._at_pci.get(event.device, event.device), event.code

    def _line(self, event: EventRecord, now_s: float) -> list[EventRecord]:
        key = self._key(event)
        self._lines_s[key] = now_s
        if event.code in FIRMWARE_XIDS:
            self._on_firmware(key[0])
        waiting = [held for held in self._held if held.key == key]
        if waiting:
            self._held = [held for held in self._held if held.key != key]
            self.joined += len(waiting)
            event = replace(event, fields={**event.fields, "seen_by": "kmsg, nvml"})
        return [event]

    def _hold(self, event: EventRecord, now_s: float) -> list[EventRecord]:
        key = self._key(event)
        if now_s - self._lines_s.get(key, float("-inf")) <= JOIN_S:
            self.joined += 1
        else:
            self._held.append(_Held(key=key, event=event, since_s=now_s))
        return []

    def _told_alone(self, now_s: float) -> list[EventRecord]:
        due = [held for held in self._held if now_s - held.since_s >= HOLD_S]
        if due:
            self._held = [held for held in self._held if now_s - held.since_s < HOLD_S]
        if self._lines_s:
            self._lines_s = {key: at_s for key, at_s in self._lines_s.items() if now_s - at_s <= JOIN_S}
        told = [event for held in due for event in self._repeats.take(held.key, held.event, now_s)]
        return told + self._repeats.due(now_s)


def _is_xid(event: EventRecord, source: str) -> bool:
    return event.kind == events.GPU_XID and event.source == source and not event.backfill
