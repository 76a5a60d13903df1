"""Ranks of one node that are all slow for the same are one trouble of the node. Finds no slow rank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.detectors.window import Window
from ringwatch_collector.view import FleetView
from ringwatch_proto.records import Finding, Subject

MOST_EVIDENCE = 12


def by_node(findings: list[Finding], view: FleetView, window: Window) -> list[Finding]:
    """Put the findings of a node together when all its ranks, at least two, are slow for the same."""
    kept: list[Finding] = []
    nodes = [node_name(view, at) for at in np.asarray(window.job.node_of)[window.columns].tolist()]
    for node in dict.fromkeys(finding.culprit.node for finding in findings):
        here = [finding for finding in findings if finding.culprit.node == node]
        same = len({finding.cause for finding in here}) == 1
        kept += [_together(here)] if node and len(here) == nodes.count(node) >= 2 and same else here
    return kept


def _together(here: list[Finding]) -> Finding:
    worst = max(here, key=lambda finding: finding.confidence)
    node, job = worst.culprit.node, worst.culprit.job
    return replace(
        worst,
        culprit=Subject(kind="node", node=node, job=job),
        onset_s=min(finding.onset_s for finding in here),
        summary=f"{job} waits for all {len(here)} of its ranks on {node}; {worst.summary}",
        victims=tuple(dict.fromkeys(victim for finding in here for victim in finding.victims)),
        evidence=tuple(evidence for finding in here for evidence in finding.evidence)[:MOST_EVIDENCE],
    )
