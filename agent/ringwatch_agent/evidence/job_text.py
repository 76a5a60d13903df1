"""Reads what jobs and schedulers print: step times, bus bandwidth, capacity, summaries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence.base import Line, observed
from ringwatch_knowledge.observation import Observation

_STEP: Final = re.compile(
    r"\b(?:[Bb]atch[_ ]?)?[Tt]ime:?\s+(?P<step>\d+(?:\.\d+)?)s?(?:\s+\([\d.]+\))?.{0,80}?"
    r"\b[Dd]ata(?:[_ ]?(?:[Ll]oad(?:ing)?[_ ]?)?[Tt]ime)?:?\s+(?P<data>\d+(?:\.\d+)?)"
)
_DATA_FIRST: Final = re.compile(
    r"\b[Dd]ata(?:[_ ]?[Tt]ime)?\s*[:=]?\s+(?P<data>\d+(?:\.\d+)?)s?.{0,60}?"
    r"\b(?:[Bb]atch|[Ss]tep|[Ii]ter)?[_ ]?[Tt]ime\s*[:=]?\s+(?P<step>\d+(?:\.\d+)?)"
)


class StepTimeReader:
    """Reads training lines that give the time of a step and how much of it was waiting for data."""

    kind = "training log"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the seconds of a step, with those spent on data."""
        if "ata" not in line.text or "ime" not in line.text:
            return
        found = _STEP.search(line.text) or _DATA_FIRST.search(line.text)
        if found:
            yield observed(
                line, "step", "seconds", value=float(found["step"]), fields={"data_s": found["data"]}
            )


_TAG: Final = re.compile(r"\[\d+\]")
_NCCL_TEST: Final = re.compile(
    r"^\s*(?P<size>\d{1,18})\s+(?P<count>\d+)\s+(?:[a-z]\w*)\s+(?:\w+\s+)?-?\d+\s+(?P<time>\d+(?:\.\d+)?)\s+(?P<alg>\d+(?:\.\d+)?)\s+(?P<bus>\d+(?:\.\d+)?)"
)


class NcclTestsReader:
    """Reads the table of nccl-tests: bus bandwidth by message size."""

    kind = "nccl-tests"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the bus bandwidth in GB/s at one size in bytes."""
        found = _NCCL_TEST.match(_TAG.sub(" ", line.text))
        if found:
            yield observed(
                line, "busbw", "gb_per_s", value=float(found["bus"]), fields={"bytes": found["size"]}
            )


_CAPACITY: Final = re.compile(
    r"(?P<what>[Cc]apacity|[Aa]llocatable)\W{1,4}(?P<resource>(?:nvidia|amd)\.com/gpu)\s*[:=]\s*\"?(?P<count>\d+)"
)
_HEADING: Final = re.compile(r"^\s*\"?(?P<what>[Cc]apacity|[Aa]llocatable)\"?:")
_RESOURCE: Final = re.compile(r"^\s+\"?(?P<resource>(?:nvidia|amd)\.com/gpu)\"?:\s*\"?(?P<count>\d+)")


class KubernetesReader:
    """Reads how many GPUs a node has and how many of them Kubernetes gives out."""

    kind = "kubectl describe"

    def __init__(self) -> None:
        self._what = ""

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield capacity or allocatable GPUs of a node."""
        pairs = list(_CAPACITY.finditer(line.text))
        for found in pairs:
            yield observed(
                line, "k8s", found["what"].lower(), value=float(found["count"]), device=found["resource"]
            )
        if pairs:
            return
        heading = _HEADING.match(line.text)
        if heading:
            self._what = heading["what"].lower()
            return
        found_resource = _RESOURCE.match(line.text)
        if found_resource and self._what:
            yield observed(
                line,
                "k8s",
                self._what,
                value=float(found_resource["count"]),
                device=found_resource["resource"],
            )


_BAR: Final = re.compile(
    r"^\s*(?P<what>(?:CPU|GPU) (?:utilization|memory usage))\s+\[[|\s]*(?P<percent>\d+)%\]"
)


class JobstatsReader:
    """Reads the bars of Slurm's jobstats."""

    kind = "jobstats"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield one utilisation in percent."""
        found = _BAR.match(line.text)
        if found:
            yield observed(
                line, "jobstats", found["what"].lower().replace(" ", "_"), value=float(found["percent"])
            )


_RAS_GROUP: Final = re.compile(r"^\s+\d+(?:\s+\d+){5}\s+(?P<status>[A-Z]+)\s+(?P<errors>[A-Z]+)\s*$")
_RAS_RANK: Final = re.compile(
    r"^\s+Rank (?P<rank>\d{1,7}) -- GPU (?P<gpu>\d+) managed by process (?P<pid>\d+) on node (?P<node>\S+)"
)
_RAS_MISSING: Final = re.compile(
    r"Missing communicator data from (?P<count>\d+) rank|"
    r"(?:ranks?|processes?) .*(?:unresponsive|DEAD|UNREACHABLE)"
)
_RAS_LAG: Final = re.compile(
    r"Rank(?:s)? (?P<rank>\d{1,7}).*(?:has|have) launched up to operation (?P<op>\d+)"
)


class RasReader:
    """Reads the report of NCCL's and RCCL's RAS."""

    kind = "NCCL RAS"

    def read(self, line: Line) -> Iterator[Observation]:
        """Yield the state of a group and each rank that the report names."""
        found = _RAS_GROUP.match(line.text)
        if found:
            yield observed(line, "ras", "group", word=found["errors"], fields={"status": found["status"]})
            return
        found = _RAS_RANK.match(line.text)
        if found:
            yield observed(
                line,
                "ras",
                "missing",
                rank=int(found["rank"]),
                device=f"GPU {found['gpu']}",
                fields={"node": found["node"]},
            )
            return
        found = _RAS_LAG.search(line.text)
        if found:
            yield observed(line, "ras", "launched", value=float(found["op"]), rank=int(found["rank"]))
            return
        if _RAS_MISSING.search(line.text):
            yield observed(line, "ras", "incomplete")
