"""Which jobs are no example of health now, so that nothing is learned from their steps. Finds no trouble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

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
    if nodes:
        here = np.array([at for at, name in enumerate(view.nodes.names) if name in nodes], np.int64)
        ill.update(job.job for job in view.jobs if np.isin(job.node_of, here).any())
    return ill
