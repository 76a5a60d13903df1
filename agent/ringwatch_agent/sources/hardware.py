"""The ``hardware`` source: errors of the host's memory (EDAC), CPUs (machine checks) and PCIe (AER).

Totals are signals, places are events: an uncorrected error tells which module or device at once, corrected
ones at most once an hour and place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_agent.sources.base import EventRecord, Reading
from ringwatch_agent.sources.conditions import Condition
from ringwatch_agent.sources.host_part import HostPart
from ringwatch_agent.sources.kept_files import KeptFile, children, read_number, read_word
from ringwatch_agent.sources.rates import Rates
from ringwatch_proto.errors import SourceUnsupported
from ringwatch_proto.records import Severity

# /sys/bus/pci/devices/*/aer_dev_*: Documentation/ABI/testing/sysfs-bus-pci-devices-aer.
_AER: Final[Mapping[str, str]] = {
    "pcie_corrected": "aer_dev_correctable",
    "pcie_nonfatal": "aer_dev_nonfatal",
    "pcie_fatal": "aer_dev_fatal",
}
_UNCORRECTED: Final[Mapping[str, Severity]] = {
    "memory_uncorrected": Severity.CRITICAL,
    "pcie_nonfatal": Severity.WARNING,
    "pcie_fatal": Severity.CRITICAL,
}
_WORDS: Final[Mapping[str, str]] = {
    "memory_corrected": "corrected memory errors",
    "memory_uncorrected": "uncorrected memory errors",
    "pcie_corrected": "corrected PCIe errors",
    "pcie_nonfatal": "uncorrected PCIe errors (non-fatal)",
    "pcie_fatal": "fatal PCIe errors",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Errors of one kind at one place since boot; ``what`` are the kinds that make up the number."""

    kind: str
    where: str
    total: int
    what: str = ""


class HardwareSource(HostPart):
    """Reads counters that the kernel keeps; asks no device."""

    def __init__(
        self, *, sysfs: Path = Path("/sys"), proc: Path = Path("/proc"), period_s: float = 30.0
    ) -> None:
        super().__init__("hardware", "hardware_age_s", period_s)
        self._sysfs = sysfs
        self._interrupts = KeptFile(proc / "interrupts", keep=False)
        self._nodes = sysfs / "devices/system/node"
        self._rates = Rates()
        self._before: dict[tuple[str, str], int] | None = None

    def open(self) -> None:
        """Raise SourceUnsupported where the kernel counts none of these, as in most virtual machines."""
        counted = next(memory_counts(self._sysfs), None) or next(pcie_counts(self._sysfs), None)
        if counted is None and machine_checks(self._interrupts.read() or b"") is None:
            raise SourceUnsupported("no EDAC driver, no PCIe device with AER, no machine-check counter")

    def close(self) -> None:
        """Forget the counts: after a gap, what grew meanwhile is not news of one interval."""
        super().close()
        self._before = None

    def read(self) -> Reading:
        """Return the totals, with an event for each place where an error was added."""
        at_s = time.monotonic()
        counts = [*memory_counts(self._sysfs), *pcie_counts(self._sysfs)]
        before, self._before = self._before, {(each.kind, each.where): each.total for each in counts}
        happened = [] if before is None else list(self._grown(counts, before))
        values = self._totals(counts, at_s)
        return self.publish(values, happened=happened, at_s=at_s)

    def _totals(self, counts: list[Count], at_s: float) -> dict[str, float]:
        totals: dict[str, int] = {}
        for each in counts:
            totals[each.kind] = totals.get(each.kind, 0) + each.total
        values = {kind: float(totals[kind]) for kind in _UNCORRECTED if kind in totals}
        for kind in ("memory_corrected", "pcie_corrected"):
            if kind in totals:
                values[f"{kind}_per_s"] = self._rates.per_s(kind, totals[kind], at_s)
        checks = machine_checks(self._interrupts.read() or b"")
        if checks is not None:
            values["machine_checks_per_s"] = self._rates.per_s("mce", checks, at_s)
        spread = numa_free_spread(self._nodes)
        return values if spread is None else values | {"numa_free_spread_percent": spread}

    def _grown(self, counts: list[Count], before: Mapping[tuple[str, str], int]) -> Iterator[EventRecord]:
        for each in counts:
            # A place that was not there before, and one whose count went down, has begun anew: no news.
            added = each.total - before.get((each.kind, each.where), each.total)
            if added <= 0:
                continue
            condition = _condition(each, added)
            if each.kind in _UNCORRECTED:
                yield self.conditions.happened(condition)
            elif event := self.conditions.corrected(condition, added):
                yield event


