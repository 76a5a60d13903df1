"""Host faults: out of memory, file systems and CPUs that failed, and sources that went blind. No GPU."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, agreed
from ringwatch_collector.detectors.happened import evidence_of, is_fresh, live
from ringwatch_collector.detectors.host_conditions import condition_findings
from ringwatch_collector.detectors.host_limits import limit_findings
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_proto import events
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

BLIND_WINDOW_S: Final = 600.0
BLIND_FRESH_S: Final = 5.0


class HostFaults:
    """Believes the kernel about its host."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "host.faults"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a node and kind of fault that the kernel reported just now, or that holds."""
        found: dict[tuple[str, str], Finding] = {}
        for event in live(view, events.KERNEL_OOM, events.KERNEL_ERROR):
            if is_fresh(view, event) and _counts(event):
                finding = _finding(event)
                found[event.node, finding.cause] = finding
        return [*found.values(), *condition_findings(view), *limit_findings(view)]


def _counts(event: SeenEvent) -> bool:
    return event.kind == events.KERNEL_OOM or event.severity >= Severity.CRITICAL


def _finding(event: SeenEvent) -> Finding:
    oom = event.kind == events.KERNEL_OOM
    cause = "oom" if oom else event.fields.get("pattern", "kernel_error")
    what = "the kernel killed a process for lack of memory" if oom else f"the kernel reports {cause}"
    return Finding(
        kind=IncidentKind.HOST_FAULT,
        detector="host.faults",
        culprit=Subject(kind="node", node=event.node),
        cause=cause,
        verdict=Verdict.HOST,
        severity=Severity.WARNING if oom else Severity.CRITICAL,
        confidence=agreed(DIRECT),
        onset_s=event.at_s,
        summary=f"{event.node}: {what}",
        evidence=(evidence_of(event),),
        why=Why(rule="the kernel said so", source="kernel log shapes of ringwatch_knowledge"),
        latched=True,
    )


class SourceDown:
    """Says when a source that worked cannot be read: from then on its rules see nothing there."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "host.source_down"

    def look(self, view: FleetView) -> list[Finding]:
        """Return an informing finding a source that was up within the window and is down now."""
        up = BY_NAME["source.up"].id
        latest = view.source.latest(up)
        down = (latest == 0) & (view.source.age_s(view.now_s) <= BLIND_FRESH_S)
        if not down.any():
            return []
        times, values = view.source.window(up, BLIND_WINDOW_S)
        # A source that never worked, such as NVML without a driver, is how the node is.
        worked = (values == 1).any(axis=0) if times.size else np.zeros(down.size, np.bool_)
        return [_blind(view, int(row), times, values) for row in np.flatnonzero(down & worked)]


def _blind(view: FleetView, row: int, times: np.ndarray, values: np.ndarray) -> Finding:
    node = node_name(view, int(view.source.node_of[row]))
    source = view.source.devices[row]
    since_s = float(times[np.flatnonzero(values[:, row] == 1)[-1]])
    return Finding(
        kind=IncidentKind.HOST_FAULT,
        detector="host.source_down",
        culprit=Subject(kind="node", node=node, device=source),
        cause="source_down",
        verdict=Verdict.CANNOT_TELL,
        severity=Severity.INFO,
        confidence=agreed(DIRECT),
        onset_s=since_s,
        summary=f"{node}: source {source} cannot be read any more; what it showed is not seen",
        evidence=(
            Evidence(
                at_s=since_s,
                bearing=Bearing.SUPPORTS,
                text="newest successful read",
                source=source,
                node=node,
            ),
        ),
        unsure=("whether what the source reads is broken, or only the reading",),
        why=Why(
            rule="the source was read within ten minutes and cannot be read now",
            source="source table of the agent",
            thresholds={"window_s": BLIND_WINDOW_S},
        ),
    )
