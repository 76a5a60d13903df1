"""Which jobs are no example of health now, so that nothing is learned from their steps. Finds no trouble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Incident, IncidentState, Severity

# A job counts as healthy again this long after the last sign of trouble.
_HEALTHY_AFTER_S: Final = 30.0


def jobs_in_trouble(incidents: Sequence[Incident], view: FleetView) -> set[str]:
    """Return the jobs whose steps are no example of health now."""
    ill: set[str] = set()
    nodes: set[str] = set()
    for incident in incidents:
        if incident.state is IncidentState.RESOLVED or incident.severity is Severity.INFO:
            continue
        if not incident.active and incident.quiet_s > _HEALTHY_AFTER_S:
            continue
        for finding in incident.findings:
            ill.update(subject.job for subject in (finding.culprit, *finding.victims))
        nodes.add(incident.culprit.node)
    for job in view.jobs:
        if nodes and not nodes.isdisjoint(view.nodes.names[node] for node in job.node_of.tolist()):
            ill.add(job.job)
    return ill
