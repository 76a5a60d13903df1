"""Reads the state and the counters of RDMA ports: ibstat, ibstatus, sysfs, perfquery, ibqueryerrors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge.observation import Observation
from ringwatch_proto.errors import EvidenceError

_CA: Final = re.compile(r"^\s*CA '(?P<ca>[^']+)'|^Infiniband device '(?P<device>[^']+)' port (?P<port>\d+)")
_PORT: Final = re.compile(r"^\s*Port (?P<port>\d+):\s*$")
_STATE: Final = re.compile(
    r"^\s*(?P<key>State|Physical state|phys state|state|Rate|rate|Link layer|link_layer|CA type)"
    r"\s*:\s*(?P<value>\S.*?)\s*$"
)
_SYSFS: Final = re.compile(
    r"(?P<device>[\w-]{1,64})/ports/(?P<port>\d+)/(?:(?:hw_)?counters/)?(?P<key>\w+)"
    r"[\"']?\s*[:= ]\s*[\"']?(?P<value>[^\"'\\\n]+)"
)
_PERF: Final = re.compile(r"^(?P<key>[A-Z][A-Za-z]+(?:\.\w+)?):\.{3,}(?P<value>-?\d+)\s*$")
# ibqueryerrors: all counters of one port on a line.
_QUERIED: Final = re.compile(r"\[(?P<key>[A-Z][A-Za-z]{3,40}) == (?P<value>\d{1,20})[ \]]")
_QUERIED_PORT: Final = re.compile(r"GUID (?P<guid>0x[0-9a-f]{1,16}) port (?P<port>\w{1,5}):")
# perfquery's names -> those of sysfs.
PERFQUERY: Final[dict[str, str]] = {
    "SymbolErrorCounter": "symbol_error",
    "LinkErrorRecoveryCounter": "link_error_recovery",
    "LinkDownedCounter": "link_downed",
    "PortRcvErrors": "port_rcv_errors",
    "PortXmitDiscards": "port_xmit_discards",
    "PortXmitWait": "port_xmit_wait",
    "LocalLinkIntegrityErrors": "local_link_integrity_errors",
    "ExcessiveBufferOverrunErrors": "excessive_buffer_overrun_errors",
}
_STATES: Final = {
    "state": "state",
    "physical state": "phys_state",
    "phys state": "phys_state",
    "rate": "rate",
}


class PortReader:
    """Reads states and counters that stand one a line."""

    kind = "RDMA ports"

    def __init__(self) -> None:
        self._device = ""
        self._port = "1"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield one state or counter of a port."""
        found = _SYSFS.search(line.text) if "/ports/" in line.text else None
        if found:
            yield port_reading(line, found["device"], found["port"], found["key"], found["value"])
            return
        found = _CA.match(line.text)
        if found:
            self._device, self._port = found["ca"] or found["device"], found["port"] or "1"
            return
        found = _PORT.match(line.text)
        if found and self._device:
            self._port = found["port"]
            return
        found = _STATE.match(line.text)
        if found and self._is_port_line(found["key"], found["value"]):
            key = found["key"].lower()
            yield port_reading(
                line, self._device, self._port, _STATES.get(key, key.replace(" ", "_")), found["value"]
            )
            return
        if " == " in line.text and (found := _QUERIED_PORT.search(line.text)):
            for each in _QUERIED.finditer(line.text):
                key = PERFQUERY.get(each["key"], each["key"])
                yield port_reading(line, found["guid"], found["port"], key, each["value"])
            return
        found = _PERF.match(line.text)
        if found:
            key = PERFQUERY.get(found["key"], found["key"])
            yield port_reading(line, self._device, self._port, key, found["value"])

    def _is_port_line(self, key: str, value: str) -> bool:
        if self._device:
            return True
        return key in {"Physical state", "phys state"} or (key == "state" and value[0].isdigit())


def port_reading(line: Line, device: str, port: str, key: str, value: str) -> Observation:
    """Return one reading of a port; ``value`` keeps its words."""
    word = value.strip().removesuffix("\\n").strip()
    head = word.split(" ")[0]
    number = float(head) if re.fullmatch(r"-?\d+(?:\.\d+)?", head) else float("nan")
    return observed(line, "port", key, value=number, word=word, device=device, fields={"port": port})


class SysfsJsonReader:
    """Reads a map of sysfs paths to what stood in them."""

    kind = "sysfs as JSON"

    def recognises(self, head: bytes) -> bool:
        """Say whether this is a JSON map with sysfs paths as keys."""
        return head.lstrip().startswith(b"{") and b'"/sys/' in head

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield the states and counters of ports and network devices."""
        try:
            paths = json.loads(data)
        except ValueError as error:
            raise EvidenceError(f"{file}: not JSON: {error}") from error
        numbers = {
            line.partition('":')[0].strip().lstrip('"'): (number, line)
            for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1)
            if '":' in line
        }
        for path, value in paths.items():
            number, raw = numbers.get(path, (0, f"{path}: {value}"))
            yield from _of_path(Line(file=file, number=number, text=raw, raw=raw.strip()), path, str(value))


_NET_PATH: Final = re.compile(r"/(?P<pci>[0-9a-f]{4}:[0-9a-f:.]+)/net/(?P<device>[\w.-]+)/(?P<key>\w+)$")
_IB_PATH: Final = re.compile(
    r"(?:/(?P<pci>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f.]+))?/infiniband/(?P<device>[\w-]{1,64})/ports/(?P<port>\d+)/(?:(?:hw_)?counters/)?(?P<key>\w+)$"
)


def _of_path(line: Line, path: str, value: str) -> Iterator[Observation]:
    found = _IB_PATH.search(path)
    if found:
        reading = port_reading(line, found["device"], found["port"], found["key"], value)
        yield observed(
            line,
            "port",
            reading.name,
            value=reading.value,
            word=reading.word,
            device=reading.device,
            fields=reading.fields | {"pci": found["pci"] or ""},
        )
        return
    found = _NET_PATH.search(path)
    if found and found["key"] in {"operstate", "speed", "carrier", "mtu", "carrier_changes", "flags"}:
        word = value.strip()
        yield observed(
            line,
            "netdev",
            found["key"],
            value=float(word) if word.lstrip("-").isdigit() else float("nan"),
            word=word,
            device=found["device"],
            fields={"pci": found["pci"]},
        )
