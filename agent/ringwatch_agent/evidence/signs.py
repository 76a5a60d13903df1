"""Reads log lines of known shape: the GPU driver's codes and the catalogue of line signs. Never judges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence.base import Line, observed
from ringwatch_agent.evidence.sieve import TextSieve
from ringwatch_knowledge import kernel_log, line_signs
from ringwatch_knowledge.observation import Observation

_XID: Final = re.compile(
    r"Xid \((?:PCI:)?(?P<pci>[0-9a-fA-F:.]+)[^)]*\): (?P<code>\d{1,3})\b(?:, pid='?<?(?P<pid>[\w-]+))?"
    r"(?:[^,]*, name=(?P<process>[^,]*))?"
)
_XID_BARE: Final = re.compile(r"\bXid(?: error)?s?[ :=#(]{1,3}(?P<code>\d{1,3})\b(?!\d|:\d)", re.IGNORECASE)
_SXID: Final = re.compile(r"SXid \((?:PCI:)?(?P<pci>[0-9a-fA-F:.]+)\): (?P<code>\d{4,5}), (?P<rest>.*)")
_FATALITY: Final = re.compile(r"\b(?P<word>Non-fatal|Non-Fatal|non-fatal|Fatal|fatal)\b")
_PCI: Final = re.compile(r"\b(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]\b|PCI:[0-9a-fA-F:.]+")
_UUID: Final = re.compile(r"\bGPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_PORT: Final = re.compile(r"\b(?:mlx[45]_\d+|ib\d+|ibp\w+|rocep\w+|bond\d+|eth\d+|en[ospx]\w+)\b")
_RANK: Final = re.compile(r"\[(?:PG[^\]]*)?[Rr]ank (?P<rank>\d{1,7})\]|\bRank (?P<word>\d{1,7})\b")


# Longer lines are progress bars with a message glued to an end: both ends are looked at.
LONGEST_TEXT: Final = 4096
# A line that holds none of these is no sign.
ANCHORS: Final = frozenset({"Xid", "XID", "xid", *line_signs.anchors()})


def device_of(text: str) -> str:
    """Return the device a line names: a PCI address in one form, a UUID, or a port; empty for none."""
    found = _PCI.search(text)
    if found:
        address = kernel_log.pci_address(found[0].removeprefix("PCI:"))
        if address:
            return address
    found = _UUID.search(text) or _PORT.search(text)
    return found[0] if found else ""


def _ends(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return text[: LONGEST_TEXT // 2] + "\0" + text[-LONGEST_TEXT // 2 :]


def _rank_of(line: Line) -> int:
    if line.rank >= 0:
        return line.rank
    found = _RANK.search(line.text)
    return int(found["rank"] or found["word"]) if found else -1


class SignReader:
    """Reads Xid and SXid lines and every sign of the catalogue."""

    kind = "logs"

    def __init__(self) -> None:
        self._sieve = TextSieve(ANCHORS)

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield each sign that the line shows."""
        if not self._sieve.may(line.text):
            return
        if "Xid" in line.text or "XID" in line.text or "xid" in line.text:
            yield from self._codes(line)
        for sign, fields in line_signs.match(_ends(line.text)):
            yield observed(
                line,
                "sign",
                sign.id,
                device=device_of(line.text),
                rank=_rank_of(line),
                fields=fields,
            )

    def _codes(self, line: Line) -> Iterator[Observation]:
        found = _SXID.search(line.text)
        if found:
            word = _FATALITY.search(found["rest"])
            yield observed(
                line,
                "sxid",
                found["code"],
                value=float(found["code"]),
                device=kernel_log.pci_address(found["pci"]),
                fields={"fatality": word["word"].capitalize() if word else ""},
            )
            return
        found = _XID.search(line.text)
        if found:
            yield observed(
                line,
                "xid",
                found["code"],
                value=float(found["code"]),
                device=kernel_log.pci_address(found["pci"]) or found["pci"],
                fields={"process": found["process"] or "", "pid": found["pid"] or ""},
            )
            return
        found = _XID_BARE.search(line.text)
        if found:
            yield observed(
                line, "xid", found["code"], value=float(found["code"]), device=device_of(line.text)
            )
