"""Reads network devices: ethtool, ethtool -S, ip -s link and ip's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge.observation import Observation
from ringwatch_proto.errors import EvidenceError

_SETTINGS: Final = re.compile(r"^Settings for (?P<device>\S+):")
_SETTING: Final = re.compile(r"^\s+(?P<key>Speed|Link detected|Duplex): (?P<value>\S+)")
_STATISTIC: Final = re.compile(r"^\s+(?P<key>\[?\w+(?:\[\w+\])?[\w.]*\]?): (?P<value>\d+)\s*$")
_IP_LINK: Final = re.compile(
    r"^\d+: (?P<device>[\w.@-]+): <(?P<flags>[A-Z_,-]+)> mtu (?P<mtu>\d+).*?state (?P<state>\w+)"
)
_NUMBERS: Final = re.compile(r"^\s+(?P<numbers>\d+(?:\s+\d+){4,7})\s*$")


class EthernetReader:
    """Reads the lines of ethtool and ip."""

    kind = "ethtool, ip -s link"

    def __init__(self) -> None:
        self._device = ""
        self._in_statistics = False

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield one setting or counter of a network device."""
        if line.text.startswith("NIC statistics:") or "ethtool -S" in line.text:
            self._in_statistics = True
            return
        found = _SETTINGS.match(line.text)
        if found:
            self._device, self._in_statistics = found["device"], False
            return
        found = _IP_LINK.match(line.text)
        if found:
            self._device = found["device"]
            yield observed(line, "netdev", "operstate", word=found["state"], device=self._device)
            yield observed(line, "netdev", "flags", word=found["flags"], device=self._device)
            yield observed(line, "netdev", "mtu", value=float(found["mtu"]), device=self._device)
            return
        found = _SETTING.match(line.text)
        if found and self._device:
            yield observed(
                line,
                "netdev",
                found["key"].lower().replace(" ", "_"),
                word=found["value"],
                device=self._device,
            )
            return
        found = _STATISTIC.match(line.text) if self._in_statistics else None
        if found:
            yield observed(line, "nic", found["key"], value=float(found["value"]), device=self._device)


class IpJsonReader:
    """Reads a JSON document that holds what ``ip -j link`` prints, wherever in it that stands."""

    kind = "ip -j link"

    def recognises(self, head: bytes) -> bool:
        """Say whether this is JSON with interfaces in it."""
        return head.lstrip()[:1] in {b"{", b"["} and b'"ifname"' in head

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield state, MTU and speed of each interface."""
        try:
            document = json.loads(data)
        except ValueError as error:
            raise EvidenceError(f"{file}: not JSON: {error}") from error
        rows = data.decode("utf-8", "replace").splitlines()
        speeds = document.get("link_speed", {}) if isinstance(document, dict) else {}
        for link in _links(document):
            yield from _of_link(file, rows, link, speeds)


def _links(node: object, depth: int = 0) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("ifname"), str):
            yield node
            return
        node = list(node.values())
    if isinstance(node, list) and depth < 8:
        for each in node:
            yield from _links(each, depth + 1)


def _of_link(file: str, rows: list[str], link: dict[str, Any], speeds: object) -> Iterator[Observation]:
    name = link["ifname"]
    start = next((at for at, row in enumerate(rows) if f'"ifname": "{name}"' in row), 0)
    for key in ("operstate", "mtu", "flags"):
        if key not in link:
            continue
        at = next((at for at in range(start, min(start + 30, len(rows))) if f'"{key}"' in rows[at]), start)
        value = link[key]
        yield observed(
            Line(file=file, number=at + 1, text=rows[at], raw=rows[at].strip()),
            "netdev",
            key,
            value=float(value) if isinstance(value, int) else float("nan"),
            word=",".join(map(str, value)) if isinstance(value, list) else str(value),
            device=name,
        )
    speed = str(speeds.get(name, "")) if isinstance(speeds, dict) else ""
    if speed.isdigit():
        at = next((at for at, row in enumerate(rows) if f'"{name}": "{speed}"' in row), start)
        yield observed(
            Line(file=file, number=at + 1, text=rows[at], raw=rows[at].strip()),
            "netdev",
            "speed",
            value=float(speed),
            device=name,
        )
