"""Reads the text of nvidia-smi: -q or a piece of it, the table, nvlink status, topology."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence import gpu_names
from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge import kernel_log
from ringwatch_knowledge.observation import Observation

_KEY: Final = re.compile(r"^(?P<indent>[ \t]*)(?P<key>[A-Z][\w .,/()-]{1,48}?)\s*(?::\s+(?P<value>\S.*))?$")
_GPU: Final = re.compile(r"^GPU (?P<pci>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)")
_DEEPEST: Final = 8


class SmiQueryReader:
    """Reads ``Key : Value`` lines under their headings, by indentation."""

    kind = "nvidia-smi -q"

    def __init__(self) -> None:
        self._headings: list[tuple[int, str]] = []
        self._device = ""

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the reading of a line that somebody judges."""
        gpu = _GPU.match(line.text)
        if gpu:
            self._device, self._headings = kernel_log.pci_address(gpu["pci"]), []
            return
        found = _KEY.match(line.text)
        if not found:
            return
        indent = len(found["indent"].expandtabs(4))
        self._headings = [each for each in self._headings if each[0] < indent][-_DEEPEST:]
        key = found["key"].strip().lower().replace(" ", "_")
        if found["value"] is None:
            self._headings.append((indent, key))
            return
        name = gpu_names.of_path("/".join([*(each for _, each in self._headings), key]))
        if name:
            word = found["value"].strip()
            yield observed(line, "gpu", name, value=gpu_names.number(word), word=word, device=self._device)


_ROW: Final = re.compile(
    r"^\|\s+(?P<index>\d+)\s+(?P<model>\S.*?)\s+(?:On|Off|N/A|ERR!)\s*\|\s*(?P<pci>[0-9A-Fa-f:.]{7,16})\s+\S+\s*\|\s*(?P<ecc>\S+)"
)
_SECOND: Final = re.compile(
    r"^\|\s*(?P<fan>\d+%|N/A|ERR!)\s+(?P<temp>\d+C|N/A|ERR!)\s+(?P<perf>P\d+|N/A|ERR!)\s+(?P<power>[^|]+?)\s*\|"
    r"[^|]*\|\s*(?P<util>\d+%|N/A|ERR!)"
)


class SmiTableReader:
    """Reads the two lines that nvidia-smi prints for each GPU."""

    kind = "nvidia-smi"

    def __init__(self) -> None:
        self._device = ""

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield what one line of the table says."""
        if not line.text.startswith("|"):
            return
        row = _ROW.match(line.text)
        if row:
            self._device = kernel_log.pci_address(row["pci"])
            yield observed(line, "gpu", "listed", word=row["model"], device=self._device)
            yield observed(
                line,
                "gpu",
                "ecc_unc_volatile",
                value=gpu_names.number(row["ecc"]),
                word=row["ecc"],
                device=self._device,
            )
        second = _SECOND.match(line.text)
        if second and self._device:
            wrong = [name for name, value in second.groupdict().items() if value and "ERR!" in value]
            wrong += ["power"] if "Unknown Error" in second["power"] and "power" not in wrong else []
            if wrong:
                yield observed(line, "gpu", "unreadable", word=",".join(wrong), device=self._device)
            yield observed(
                line,
                "gpu",
                "util_percent",
                value=gpu_names.number(second["util"]),
                word=second["util"],
                device=self._device,
            )


_NVTOP: Final = re.compile(
    r"Device (?P<index>\d+) +\[(?P<model>[^\]]+)\].*?PCIe GEN +(?P<gen>\d) ?@ ?(?P<width>\d+)x"
)


class NvtopReader:
    """Reads the head line that nvtop shows for each GPU."""

    kind = "nvtop"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield generation and width of a GPU's PCIe link."""
        found = _NVTOP.search(line.text)
        if found:
            device = f"GPU {found['index']}"
            yield observed(line, "gpu", "pcie_gen", value=float(found["gen"]), device=device)
            yield observed(line, "gpu", "pcie_width", value=float(found["width"]), device=device)


_NVLINK_GPU: Final = re.compile(r"^GPU (?P<index>\d+): (?P<model>.+?) \(UUID: (?P<uuid>[^)]*)\)")
_NVLINK: Final = re.compile(
    r"^\s+Link (?P<link>\d+): (?:(?P<speed>\d+(?:\.\d+)?) GB/s|(?P<off><?inactive>?|\S.*inactive.*))", re.I
)


class NvlinkReader:
    """Reads ``nvidia-smi nvlink --status``."""

    kind = "nvidia-smi nvlink"

    def __init__(self) -> None:
        self._device = ""

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the state of each link: its speed in GB/s, or inactive."""
        gpu = _NVLINK_GPU.match(line.text)
        if gpu:
            self._device = f"GPU {gpu['index']}"
            yield observed(line, "nvlink", "gpu", word=gpu["model"], device=self._device)
            return
        link = _NVLINK.match(line.text)
        if link and self._device:
            speed = link["speed"]
            yield observed(
                line,
                "nvlink",
                "link",
                value=float(speed) if speed else float("nan"),
                word="active" if speed else "inactive",
                device=self._device,
                fields={"link": link["link"]},
            )


_TOPO_ROW: Final = re.compile(
    r"^(?P<gpu>GPU\d+)\s+(?P<cells>(?:(?:X|SYS|NODE|PHB|PXB|PIX|NV\d+|NVB)\s+)+)(?P<rest>.*)$"
)


class TopologyReader:
    """Reads the matrix of ``nvidia-smi topo -m``."""

    kind = "nvidia-smi topo -m"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield how one GPU reaches the others."""
        row = _TOPO_ROW.match(line.text.strip())
        if row:
            yield observed(
                line,
                "topology",
                "row",
                word=" ".join(row["cells"].split()),
                device=row["gpu"],
                fields={"affinity": row["rest"].strip()},
            )
