"""Names kinds of evidence that hold nothing to judge by themselves, to say what was given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge.observation import Observation

# Kind -> the shape of a line that only this kind has.
SHAPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("sacct", re.compile(r"^(?:Account|JobID)\|.*\|")),
    ("mountinfo", re.compile(r"^\d+ \d+ \d+:\d+ / .* - \w+ ")),
    ("lsblk", re.compile(r'^NAME="[^"]+".* TYPE="(?:disk|part|lvm|loop|raid\w*|mpath)"')),
    ("lspci", re.compile(r"^(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] .*\[[0-9a-f]{4}\]: ")),
    ("dmidecode", re.compile(r"^# dmidecode \d|^SMBIOS [\d.]+ present")),
    ("meminfo", re.compile(r"^Mem(?:Total|Free|Available):\s+\d+ kB")),
    ("softnet_stat", re.compile(r"^[0-9a-f]{8}(?: [0-9a-f]{8}){8,}$")),
    ("pressure", re.compile(r"^(?:some|full) avg10=[\d.]+ avg60=")),
    ("ethtool -i", re.compile(r"^# ethtool -i|^firmware-version: ")),
    ("smartctl", re.compile(r'^\s*"smartctl": \{|^smartctl \d')),
    ("metric list", re.compile(r"^#?\s*(?:DCGM_FI_\w+|DCGM FIELD),")),
    ("NCCL Inspector", re.compile(r'^\{"header": \{.*"coll_perf"')),
    ("py-spy", re.compile(r"^Thread (?:0x[0-9A-Fa-f]+|\d+) \((?:active|idle)(?:\+gil)?\)")),
)


class FamiliarReader:
    """Says once of each such kind that it is there."""

    kind = "familiar"

    def __init__(self) -> None:
        self._told: set[str] = set()

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the kind that a line belongs to, once a file."""
        for kind, shape in SHAPES:
            if kind not in self._told and shape.search(line.text):
                self._told.add(kind)
                yield observed(line, "familiar", kind)
