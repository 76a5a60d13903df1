"""Reads the Prometheus text of GPU and node exporters. Reads only the series that somebody judges."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence import gpu_names
from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge import kernel_log
from ringwatch_knowledge.observation import Observation

_SERIES: Final = re.compile(
    r"^(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf|NaN))(?:\s+\d+)?\s*$"
)
_LABEL: Final = re.compile(r'\b(?P<key>\w{1,128})="(?P<value>(?:[^"\\]|\\.)*)"')


class PrometheusReader:
    """Reads one series a line."""

    kind = "Prometheus text"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the value of a series that somebody judges."""
        found = _SERIES.match(line.text)
        if not found or not math.isfinite(float(found["value"])):
            return
        labels = {each["key"]: each["value"] for each in _LABEL.finditer(found["labels"] or "")}
        name = gpu_names.METRICS.get(found["name"], "")
        if name:
            yield observed(
                line,
                "rank" if name == "rank_hang" else "gpu",
                name,
                value=float(found["value"]),
                word=labels.get("name", labels.get("modelName", "")),
                device=_device(labels),
                rank=int(labels["rank"]) if _is_count(labels.get("rank", "")) else None,
                fields=labels,
            )
        elif found["name"].startswith(("node_infiniband_", "node_network_")):
            yield observed(
                line,
                "metric",
                found["name"],
                value=float(found["value"]),
                device=labels.get("device", ""),
                fields=labels,
            )


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < 8


def _device(labels: dict[str, str]) -> str:
    for key in ("pci_bus_id", "UUID", "uuid", "gpu"):
        if labels.get(key):
            return kernel_log.pci_address(labels[key]) or labels[key]
    return ""
