"""Ranks of one node that are all slow for the same are one trouble of the node. Finds no slow rank."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import numpy as np

from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.detectors.window import Window
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, Subject

MOST_EVIDENCE = 12


# Of the ranks of a node so many have to be slow: the noise of one or two may still hide it.
MOST_SHARE: Final = 0.75


def by_node(
    findings: list[Finding], view: FleetView, window: Window, elevated: Collection[int] = ()
) -> list[Finding]:
    """Put the findings of a node together when its ranks, at least two, are slow for the same.

    ``elevated`` are columns of ranks that are slower too, though not for long enough to be accused by
    themselves.
    """
    if not findings:
        return []
    kept: list[Finding] = []
    columns = window.columns.tolist()
    nodes = [node_name(view, at) for at in np.asarray(window.job.node_of)[window.columns].tolist()]
    for node in dict.fromkeys(finding.culprit.node for finding in findings):
        here = [finding for finding in findings if finding.culprit.node == node]
        accused = {finding.culprit.rank for finding in here}
        own = [column for column, at in zip(columns, nodes, strict=True) if at == node]
        slow = [column for column in own if column in elevated or int(window.job.ranks[column]) in accused]
        same = len({finding.cause for finding in here}) == 1
        whole = node and len(own) >= 2 and len(slow) >= max(2, MOST_SHARE * len(own)) and same
        kept += [_together(here, len(slow))] if whole else here
    return kept


def _together(here: list[Finding], ranks: int) -> Finding:
    worst = max(here, key=lambda finding: finding.confidence)
    node, job = worst.culprit.node, worst.culprit.job
    return replace(
        worst,
        culprit=Subject(kind="node", node=node, job=job),
        onset_s=min(finding.onset_s for finding in here),
        summary=f"{job} waits for {ranks} of its ranks on {node}; {worst.summary}",
        victims=tuple(dict.fromkeys(victim for finding in here for victim in finding.victims)),
        evidence=tuple(evidence for finding in here for evidence in finding.evidence)[:MOST_EVIDENCE],
    )
