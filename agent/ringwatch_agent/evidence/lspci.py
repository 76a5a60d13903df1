"""Reads lspci -vv: what each device can do and what its link does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge import kernel_log
from ringwatch_knowledge.observation import Observation

_DEVICE: Final = re.compile(
    r"^(?P<pci>(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) (?P<what>[A-Z0-9].*)$"
)
_LINK: Final = re.compile(
    r"Lnk(?P<which>Cap|Sta):.*?Speed (?P<speed>[\d.]+|unknown)(?:GT/s)?(?P<slow> \(downgraded\))?[^,]*,.*?"
    r"Width x(?P<width>\d+)(?P<narrow> \(downgraded\))?"
)
_GPU: Final = re.compile(r"NVIDIA|AMD/ATI|Instinct|\[10de:", re.IGNORECASE)
_NIC: Final = re.compile(r"Mellanox|ConnectX|Infiniband|BlueField|Elastic Fabric", re.IGNORECASE)


class LspciReader:
    """Reads the link lines under each device."""

    kind = "lspci"

    def __init__(self) -> None:
        self._device = ""
        self._what = ""

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the capability and the state of a device's link."""
        device = _DEVICE.match(line.text)
        if device:
            self._device, self._what = kernel_log.pci_address(device["pci"]), device["what"]
            return
        link = _LINK.search(line.text)
        if link:
            yield observed(
                line,
                "pcie",
                link["which"].lower(),
                value=float(link["width"]),
                word=self._kind(),
                device=self._device,
                fields={
                    "speed": link["speed"],
                    "slow": "yes" if link["slow"] else "",
                    "narrow": "yes" if link["narrow"] else "",
                },
            )

    def _kind(self) -> str:
        if _GPU.search(self._what) and "bridge" not in self._what.lower():
            return "gpu"
        return "nic" if _NIC.search(self._what) else "other" if self._what else ""
