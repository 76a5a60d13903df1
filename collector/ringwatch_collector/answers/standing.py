"""The one word that a node, a GPU or a job is shown with, derived from incidents. Reads no sensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from ringwatch_proto.records import Incident, IncidentKind, IncidentState, Severity, Subject

_SLOW: Final = frozenset(
    {
        IncidentKind.STRAGGLER_COMPUTE,
        IncidentKind.STRAGGLER_DATALOADER,
        IncidentKind.SLOW_LINK,
        IncidentKind.SLOW_COLLECTIVE,
        IncidentKind.GPU_THERMAL,
        IncidentKind.GPU_POWER,
    }
)
_RANK: Final = {"lost": 5, "silent": 4, "fault": 3, "slow": 2, "warn": 1, "ok": 0}


class Standing:
    """Open incidents by the place that they blame."""

    def __init__(self, incidents: Iterable[Incident]) -> None:
        self._by_node: defaultdict[str, list[Incident]] = defaultdict(list)
        self._by_device: defaultdict[tuple[str, str], list[Incident]] = defaultdict(list)
        self._by_job: defaultdict[str, list[Incident]] = defaultdict(list)
        for incident in incidents:
            if incident.state is not IncidentState.RESOLVED and incident.severity > Severity.INFO:
                self._add(incident)

    def _add(self, incident: Incident) -> None:
        culprit = incident.culprit
        if culprit.node:
            self._by_node[culprit.node].append(incident)
        if culprit.node and culprit.device:
            self._by_device[culprit.node, culprit.device].append(incident)
        subjects = [culprit]
        for finding in incident.findings:
            subjects += [finding.culprit, *finding.victims]
        for job in {subject.job for subject in subjects if subject.job}:
            self._by_job[job].append(incident)

    def of_node(self, node: str) -> list[Incident]:
        """Return the open incidents that blame something on the node."""
        return self._by_node.get(node, [])

    def of_device(self, node: str, device: str) -> list[Incident]:
        """Return the open incidents that blame the device."""
        return self._by_device.get((node, device), [])

    def of_job(self, job: str) -> list[Incident]:
        """Return the open incidents that concern the job."""
        return self._by_job.get(job, [])


def word_of(incident: Incident) -> str:
    """Return the state that an incident puts its culprit in."""
    if incident.kind is IncidentKind.GPU_OFF_BUS:
        return "lost"
    if incident.kind in (IncidentKind.GPU_NOT_ANSWERING, IncidentKind.AGENT_SILENT):
        return "silent"
    if incident.kind in _SLOW:
        return "slow"
    return "fault" if incident.severity is Severity.CRITICAL else "warn"


def worst(words: Iterable[str]) -> str:
    """Return the worst of some states; ``ok`` of none."""
    return max(words, key=lambda word: _RANK.get(word, 0), default="ok")


def label_of(subject: Subject) -> str:
    """Return what names a straggler in a job's row; empty when nobody is named."""
    return "" if subject.kind in ("none", "job", "fleet") else str(subject)
