"""Limits of the system that are nearly reached: open files, process ids, connections. No other fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import READING, agreed
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.view import FleetView
from ringwatch_knowledge import fault_classes
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

# A row this old says nothing of now.
ROW_FRESH_S: Final = 5.0
# Of a limit of the system: with so little left, the next job's start fails.
EXHAUSTED_PERCENT: Final = 95.0
_LIMITS: Final[Mapping[str, str]] = {
    "host.file_descriptors_used_percent": "open files",
    "host.pids_used_percent": "process ids",
    "host.conntrack_used_percent": "tracked connections",
}


def limit_findings(view: FleetView) -> Iterator[Finding]:
    """Yield a finding a node and limit."""
    fresh = view.host.age_s(view.now_s) <= ROW_FRESH_S
    for signal, words in _LIMITS.items():
        used = view.host.latest(BY_NAME[signal].id)
        for row in np.flatnonzero(fresh & (used >= EXHAUSTED_PERCENT)).tolist():
            node = node_name(view, int(view.host.node_of[row]))
            yield _limit(view, node, signal, words, float(used[row]))


def _limit(view: FleetView, node: str, signal: str, words: str, used: float) -> Finding:
    known = fault_classes.lookup("config.os_setting")
    text = f"{used:.0f} % of the {words} that the system allows are in use"
    return Finding(
        kind=IncidentKind.HOST_FAULT,
        detector="host.faults",
        culprit=Subject(kind="node", node=node),
        cause=signal.removeprefix("host.").removesuffix("_used_percent") + "_exhausted",
        verdict=Verdict.HOST,
        severity=Severity.WARNING,
        confidence=agreed(READING),
        onset_s=view.now_s,
        summary=f"{node}: {text}",
        evidence=(Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source=signal, node=node),),
        why=Why(
            rule="a limit of the system is nearly reached: what needs one more fails",
            source=f"limits under /proc/sys of the node; class {known.fault_class}: {known.title}",
            inputs={"used_percent": used},
            thresholds={"used_percent": EXHAUSTED_PERCENT},
        ),
    )
