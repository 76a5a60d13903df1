"""Conditions that the agent saw on its host: which hold now, and what each means. Reads no kernel line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, agreed
from ringwatch_collector.detectors.happened import evidence_of, is_fresh, live
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_knowledge import fault_classes
from ringwatch_proto import events
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

# A row this old says nothing of now.
ROW_FRESH_S: Final = 5.0
# Without the node's own row, an event counts as long as the agent would take to say it again, and some more.
UNCONFIRMED_S: Final = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a condition is: its class in the catalogue, whose it is, and the signal that counts it now."""

    fault_class: str
    verdict: Verdict
    signal: str = ""
    words: str = ""


MEANINGS: Final[Mapping[str, Meaning]] = {
    "mount_not_answering": Meaning(
        fault_class="storage.hang",
        verdict=Verdict.HOST,
        signal="host.mounts_not_answering",
        words="file systems do not answer",
    ),
    "file_system_failed": Meaning(fault_class="storage.device_failed", verdict=Verdict.HOST),
    "file_system_read_only": Meaning(
        fault_class="storage.device_failed",
        verdict=Verdict.HARDWARE,
        signal="host.file_systems_read_only",
        words="file systems were made read-only by the kernel",
    ),
    "file_system_full": Meaning(
        fault_class="config.os_setting",
        verdict=Verdict.HOST,
        signal="host.file_systems_full",
        words="file systems are full",
    ),
    "nvme_not_live": Meaning(
        fault_class="storage.device_failed",
        verdict=Verdict.HARDWARE,
        signal="host.nvme_not_live",
        words="NVMe controllers are not live",
    ),
    "memory_uncorrected": Meaning(fault_class="host_memory.uncorrectable", verdict=Verdict.HARDWARE),
    "pcie_nonfatal": Meaning(fault_class="pcie.uncorrectable", verdict=Verdict.HARDWARE),
    "pcie_fatal": Meaning(fault_class="pcie.uncorrectable", verdict=Verdict.HARDWARE),
    "fabric_manager_down": Meaning(fault_class="fabric_manager.not_running", verdict=Verdict.SOFTWARE),
    "clock_unsynchronised": Meaning(fault_class="clock.jump", verdict=Verdict.HOST),
    "fan_stopped": Meaning(
        fault_class="unknown.needs_more_evidence",
        verdict=Verdict.HARDWARE,
        signal="host.fans_stopped",
        words="fans stand still or raise an alarm",
    ),
    "sensor_alarm": Meaning(
        fault_class="unknown.needs_more_evidence",
        verdict=Verdict.HARDWARE,
        signal="host.sensor_alarms",
        words="sensors are beyond their critical limit",
    ),
}
_UNKNOWN: Final = Meaning(fault_class="unknown.needs_more_evidence", verdict=Verdict.CANNOT_TELL)
# What stops or slows a job that runs on the node; a clock or a fan alone does not.
_HITS_JOBS: Final = frozenset({
    "mount_not_answering", "file_system_failed", "file_system_read_only", "file_system_full", "nvme_not_live",
    "fabric_manager_down",
})  # fmt: skip


def condition_findings(view: FleetView) -> list[Finding]:
    """Return a finding a condition that holds or just happened."""
    counted = _Counted(view)
    named = [event for event in _newest(view) if _holds(view, event, counted)]
    once = [event for event in live(view, events.HOST_FAULT) if _is_news(view, event)]
    found = [_finding(view, event) for event in (*named, *once)]
    return [*found, *counted.unnamed({(event.node, _name(event)) for event in named})]


def _name(event: SeenEvent) -> str:
    return event.fields.get("condition", "")


def _newest(view: FleetView) -> list[SeenEvent]:
    """Return the newest event of each condition that lasts, if it says that it holds."""
    newest: dict[tuple[str, str, str], SeenEvent] = {}
    for event in live(view, events.HOST_FAULT, events.HOST_CLEARED):
        if not event.fields.get("once"):
            newest[event.node, _name(event), event.device] = event
    return [event for event in newest.values() if event.kind == events.HOST_FAULT]


def _is_news(view: FleetView, event: SeenEvent) -> bool:
    return bool(event.fields.get("once")) and event.severity >= Severity.WARNING and is_fresh(view, event)


def _holds(view: FleetView, event: SeenEvent, counted: _Counted) -> bool:
    if event.severity < Severity.WARNING:
        return False
    count = counted.of(event.node, _name(event))
    return is_fresh(view, event, UNCONFIRMED_S) if count is None else count > 0 or is_fresh(view, event)


