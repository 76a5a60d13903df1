"""Many nodes with the same trouble at once: one cause on what they share. Pure; opens and closes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from ringwatch_collector.fusion import Fused
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Bearing, Evidence, Finding, Severity, Subject, Verdict

LabelsOf = Callable[[str], Mapping[str, str]]

# Labels that say how a node is run and not where it stands.
_NO_PLACE: Final = frozenset({"drained"})
_MOST_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastPolicy:
    """When many are one.

    ``many`` nodes whose troubles of one kind and cause began within ``within_s`` of each other. They
    share what ``share`` of them have in common and not the whole fleet has.
    """

    many: int = 8
    within_s: float = 60.0
    share: float = 0.8


def gather(causes: Sequence[Fused], view: FleetView, labels_of: LabelsOf, policy: BlastPolicy) -> list[Fused]:
    """Return the causes, those of many nodes at once joined into one each."""
    if len(causes) < policy.many:
        return list(causes)
    placed = [cause for cause in causes if cause.primary.culprit.node]
    gathered = [cause for cause in causes if not cause.primary.culprit.node]
    for alike in _alike(placed):
        for wave in _waves(alike, policy.within_s):
            nodes = sorted({cause.primary.culprit.node for cause in wave})
            if len(nodes) < policy.many:
                gathered.extend(wave)
            else:
                gathered.append(_one(wave, nodes, _shared(nodes, view, labels_of, policy.share)))
    return gathered


def _alike(causes: Sequence[Fused]) -> list[list[Fused]]:
    def key(cause: Fused) -> tuple[str, str]:
        return cause.primary.kind.value, cause.primary.cause

    return [list(group) for _, group in groupby(sorted(causes, key=key), key)]


def _waves(causes: Sequence[Fused], within_s: float) -> list[list[Fused]]:
    """Return causes in groups that began within ``within_s`` of the one before."""
    waves: list[list[Fused]] = []
    for cause in sorted(causes, key=lambda each: each.primary.onset_s):
        if waves and cause.primary.onset_s - waves[-1][-1].primary.onset_s <= within_s:
            waves[-1].append(cause)
        else:
            waves.append([cause])
    return waves


def _shared(nodes: Sequence[str], view: FleetView, labels_of: LabelsOf, share: float) -> str:
    """Return in words what the nodes have in common: a label, else a job, else the fleet."""
    least = share * len(nodes)
    ill = set(nodes)
    everyone = view.nodes.names
    of_all = Counter(pair for node in everyone for pair in _places(labels_of(node)))
    of_ill = Counter(pair for node in ill for pair in _places(labels_of(node)))
    # The narrowest place that explains them: the one of whose nodes most are ill.
    fitting = [pair for pair, count in of_ill.items() if count >= least and of_all[pair] < len(everyone)]
    if fitting:
        key, value = max(fitting, key=lambda pair: (of_ill[pair] / of_all[pair], pair))
        return f"{key} {value} ({of_ill[key, value]} of its {of_all[key, value]} nodes)"
    for job in view.jobs:
        held = {everyone[at] for at in set(job.node_of.tolist()) if at >= 0}
        if len(held & ill) >= least:
            return f"job {job.job} ({len(held & ill)} of its {len(held)} nodes)"
    return f"the fleet ({len(ill)} of its {len(everyone)} nodes)"


def _places(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in labels.items() if key not in _NO_PLACE and value]


def _one(wave: Sequence[Fused], nodes: Sequence[str], shared: str) -> Fused:
    """Return one cause for many, its members under it."""
    members = [finding for cause in wave for finding in cause.findings]
    first = wave[0].primary
    more = f" and {len(nodes) - _MOST_NAMED} more" if len(nodes) > _MOST_NAMED else ""
    named = ", ".join(nodes[:_MOST_NAMED]) + more
    whole = replace(
        first,
        culprit=Subject(kind="fleet", device=shared.partition(" (")[0]),
        verdict=_common(members),
        severity=Severity(max(finding.severity for finding in members)),
        confidence=min(finding.confidence for finding in members),
        gpus_held=sum(cause.primary.gpus_held for cause in wave),
        latched=any(finding.latched for finding in members),
        summary=f"{len(nodes)} nodes at once, on {shared}: {first.kind.value}, {first.cause}",
        evidence=(
            Evidence(at_s=first.onset_s, bearing=Bearing.SUPPORTS, text=named, source=first.detector),
            *first.evidence[:3],
        ),
        unsure=("whether what they share is the cause: they began together, more is not known",),
        victims=tuple(dict.fromkeys(cause.primary.culprit for cause in wave)),
    )
    return Fused(primary=whole, explained=tuple(members))


def _common(members: Sequence[Finding]) -> Verdict:
    verdicts = {finding.verdict for finding in members}
    return verdicts.pop() if len(verdicts) == 1 else Verdict.CANNOT_TELL