def _condition(count: Count, added: int) -> Condition:
    detail = f" ({count.what})" if count.what else ""
    text = f"{added} {_WORDS[count.kind]} since the last look, {count.total} since boot{detail}"
    return Condition(
        name=count.kind,
        where=count.where,
        severity=_UNCORRECTED.get(count.kind, Severity.INFO),
        text=f"{count.where}: {text}",
        fields={"added": str(added), "total": str(count.total)},
    )


def memory_counts(sysfs: Path) -> Iterator[Count]:
    """Yield the error counts of each memory module, or of the controller where modules are not known."""
    for controller in children(sysfs / "devices/system/edac/mc"):
        if not controller.name.startswith("mc"):
            continue
        modules = [each for each in children(controller) if each.name.startswith(("dimm", "rank"))]
        kinds = {"memory_corrected": "ce_count", "memory_uncorrected": "ue_count"}
        for kind, file in kinds.items():
            known = 0
            for module in modules:
                total = read_number(module / f"dimm_{file}")
                if total is not None:
                    known += total
                    yield Count(kind=kind, where=_module_name(controller, module), total=total)
            whole = read_number(controller / file)
            # What the controller could not place on a module is counted on itself.
            if whole is not None and (whole > known or not modules):
                yield Count(kind=kind, where=controller.name, total=whole - known)


def _module_name(controller: Path, module: Path) -> str:
    label = read_word(module / "dimm_label")
    place = f"{controller.name}/{module.name}"
    return f"{place} {label}"[:96] if label and label.isprintable() else place


def pcie_counts(sysfs: Path) -> Iterator[Count]:
    """Yield the error counts of each PCIe device that has a count at all."""
    for device in children(sysfs / "bus/pci/devices"):
        for kind, file in _AER.items():
            data = KeptFile(device / file, keep=False).read()
            if not data:
                break  # a device without AER has none of the three
            counts = _table(data)
            total = next((count for name, count in counts.items() if name.startswith("TOTAL_ERR")), None)
            parts = {name: count for name, count in counts.items() if not name.startswith("TOTAL_ERR")}
            total = sum(parts.values()) if total is None else total
            what = ", ".join(f"{name} {count}" for name, count in parts.items() if count)
            yield Count(kind=kind, where=device.name, total=total, what=what[:200])


def _table(data: bytes) -> dict[str, int]:
    """Return the lines ``name count``; older kernels write names with spaces."""
    lines = (line.rpartition(" ") for line in data.decode(errors="replace").splitlines())
    return {name.strip(): int(count) for name, _, count in lines if count.isdecimal()}


def machine_checks(interrupts: bytes) -> int | None:
    """Return machine-check exceptions of all CPUs out of /proc/interrupts; None without such a line."""
    at = interrupts.find(b"MCE:")
    if at < 0:
        return None
    words = interrupts[at + 4 : interrupts.find(b"\n", at)].split()
    return sum(int(word) for word in words if word.isdigit())


def numa_free_spread(nodes: Path) -> float | None:
    """Return by how many percent of its memory the freest NUMA node is freer than the fullest one."""
    shares = []
    for node in children(nodes):
        if not (node.name.startswith("node") and node.name[4:].isdecimal()):
            continue
        lines = (line.split() for line in read_word(node / "meminfo").splitlines())
        sizes = {words[2]: int(words[3]) for words in lines if len(words) >= 4 and words[3].isdecimal()}
        total = sizes.get("MemTotal:", 0)
        if total:
            shares.append(100.0 * sizes.get("MemFree:", 0) / total)
    return max(shares) - min(shares) if len(shares) > 1 else None
