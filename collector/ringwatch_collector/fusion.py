"""Which findings have one cause: pure, a table of what explains what; opens and closes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, IncidentKind, Severity, Subject, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """One cause as seen now: the finding that names it, and those that it explains."""

    primary: Finding
    explained: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them, the primary first."""
        return (self.primary, *self.explained)


# A symptom may be stamped a little before its cause: nodes are read once a second, each in its own phase.
ORDER_SLACK_S: Final = 5.0
# What happens later than this after an event has causes of its own.
CAUSE_REACH_S: Final = 600.0

_GPU_FAULTS: Final = frozenset(
    {
        IncidentKind.GPU_OFF_BUS,
        IncidentKind.GPU_FAULT,
        IncidentKind.GPU_MEMORY,
        IncidentKind.NVLINK_FAULT,
        IncidentKind.GPU_NOT_ANSWERING,
    }
)
_GPU_LIMITS: Final = frozenset({IncidentKind.GPU_THERMAL, IncidentKind.GPU_POWER})
_SLOW: Final = frozenset(
    {
        IncidentKind.STRAGGLER_COMPUTE,
        IncidentKind.STRAGGLER_DATALOADER,
        IncidentKind.SLOW_LINK,
        IncidentKind.SLOW_COLLECTIVE,
        IncidentKind.JOB_SLOW,
    }
)
_UNPLACED: Final = frozenset({IncidentKind.SLOW_COLLECTIVE, IncidentKind.JOB_SLOW})
_STOPPED: Final = frozenset({IncidentKind.JOB_HANG, IncidentKind.RANK_DIED})
# Causes that lie in the process or its host: no GPU and no link explains them.
_OWN_CAUSES: Final = frozenset({"process_stopped", "process_paused", "cpu_quota", "oom"})

Places = dict[str, frozenset[str]]  # job -> nodes that hold its ranks


def _same_job(cause: Finding, symptom: Finding, _: Places) -> bool:
    return bool(cause.culprit.job) and cause.culprit.job == symptom.culprit.job


def _same_gpu(cause: Finding, symptom: Finding, _: Places) -> bool:
    ours, theirs = cause.culprit, symptom.culprit
    known = bool(ours.device and theirs.device)
    return bool(ours.node) and ours.node == theirs.node and (not known or ours.device == theirs.device)


def _at_culprit_or_job(cause: Finding, symptom: Finding, places: Places) -> bool:
    """Tell whether the cause sits where the symptom points, or somewhere in a job that names nobody."""
    if symptom.culprit.node:
        return _same_gpu(cause, symptom, places)
    return cause.culprit.node in places.get(symptom.culprit.job, frozenset())


def _in_job(cause: Finding, symptom: Finding, places: Places) -> bool:
    return cause.culprit.node in places.get(symptom.culprit.job, frozenset())


def _same_node(cause: Finding, symptom: Finding, _: Places) -> bool:
    return bool(cause.culprit.node) and cause.culprit.node in (symptom.culprit.node, symptom.culprit.peer)


def _same_job_and_node(cause: Finding, symptom: Finding, places: Places) -> bool:
    return _same_job(cause, symptom, places) and _same_node(cause, symptom, places)


def _among_victims(cause: Finding, symptom: Finding, _: Places) -> bool:
    """Tell whether a trouble of many nodes hit the node of the symptom."""
    at = symptom.culprit.node
    return cause.culprit.kind == "fleet" and bool(at) and at in {each.node for each in cause.victims}


