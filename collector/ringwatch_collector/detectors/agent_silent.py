"""Silent agent: a node that stopped reporting while others report. Tells the collector's blindness apart."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import READING, agreed
from ringwatch_collector.view import FleetView, Seconds
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why

# An open stream with nothing on it: the agent is frozen, its machine is starved, or a cable is out. A busy
# machine starves an agent for seconds, so this takes longer to believe than a closed stream.
SILENT_S: Final = 8.0
# The stream is closed, as when the agent was killed: two missed batches are enough.
CLOSED_S: Final = 2.0
# After a start of the collector agents come back one by one.
GRACE_S: Final = 10.0
# On its way to be silent: more than two intervals without a batch.
LATE_S: Final = 2.5
# So many that fell silent within this time of each other have one cause, which is nearer than the nodes.
MANY: Final = 3
TOGETHER_S: Final = 5.0
SHOWN_S: Final = 24 * 3600.0


class AgentSilent:
    """Counts the seconds since each node's newest batch."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "node.agent_silent"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a silent node, or one for those that fell silent together."""
        if view.now_s - view.started_s < GRACE_S:
            return []
        nodes = view.nodes
        known = np.isfinite(nodes.last_batch_s) | (nodes.first_seen_s > 0)
        known &= ~np.asarray(nodes.drained)
        # A node that an earlier collector knew has to be heard since this one began.
        since = np.where(np.isfinite(nodes.last_batch_s), nodes.last_batch_s, view.started_s)
        quiet_s = view.now_s - since
        limit_s = np.where(nodes.connected, SILENT_S, CLOSED_S)
        going = known & (quiet_s < SHOWN_S) & (~np.asarray(nodes.connected) | (quiet_s > LATE_S))
        findings: list[Finding] = []
        for group in _together(quiet_s, np.flatnonzero(going).tolist()):
            silent = [node for node in group if quiet_s[node] > limit_s[node]]
            if silent and len(group) >= MANY:
                findings.append(_fleet(view, quiet_s, group, int(np.count_nonzero(known))))
            else:
                findings += [_finding(view, node, float(quiet_s[node])) for node in silent]
        return findings


def _together(quiet_s: Seconds, nodes: list[int]) -> list[list[int]]:
    """Return the nodes in groups that fell silent within ``TOGETHER_S`` of the one before."""
    groups: list[list[int]] = []
    for node in sorted(nodes, key=lambda each: float(quiet_s[each])):
        if groups and quiet_s[node] - quiet_s[groups[-1][-1]] < TOGETHER_S:
            groups[-1].append(node)
        else:
            groups.append([node])
    return [sorted(group) for group in groups]


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


def _fleet(view: FleetView, quiet_s: Seconds, silent: list[int], known: int) -> Finding:
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
        rule="no batch for 8 s, for 2 s when the stream is closed too; 3 nodes together are one",
        source="Ringwatch: agents send a batch a second",
        inputs={"silent_s": quiet_s, "nodes_connected": float(reporting)},
        thresholds={"silent_s": SILENT_S, "closed_s": CLOSED_S, "together_s": TOGETHER_S},
    )
