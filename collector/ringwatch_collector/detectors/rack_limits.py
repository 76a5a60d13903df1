"""Racks whose nodes are hot or braked together: cooling or power of the room, no GPU. Reads no slowness."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, READING, agreed
from ringwatch_collector.detectors.gpu_limits import LIMITS, Limit
from ringwatch_collector.detectors.places import node_name, percent
from ringwatch_collector.view import Flags, FleetView, Ints
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

WINDOW_S: Final = 15.0
LEAST_READINGS: Final = 8
PERSISTENT_SHARE: Final = 0.8
# At least so many nodes, and this share of the rack's, while of all others far fewer are held: two hot nodes
# in one rack are two hot nodes.
LEAST_NODES: Final = 3
RACK_SHARE: Final = 0.5
APART: Final = 4.0
_CAUSES: Final = {IncidentKind.GPU_THERMAL: "rack_cooling", IncidentKind.GPU_POWER: "rack_power"}


class RackLimits:
    """Counts the nodes of each rack with a GPU that is held for heat or by the power brake."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "rack.limits"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a rack and limit; nothing where agents do not say in which rack they stand."""
        racks = np.asarray(view.nodes.racks)
        signal = BY_NAME["gpu.clock_event_reasons"].id
        newest = np.nan_to_num(view.gpu.latest(signal)).astype(np.int64)
        every = sum(limit.bits for limit in LIMITS)
        if racks.size != len(view.nodes.names) or np.count_nonzero(newest & every) < LEAST_NODES:
            return []
        _, values = view.gpu.window(signal, WINDOW_S)
        found: list[Finding] = []
        for limit in LIMITS:
            held = _held_nodes(view, limit, values)
            named = [rack for rack in np.unique(racks[held]).tolist() if rack]
            apart = [rack for rack in named if _stands_out(racks == rack, held, _known(view))]
            found += [
                _finding(view, limit, rack, np.flatnonzero(held & (racks == rack)), racks) for rack in apart
            ]
        return found


def _known(view: FleetView) -> Flags:
    """Return (N,) which nodes have a GPU that is told of."""
    known = np.zeros(len(view.nodes.names), np.bool_)
    known[np.asarray(view.gpu.node_of)] = True
    return known


def _held_nodes(view: FleetView, limit: Limit, values: np.ndarray) -> Flags:
    seen = np.isfinite(values)
    hit = (np.nan_to_num(values).astype(np.int64) & limit.bits != 0) & seen
    readings = seen.sum(axis=0)
    long = (readings >= LEAST_READINGS) & (hit.sum(axis=0) >= PERSISTENT_SHARE * np.maximum(readings, 1))
    held = np.zeros(len(view.nodes.names), np.bool_)
    held[np.asarray(view.gpu.node_of)[long]] = True
    return held


def _stands_out(here: Flags, held: Flags, known: Flags) -> bool:
    count = int(np.count_nonzero(here & held))
    share = count / max(1, int(np.count_nonzero(here & known)))
    elsewhere = ~here & known
    others = np.count_nonzero(elsewhere & held) / max(1, int(np.count_nonzero(elsewhere)))
    return bool(count >= LEAST_NODES and share >= RACK_SHARE and share >= APART * others)


def _finding(view: FleetView, limit: Limit, rack: str, nodes: Ints, racks: np.ndarray) -> Finding:
    names = [node_name(view, int(node)) for node in nodes]
    of = int(np.count_nonzero((racks == rack) & _known(view)))
    text = f"{len(names)} of the {of} nodes of rack {rack} are held alike: {', '.join(names[:12])}"
    what = "cooling" if limit.kind is IncidentKind.GPU_THERMAL else "power"
    return Finding(
        kind=limit.kind,
        detector="rack.limits",
        culprit=Subject(kind="fleet", device=f"rack {rack}"),
        cause=_CAUSES[limit.kind],
        verdict=Verdict.HARDWARE,
        severity=Severity.CRITICAL,
        confidence=agreed(DIRECT, READING),
        # A moment before the findings of the single GPUs, which it explains.
        onset_s=view.now_s - WINDOW_S - 1.0,
        summary=f"rack {rack}: {len(names)} of {of} nodes {limit.words.replace('is held', 'are held')}; "
        f"look at the rack's {what} before any GPU",
        evidence=(Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="nvml"),),
        why=Why(
            rule="most nodes of one rack are held for the same reason and hardly any elsewhere",
            source="NVML clocks event reasons (nvml.h); racks as the agents' labels tell them",
            inputs={"nodes_held": float(len(names)), "nodes": float(of), "share": len(names) / max(1, of)},
            thresholds={"nodes_held": float(LEAST_NODES), "share": RACK_SHARE, "apart": APART},
        ),
        unsure=(
            f"whether the rack's {what} or the room's: {percent(len(names) / max(1, of))} of it is held",
        ),
        victims=tuple(Subject(kind="node", node=name) for name in names),
    )
