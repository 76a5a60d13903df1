"""Silent agent: a node that stopped reporting while others report. Tells the collector's blindness apart."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import READING, agreed
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why

SILENT_S: Final = 3.0
# The stream is closed: two missed batches are enough.
CLOSED_S: Final = 2.0
# After a start of the collector agents come back one by one.
GRACE_S: Final = 10.0
# When so many fall silent at once the common part is nearer than the nodes.
MANY_SHARE: Final = 0.5
MANY: Final = 3
SHOWN_S: Final = 24 * 3600.0


class AgentSilent:
    """Counts the seconds since each node's newest batch."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "node.agent_silent"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a silent node, or one for the fleet when most fell silent together."""
        if view.now_s - view.started_s < GRACE_S:
            return []
        nodes = view.nodes
        known = np.isfinite(nodes.last_batch_s) | (nodes.first_seen_s > 0)
        known &= ~np.asarray(nodes.drained)
        # A node that an earlier collector knew has to be heard since this one began.
        since = np.where(np.isfinite(nodes.last_batch_s), nodes.last_batch_s, view.started_s)
        quiet_s = view.now_s - since
        limit_s = np.where(nodes.connected, SILENT_S, CLOSED_S)
        silent = np.flatnonzero(known & (quiet_s > limit_s) & (quiet_s < SHOWN_S))
        if silent.size >= MANY and silent.size >= MANY_SHARE * np.count_nonzero(known):
            return [_fleet(view, quiet_s, silent.tolist(), int(np.count_nonzero(known)))]
        return [_finding(view, int(node), float(quiet_s[node])) for node in silent]


def _finding(view: FleetView, node: int, quiet_s: float) -> Finding:
    name = view.nodes.names[node]
    jobs = [job.job for job in view.jobs if np.any(np.asarray(job.node_of) == node)]
    closed = not bool(view.nodes.connected[node])
    return Finding(
        kind=IncidentKind.AGENT_SILENT,
        detector="node.agent_silent",
        culprit=Subject(kind="node", node=name),
        cause="agent_silent",
        verdict=Verdict.CANNOT_TELL,
        severity=Severity.CRITICAL if jobs else Severity.WARNING,
        confidence=agreed(READING, READING) if closed else agreed(READING),
        onset_s=view.now_s - quiet_s,
        summary=f"{name} has not reported since {quiet_s:.0f} s: what happens there is not seen",
        evidence=(
            Evidence(
                at_s=view.now_s - quiet_s,
                bearing=Bearing.SUPPORTS,
                text=f"newest batch; its stream is {'closed' if closed else 'open'} since",
                source="ingest",
                node=name,
            ),
        ),
        unsure=("whether the agent, the node or the network between is down",),
        why=_why(quiet_s, int(np.count_nonzero(view.nodes.connected))),
        victims=tuple(Subject(kind="job", job=job) for job in jobs),
    )


def _fleet(view: FleetView, quiet_s: np.ndarray, silent: list[int], known: int) -> Finding:
    longest_s = float(max(quiet_s[node] for node in silent))
    return Finding(
        kind=IncidentKind.AGENT_SILENT,
        detector="node.agent_silent",
        culprit=Subject(kind="fleet"),
        cause="many_silent",
        verdict=Verdict.CANNOT_TELL,
        severity=Severity.CRITICAL,
        confidence=agreed(READING, READING),
        onset_s=view.now_s - longest_s,
        summary=f"{len(silent)} of {known} nodes stopped reporting together: the collector or its network "
        "is nearer than so many nodes",
        evidence=(
            Evidence(
                at_s=view.now_s - longest_s,
                bearing=Bearing.SUPPORTS,
                text=", ".join(view.nodes.names[node] for node in silent[:20]),
                source="ingest",
            ),
        ),
        unsure=("whether any of these nodes is down",),
        why=_why(longest_s, known - len(silent)),
    )


def _why(quiet_s: float, reporting: int) -> Why:
    return Why(
        rule="no batch for three intervals of 1 s, two when the stream is closed too",
        source="Ringwatch: agents send a batch a second",
        inputs={"silent_s": quiet_s, "nodes_connected": float(reporting)},
        thresholds={"silent_s": SILENT_S, "closed_s": CLOSED_S, "grace_s": GRACE_S},
    )
