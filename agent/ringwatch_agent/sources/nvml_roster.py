"""Which GPUs this node has and had: a GPU that was seen once keeps its row. Reads nothing, tells nothing."""

from __future__ import annotations

import math
from array import array
from typing import Final

from ringwatch_agent.sources.base import Device, TableReading
from ringwatch_agent.sources.pipe_frames import Json
from ringwatch_proto.signals import GpuState, Table, columns_of, is_whole_gpu

_SIGNALS: Final = columns_of(Table.GPU)
COLUMNS: Final = tuple(signal.name.removeprefix("gpu.") for signal in _SIGNALS)
_IDS: Final = tuple(signal.id for signal in _SIGNALS)
WIDTH: Final = len(_IDS)
STATE: Final = COLUMNS.index("state")


class Roster:
    """Keyed by UUID: an index may be another GPU's after a reload, and one that is gone is lost."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.facts: dict[str, dict[str, str]] = {}
        self.epoch = -1
        self._listed: tuple[str, ...] = ()
        self._lost = array("f", [math.nan] * WIDTH)
        self._lost[STATE] = float(GpuState.LOST)

    def learn(self, words: Json) -> None:
        """Take in what the reader lists, when its list is new."""
        if "devices" not in words:
            return
        self.epoch = int(words["epoch"])
        listed = [_device(each) for each in words["devices"]]
        facts = [
            {str(name): str(value) for name, value in each["facts"].items()} for each in words["devices"]
        ]
        driver = {"driver": str(words.get("driver", ""))}
        listed = self._by_elimination(listed)
        self._forget(listed)
        for device, told in zip(listed, facts, strict=True):
            if device.pci_address or device.id not in self.devices:
                self.devices[device.id] = device
                self.facts[device.id] = driver | told
        self._listed = tuple(device.id for device in listed)
        self._name_the_lost()
        lost = [id for id in self.devices if id not in self._listed]
        self.devices = {id: self.devices[id] for id in (*self._listed, *lost)}

    def _by_elimination(self, listed: list[Device]) -> list[Device]:
        """Recognise a GPU that did not say who it is as the one that is missing from the list."""
        named = {device.id for device in listed}
        missing = [known for id, known in self.devices.items() if id not in named and _is_known(known)]
        result = []
        for device in listed:
            at_index = [known for known in missing if known.name == device.name]
            candidates = at_index or (missing if len(missing) == 1 else [])
            if _is_nameless(device) and candidates:
                missing.remove(candidates[0])
                result.append(candidates[0])
            else:
                result.append(device)
        return result

    def _forget(self, listed: list[Device]) -> None:
        """Forget what cannot be lost: instances that were taken apart, and stand-ins."""
        named = {device.id for device in listed}
        for id, device in list(self.devices.items()):
            if id not in named and not _is_known(device):
                del self.devices[id]
                self.facts.pop(id, None)

    def _name_the_lost(self) -> None:
        """Take the name away from a GPU whose index is another's now."""
        names = {self.devices[id].name for id in self._listed}
        for id, device in self.devices.items():
            if id not in self._listed and device.name in names:
                self.devices[id] = Device(
                    id=id,
                    name=f"was {device.name}",
                    pci_address=device.pci_address,
                    model=device.model,
                )

    def table(self, numbers: bytes) -> TableReading | None:
        """Return the table of all rows, None when these numbers do not fit the list."""
        values = array("f")
        if len(numbers) != len(self._listed) * WIDTH * values.itemsize:
            return None
        values.frombytes(numbers)
        if tuple(self.devices) != self._listed:
            row_of = {id: row for row, id in enumerate(self._listed)}
            ordered = array("f")
            for id in self.devices:
                row = row_of.get(id)
                ordered += self._lost if row is None else values[row * WIDTH : (row + 1) * WIDTH]
            values = ordered
        return TableReading(
            table=Table.GPU, devices=tuple(self.devices.values()), signals=_IDS, values=values
        )

    def is_listed(self, id: str) -> bool:
        """Return whether NVML lists the device now."""
        return id in self._listed


def _device(told: Json) -> Device:
    return Device(
        id=str(told["id"]),
        name=str(told["name"]),
        pci_address=str(told["pci_address"]),
        model=str(told["model"]),
    )


def _is_nameless(device: Device) -> bool:
    return device.id == device.name


def _is_known(device: Device) -> bool:
    return not _is_nameless(device) and is_whole_gpu(device.id)