Relation = Callable[[Finding, Finding, Places], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A finding of ``cause`` explains one of ``symptom`` where ``where`` holds."""

    cause: frozenset[IncidentKind]
    symptom: frozenset[IncidentKind]
    where: Relation
    # Only a symptom whose own cause is open to explanation; a stopped process is its own cause.
    open_only: bool = False


# In the order in which they are tried: the first rule that holds decides.
RULES: Final[tuple[Rule, ...]] = (
    Rule(cause=frozenset({IncidentKind.RANK_DIED}), symptom=frozenset({IncidentKind.HOST_FAULT}),
         where=_same_node),
    Rule(cause=_GPU_FAULTS, symptom=_STOPPED | _SLOW | _GPU_LIMITS, where=_at_culprit_or_job, open_only=True),
    Rule(cause=frozenset({IncidentKind.GPU_OFF_BUS}), symptom=_GPU_FAULTS, where=_same_gpu),
    Rule(cause=_GPU_LIMITS, symptom=_GPU_LIMITS | {IncidentKind.STRAGGLER_COMPUTE}, where=_among_victims),
    Rule(cause=frozenset({IncidentKind.AGENT_SILENT}), symptom=frozenset({IncidentKind.JOB_HANG}),
         where=_in_job, open_only=True),
    Rule(cause=frozenset({IncidentKind.AGENT_SILENT}), symptom=frozenset({IncidentKind.RANK_DIED}),
         where=_same_node, open_only=True),
    Rule(cause=frozenset({IncidentKind.PORT_DOWN}), symptom=_STOPPED | _UNPLACED,
         where=_in_job, open_only=True),
    Rule(cause=frozenset({IncidentKind.PORT_DOWN}), symptom=frozenset({IncidentKind.SLOW_LINK}),
         where=_same_node),
    Rule(cause=frozenset({IncidentKind.RANK_DIED}), symptom=_SLOW | {IncidentKind.JOB_HANG}, where=_same_job),
    Rule(cause=frozenset({IncidentKind.JOB_HANG}), symptom=_UNPLACED, where=_same_job),
    Rule(cause=frozenset({IncidentKind.JOB_HANG}), symptom=_SLOW, where=_same_job_and_node),
    Rule(cause=frozenset({IncidentKind.STRAGGLER_COMPUTE}), symptom=_GPU_LIMITS, where=_same_gpu),
    Rule(cause=frozenset({IncidentKind.STRAGGLER_COMPUTE}),
         symptom=frozenset({IncidentKind.SLOW_LINK, IncidentKind.STRAGGLER_DATALOADER}),
         where=_same_job_and_node),
    Rule(cause=_SLOW - _UNPLACED, symptom=_UNPLACED, where=_same_job),
    Rule(cause=frozenset({IncidentKind.SLOW_COLLECTIVE}), symptom=frozenset({IncidentKind.JOB_SLOW}),
         where=_same_job),
    Rule(cause=frozenset({IncidentKind.JOB_PAUSE}), symptom=frozenset({IncidentKind.JOB_SLOW}),
         where=_same_job),
)  # fmt: skip


def explains(cause: Finding, symptom: Finding, places: Places) -> bool:
    """Tell whether one finding is the cause of another."""
    if cause is symptom or _stands_alone(cause) or _stands_alone(symptom) or not _in_time(cause, symptom):
        return False
    for rule in RULES:
        if cause.kind in rule.cause and symptom.kind in rule.symptom and rule.where(cause, symptom, places):
            return not (rule.open_only and symptom.cause in _OWN_CAUSES)
    return False


def _stands_alone(finding: Finding) -> bool:
    """Tell whether a finding is neither cause nor symptom of slowness: how a job is built, what it learns."""
    return finding.verdict is Verdict.STRUCTURAL or finding.cause.startswith("loss")


def fuse(findings: Sequence[Finding], view: FleetView) -> list[Fused]:
    """Return one ``Fused`` a cause, in the order of the findings that name the causes."""
    if not findings:
        return []
    places = _places(view)
    cause_of = {at: _cause_of(at, findings, places) for at in range(len(findings))}
    members: dict[int, list[Finding]] = {}
    for at, finding in enumerate(findings):
        root = _root(at, cause_of)
        members.setdefault(root, [])
        if root != at:
            members[root].append(finding)
    return [_fused(findings[root], tuple(members[root])) for root in sorted(members)]


def _places(view: FleetView) -> Places:
    names = view.nodes.names
    return {
        job.job: frozenset(names[at] for at in np.unique(job.node_of).tolist() if at >= 0)
        for job in view.jobs
    }


def _in_time(cause: Finding, symptom: Finding) -> bool:
    if cause.kind in _SLOW or cause.kind == IncidentKind.JOB_PAUSE:
        return True  # both are read off the same window, whose onsets are estimates
    return -ORDER_SLACK_S <= symptom.onset_s - cause.onset_s <= CAUSE_REACH_S


def _cause_of(at: int, findings: Sequence[Finding], places: Places) -> int:
    """Return the index of the earliest finding that explains ``findings[at]``, or ``at`` itself."""
    causes = [c for c, cause in enumerate(findings) if explains(cause, findings[at], places)]
    return min(causes, key=lambda c: findings[c].onset_s, default=at)


def _root(at: int, cause_of: dict[int, int]) -> int:
    """Follow causes to the first one; a circle ends where it began."""
    seen = {at}
    while (up := cause_of[at]) not in seen:
        seen.add(up)
        at = up
    return min(seen) if cause_of[at] != at else at


def _fused(primary: Finding, explained: tuple[Finding, ...]) -> Fused:
    """Return the group, its primary as severe and as costly as its worst member."""
    if not explained:
        return Fused(primary=primary)
    everyone = (primary, *explained)
    victims = [victim for finding in everyone for victim in finding.victims]
    victims += [finding.culprit for finding in explained if finding.verdict is not Verdict.PAUSE]
    raised = replace(
        primary,
        severity=Severity(max(finding.severity for finding in everyone)),
        gpus_held=max(finding.gpus_held for finding in everyone),
        latched=any(finding.latched for finding in everyone),
        victims=_others(victims, primary.culprit),
    )
    return Fused(primary=raised, explained=explained)


def _others(victims: Sequence[Subject], culprit: Subject) -> tuple[Subject, ...]:
    """Return the distinct victims but the culprit and nobody."""
    distinct = dict.fromkeys(victim for victim in victims if victim.kind != "none")
    return tuple(victim for victim in distinct if victim != culprit)