class _Counted:
    """How many of each condition the rows of the nodes count now."""

    def __init__(self, view: FleetView) -> None:
        self._view = view
        # Made when the first condition asks: on most looks of a large fleet none does.
        self._row_of: dict[str, int] | None = None
        self._fresh = view.host.age_s(view.now_s) <= ROW_FRESH_S
        self._latest = {
            name: view.host.latest(BY_NAME[meaning.signal].id)
            for name, meaning in MEANINGS.items()
            if meaning.signal
        }

    def of(self, node: str, condition: str) -> float | None:
        """Return the count of a node, None when its row is old or counts no such thing."""
        latest = self._latest.get(condition)
        if latest is None:
            return None
        if self._row_of is None:
            self._row_of = {self._node(row): row for row in range(len(self._view.host.node_of))}
        row = self._row_of.get(node, -1)
        if row < 0:
            return None
        return float(latest[row]) if self._fresh[row] and np.isfinite(latest[row]) else None

    def unnamed(self, named: set[tuple[str, str]]) -> Iterator[Finding]:
        """Yield a finding where a row counts a condition that no event has named yet."""
        for name, latest in self._latest.items():
            for row in np.flatnonzero(self._fresh & (latest > 0)).tolist():
                if (self._node(row), name) not in named:
                    yield _unnamed(self._view, self._node(row), name, float(latest[row]))

    def _node(self, row: int) -> str:
        return node_name(self._view, int(self._view.host.node_of[row]))


def _finding(view: FleetView, event: SeenEvent) -> Finding:
    meaning = MEANINGS.get(_name(event), _UNKNOWN)
    known = fault_classes.lookup(meaning.fault_class)
    return Finding(
        kind=IncidentKind.HOST_FAULT,
        detector="host.faults",
        culprit=_culprit(event),
        cause=_name(event) or "unknown",
        verdict=meaning.verdict,
        severity=Severity(event.severity),
        confidence=agreed(DIRECT),
        onset_s=_since_s(event),
        summary=f"{event.node}: {event.text}",
        evidence=(evidence_of(event),),
        why=Why(
            rule="the kernel of the node says so, and has not taken it back",
            source=f"{event.source} source of the agent; class {known.fault_class}: {known.title}",
        ),
        latched=bool(event.fields.get("once")),
        victims=_jobs_on(view, event.node) if _name(event) in _HITS_JOBS else (),
    )


def _jobs_on(view: FleetView, node: str) -> tuple[Subject, ...]:
    """Return the jobs that run on a node, with the hook or without."""
    at = next((at for at, name in enumerate(view.nodes.names) if name == node), -1)
    hooked = {job.job for job in view.jobs if (job.node_of == at).any()}
    seen = {user.job for (where, _), users in view.owners.items() if where == node for user in users}
    return tuple(Subject(kind="job", job=job) for job in sorted((hooked | seen) - {""}))


def _culprit(event: SeenEvent) -> Subject:
    kind = "gpu" if event.device.startswith(("GPU-", "MIG-")) else "node"
    return Subject(kind=kind, node=event.node, device=event.device)


def _since_s(event: SeenEvent) -> float:
    """Return when it began: an event that is said again carries it, in the node's own time."""
    said = event.fields.get("since", "")
    return min(float(said), event.at_s) if said.isdecimal() and float(said) > 0 else event.at_s


def _unnamed(view: FleetView, node: str, name: str, count: float) -> Finding:
    meaning = MEANINGS[name]
    known = fault_classes.lookup(meaning.fault_class)
    text = f"{count:.0f} {meaning.words}"
    return Finding(
        kind=IncidentKind.HOST_FAULT,
        detector="host.faults",
        culprit=Subject(kind="node", node=node),
        cause=name,
        verdict=meaning.verdict,
        severity=Severity.WARNING,
        confidence=agreed(DIRECT),
        onset_s=view.now_s,
        summary=f"{node}: {text}; which, its agent says within twenty minutes",
        evidence=(
            Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source=meaning.signal, node=node),
        ),
        unsure=("which one, and since when: that was said before this collector listened",),
        why=Why(
            rule="the node's row counts it now",
            source=f"signal {meaning.signal}; class {known.fault_class}: {known.title}",
            inputs={"count": count},
        ),
    )
