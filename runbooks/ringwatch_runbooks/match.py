"""Which runbooks fit an incident, best first. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ringwatch_proto.records import Incident
from ringwatch_runbooks.model import Library, Runbook


def fit(runbook: Runbook, incident: Incident) -> int:
    """Return how well a runbook fits: 2 for kind and cause, 1 for the kind, 0 when it does not."""
    best = 0
    for trigger in runbook.triggers:
        if trigger.kind != incident.kind:
            continue
        if not trigger.causes:
            best = max(best, 1)
        elif any(fnmatchcase(incident.cause, cause) for cause in trigger.causes):
            best = 2
    return best


def candidates(library: Library, incident: Incident) -> tuple[str, ...]:
    """Return the ids of the runbooks that fit, best first."""
    fits = {id: fit(runbook, incident) for id, runbook in library.runbooks.items()}
    return tuple(sorted((id for id in fits if fits[id]), key=lambda id: (-fits[id], id)))
