"""Which one place explains all slow groups and no healthy one: a node's links, or the links inside a node.

The rule of the smallest cover: the place has to be in every group that is slow, and in no comparable group
that is not (after Tencent's Holmes, NSDI 2025, which asks for the most likely shared link). Where several
places are left, a port that counts errors or runs below the fleet's speed decides; where that leaves several
too, nobody is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.flows import port_trouble
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.detectors.transfer_rise import Rise
from ringwatch_collector.detectors.window import Window
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.records import Bearing, Evidence, Subject
from ringwatch_proto.signals import BY_NAME

NVLINK_ERRORS_PER_S: Final = 1.0
# More nodes than this are asked for their ports only when the groups leave few.
MOST_ASKED: Final = 256
# Of the largest rise among comparable groups.
CLEAR_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """The place, whether it lies inside a node, whether a counter says so too, and the readings."""

    culprit: Subject
    inside: bool
    told: bool
    evidence: tuple[Evidence, ...]
    inputs: dict[str, float]


def cover_of(view: FleetView, window: Window, rises: list[Rise]) -> Cover | None:
    """Return the one node that explains which groups are slow, None when there is none or several."""
    job = window.job
    slow, unclear = _clear(job, rises)
    kinds = {_role(job, slot) for slot in slow}
    alike = {at for at in range(len(job.slots)) if _role(job, at) in kinds} - slow - unclear
    nodes = {at: _nodes(job, at) for at in slow | alike}
    if all(len(nodes[at]) == 1 for at in slow):
        return _inside(view, job, {node for at in slow for node in nodes[at]}, len(slow))
    across = [at for at in slow if len(nodes[at]) > 1]
    shared = frozenset.intersection(*(nodes[at] for at in across))
    healthy = frozenset().union(*(nodes[at] for at in alike if len(nodes[at]) > 1))
    left = shared - healthy or shared
    troubled = [node for node in sorted(left) if port_trouble(view, node)] if len(left) <= MOST_ASKED else []
    chosen = troubled if len(left) != 1 else sorted(left)
    if len(chosen) != 1:
        return None
    return _across(view, chosen[0], len(across), len(left))


def _clear(job: JobView, rises: list[Rise]) -> tuple[set[int], set[int]]:
    """Return the slots that are clearly slow, and those that are a little slower than they were.

    What waits behind a slow group moves a little too: that speaks for no place and against none.
    """
    largest: dict[tuple[int, int, int], float] = {}
    for rise in rises:
        for slot in rise.slots:
            role = _role(job, slot)
            largest[role] = max(largest.get(role, 0.0), rise.now_s - rise.usual_s)
    slow: set[int] = set()
    unclear: set[int] = set()
    for rise in rises:
        most_s = max(largest[_role(job, slot)] for slot in rise.slots)
        (slow if rise.now_s - rise.usual_s >= CLEAR_SHARE * most_s else unclear).update(rise.slots)
    return slow, unclear


def _role(job: JobView, slot: int) -> tuple[int, int, int]:
    """Return what makes slots comparable: the operation, its size and its place in a step."""
    return job.slots[slot].kind, job.slots[slot].bytes, job.slots[slot].slot


def _nodes(job: JobView, slot: int) -> frozenset[int]:
    return frozenset(np.asarray(job.node_of)[job.slots[slot].members].tolist())


def _inside(view: FleetView, job: JobView, nodes: set[int], groups: int) -> Cover | None:
    if len(nodes) != 1:
        return None
    node = nodes.pop()
    name = node_name(view, node)
    text = f"only the {groups} groups that lie within {name} are slow, those within other nodes are not"
    evidence = [
        Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="collectives", node=name)
    ]
    errors = view.gpu.latest(BY_NAME["gpu.nvlink_errors_per_s"].id)
    rows = np.flatnonzero((np.asarray(view.gpu.node_of) == node) & (errors > NVLINK_ERRORS_PER_S))
    evidence += [
        Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, source="nvml", node=name,
                 text=f"GPU {view.gpu.devices[row]} counts {errors[row]:.0f} NVLink errors a second")
        for row in rows[:4].tolist()
    ]  # fmt: skip
    return Cover(
        culprit=Subject(kind="node", node=name, job=job.job),
        inside=True,
        told=rows.size > 0,
        evidence=tuple(evidence),
        inputs={"slow_groups": float(groups), "nodes_left": 1.0},
    )


def _across(view: FleetView, node: int, groups: int, left: int) -> Cover:
    name, trouble = node_name(view, node), port_trouble(view, node)
    text = f"{name} is in all {groups} slow groups that cross nodes; {left} nodes are"
    if left == 1:
        text = f"{name} is the only node in all {groups} slow groups that cross nodes and in no healthy one"
    evidence = [
        Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="collectives", node=name)
    ]
    evidence += [
        Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=words, source="ports", node=name)
        for _, words in trouble[:4]
    ]
    return Cover(
        culprit=Subject(kind="link", node=name, device=trouble[0][0] if trouble else ""),
        inside=False,
        told=bool(trouble),
        evidence=tuple(evidence),
        inputs={"slow_groups": float(groups), "nodes_left": float(left)},
    )
