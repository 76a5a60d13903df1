"""Where transfers are held up, as flows or the groups that share the place say. Decides nothing is slow."""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch_collector.detectors.confidence import DIRECT, READING, agreed
from ringwatch_collector.detectors.cover import Cover
from ringwatch_collector.detectors.flows import SlowLink
from ringwatch_proto.records import Evidence, IncidentKind, Subject, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where transfers are held up, by flows or by the groups that share it."""

    kind: IncidentKind
    cause: str
    verdict: Verdict
    culprit: Subject
    confidence: float
    evidence: tuple[Evidence, ...]
    unsure: tuple[str, ...]
    inputs: dict[str, float]


def by_flow(link: SlowLink) -> Place:
    """Return the place that TCP flows name."""
    return Place(
        kind=IncidentKind.SLOW_LINK, cause="slow_link", verdict=Verdict.NETWORK, culprit=link.culprit,
        confidence=agreed(READING, DIRECT) if link.sure_end else agreed(READING, READING),
        evidence=link.evidence, unsure=link.unsure, inputs=link.inputs,
    )  # fmt: skip


def by_cover(cover: Cover) -> Place:
    """Return the place that all slow groups share."""
    return Place(
        kind=IncidentKind.NVLINK_FAULT if cover.inside else IncidentKind.SLOW_LINK,
        cause="slow_nvlink" if cover.inside else "slow_link",
        verdict=Verdict.HARDWARE if cover.inside else Verdict.NETWORK,
        culprit=cover.culprit,
        confidence=agreed(READING, DIRECT) if cover.told else agreed(READING, READING),
        evidence=cover.evidence,
        unsure=() if cover.told else ("whether port, cable or switch: no counter says",),
        inputs=cover.inputs,
    )
