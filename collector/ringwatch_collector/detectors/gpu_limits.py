"""GPUs that run hot or are braked, whether or not a job feels it. Says nothing of who is slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, agreed
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.view import FleetView
from ringwatch_knowledge import clock_events
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

WINDOW_S: Final = 15.0
LEAST_READINGS: Final = 8
# In nearly every reading of the window, the newest included: a blink of the bit is how boost works.
PERSISTENT_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Bits that mean one limit."""

    bits: int
    kind: IncidentKind
    cause: str
    words: str


LIMITS: Final = (
    Limit(
        bits=0x20 | 0x40, kind=IncidentKind.GPU_THERMAL, cause="thermal_slowdown", words="slows down for heat"
    ),
    Limit(bits=0x80, kind=IncidentKind.GPU_POWER, cause="power_brake", words="is held by the power brake"),
)


class GpuLimits:
    """Reads the clocks event reasons; the software power cap alone is normal under load."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "gpu.limits"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a GPU, or one for a node all of whose GPUs are held alike."""
        signal = BY_NAME["gpu.clock_event_reasons"].id
        newest = np.nan_to_num(view.gpu.latest(signal)).astype(np.int64)
        every = sum(limit.bits for limit in LIMITS)
        if not (newest & every).any():
            return []
        _, values = view.gpu.window(signal, WINDOW_S)
        return [finding for limit in LIMITS for finding in _held(view, limit, values, newest)]


def _held(view: FleetView, limit: Limit, values: np.ndarray, newest: np.ndarray) -> list[Finding]:
    seen = np.isfinite(values)
    readings = seen.sum(axis=0)
    hit = (np.nan_to_num(values).astype(np.int64) & limit.bits != 0) & seen
    share = hit.sum(axis=0) / np.maximum(readings, 1)
    held = (readings >= LEAST_READINGS) & (share >= PERSISTENT_SHARE) & (newest & limit.bits != 0)
    findings = []
    nodes = np.asarray(view.gpu.node_of)
    for node in np.unique(nodes[held]).tolist():
        here = np.flatnonzero(nodes == node)
        rows = here[held[here]]
        if rows.size == here.size > 1:
            findings.append(
                _finding(view, limit, rows.tolist(), Subject(kind="node", node=node_name(view, node)))
            )
        else:
            findings += [_finding(view, limit, [row], _gpu(view, node, row)) for row in rows.tolist()]
    return findings


def _gpu(view: FleetView, node: int, row: int) -> Subject:
    return Subject(kind="gpu", node=node_name(view, node), device=view.gpu.devices[row])


def _finding(view: FleetView, limit: Limit, rows: list[int], subject: Subject) -> Finding:
    celsius = float(np.nanmax(view.gpu.latest(BY_NAME["gpu.temperature_celsius"].id)[rows], initial=-np.inf))
    clock = float(np.nanmin(view.gpu.latest(BY_NAME["gpu.sm_clock_mhz"].id)[rows], initial=np.inf))
    bits = int(view.gpu.latest(BY_NAME["gpu.clock_event_reasons"].id)[rows[0]])
    names = ", ".join(event.name for event in clock_events.EVENTS if event.bit & bits)
    heat = f"{celsius:.0f} C" if np.isfinite(celsius) else "temperature unknown"
    speed = f"SM clock {clock:.0f} MHz" if np.isfinite(clock) else "SM clock unknown"
    whole = f"each of its {len(rows)} GPUs" if subject.kind == "node" else "it"
    return Finding(
        kind=limit.kind,
        detector="gpu.limits",
        culprit=subject,
        cause=limit.cause,
        verdict=Verdict.HARDWARE,
        severity=Severity.WARNING,
        confidence=agreed(DIRECT),
        onset_s=view.now_s - WINDOW_S,
        summary=f"{subject}: {whole} {limit.words} ({heat}, {speed})",
        evidence=(
            Evidence(
                at_s=view.now_s,
                bearing=Bearing.SUPPORTS,
                text=f"clocks event reasons {bits:#x} ({names}) for {WINDOW_S:.0f} s; {heat}, {speed}",
                source="nvml",
                node=subject.node,
            ),
        ),
        why=Why(
            rule="the driver gave this reason for lower clocks in nearly all readings of the window",
            source="NVML clocks event reasons (nvml.h)",
            inputs={"gpus": float(len(rows))},
            thresholds={"share": PERSISTENT_SHARE, "window_s": WINDOW_S},
        ),
    )
