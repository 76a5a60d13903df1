"""Which incident a cause belongs to: pure keys and comparisons; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ringwatch_collector.fusion import Fused
from ringwatch_collector.incident_life import RESOLVED
from ringwatch_proto.records import Finding, Incident, IncidentKind, Subject, Verdict

# Findings of one group about one culprit are one trouble seen in several ways.
_GROUPS: Final[dict[IncidentKind, str]] = {
    IncidentKind.STRAGGLER_COMPUTE: "slow",
    IncidentKind.STRAGGLER_DATALOADER: "slow",
    IncidentKind.SLOW_LINK: "slow",
    IncidentKind.SLOW_COLLECTIVE: "slow",
    IncidentKind.JOB_SLOW: "slow",
    IncidentKind.GPU_OFF_BUS: "gpu",
    IncidentKind.GPU_NOT_ANSWERING: "gpu",
    IncidentKind.GPU_FAULT: "gpu",
    IncidentKind.GPU_THERMAL: "limit",
    IncidentKind.GPU_POWER: "limit",
    IncidentKind.JOB_HANG: "stopped",
    IncidentKind.RANK_DIED: "stopped",
}
# A job has one hang, one death, one pause at a time: who is to blame may become clear later.
_OF_THE_JOB: Final = frozenset({IncidentKind.JOB_HANG, IncidentKind.RANK_DIED, IncidentKind.JOB_PAUSE})

# How the job is made is no fault that began: a straggler that comes later is another trouble.
_OWN_MAKING: Final = frozenset({Verdict.STRUCTURAL, Verdict.WORKLOAD})
_MADE_SO: Final = "made so"
# What a job learns is another trouble than how fast it does.
_LOSS: Final = "loss"

Key = tuple[str, str, str]
NOBODY: Final = "nobody"


def key_of(finding: Finding) -> Key:
    """Return (cause group, job or node, culprit): findings with one key are one incident."""
    return _key(finding)


def matching(cause: Fused, incidents: Iterable[Incident], now_s: float, reopen_s: float) -> list[Incident]:
    """Return the incidents of this cause, the one that goes on first: open before closed, then oldest.

    More than one means that what was seen as several turned out to be one.
    """
    keys = {key_of(finding) for finding in cause.findings}
    placed = {key for key in keys if key[2] != NOBODY}
    usable = [incident for incident in incidents if _takes(incident, cause, now_s, reopen_s)]
    found = [incident for incident in usable if placed & _placed_keys(incident)]
    if not found and placed:
        found = [incident for incident in usable if _becomes_clear(incident, placed)]
    if not placed:
        found = [incident for incident in usable if keys & _nobody_keys(incident)]
    found.sort(key=lambda incident: (incident.state is RESOLVED, incident.opened_s))
    return found if placed else found[:1]


def _key(said: Finding | Incident) -> Key:
    kind, culprit = said.kind, said.culprit
    if kind in _OF_THE_JOB:
        return _GROUPS.get(kind, kind.value), culprit.job, "job"
    return _group(said), culprit.job or culprit.node, _place(culprit)


def _group(said: Finding | Incident) -> str:
    if said.cause.startswith(_LOSS):
        return _LOSS
    return _MADE_SO if said.verdict in _OWN_MAKING else _GROUPS.get(said.kind, said.kind.value)


def _place(culprit: Subject) -> str:
    if culprit.kind in ("none", "job", "fleet"):
        return NOBODY
    if culprit.kind == "rank":
        return f"rank {culprit.rank}"
    if culprit.kind == "link":
        return f"{culprit.node} -> {culprit.peer or culprit.device}"
    return f"{culprit.node} {culprit.device}"


def _placed_keys(incident: Incident) -> set[Key]:
    return {key for finding in incident.findings if (key := key_of(finding))[2] != NOBODY}


def _nobody_keys(incident: Incident) -> set[Key]:
    """Return the keys by which a finding about nobody belongs here.

    "The job is slow" belongs to the trouble that is seen right now, not to one that went quiet.
    """
    own = _key(incident)
    if own[2] == NOBODY:
        return {own}
    recent = incident.active and incident.state is not RESOLVED
    return {(group, place, NOBODY) for group, place, _ in _placed_keys(incident)} if recent else set()


def _takes(incident: Incident, cause: Fused, now_s: float, reopen_s: float) -> bool:
    if incident.closed_s is None:
        return True
    if cause.primary.latched and cause.primary.onset_s <= incident.closed_s:
        return True  # the event that was resolved, said again
    return now_s - incident.closed_s <= reopen_s


def _becomes_clear(incident: Incident, placed: set[Key]) -> bool:
    """Tell whether an open "slow, cannot tell why" is answered by a cause with a place."""
    own = _key(incident)
    wanted = {(group, place, NOBODY) for group, place, _ in placed}
    return own[0] == "slow" and own in wanted and incident.state is not RESOLVED
