"""GPUs whose own counters and flags say that they are not well. Reads no event but a driver's mismatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, agreed
from ringwatch_collector.detectors.happened import evidence_of, live
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.view import FleetView, SeenEvent
from ringwatch_proto import events
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME

FRESH_S: Final = 5.0
_SOURCE: Final = (
    "NVIDIA GPU memory error management (docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt), "
    "nvml.h; DCGM health checks"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A reading above ``limit`` and what it means."""

    signal: str
    limit: float
    kind: IncidentKind
    cause: str
    severity: Severity
    words: str


def _memory(signal: str, cause: str, severity: Severity, words: str, limit: float = 0.0) -> Condition:
    return Condition(
        signal=signal,
        limit=limit,
        kind=IncidentKind.GPU_MEMORY,
        cause=cause,
        severity=severity,
        words=words,
    )


CONDITIONS: Final = (
    _memory("remap_failed", "remap_failed", Severity.CRITICAL, "a memory row could not be remapped"),
    _memory("memory_unrepairable", "remap_failed", Severity.CRITICAL, "memory cannot be repaired any more"),
    _memory(
        "sram_threshold_exceeded", "sram_threshold", Severity.CRITICAL, "SRAM errors passed their threshold"
    ),
    _memory(
        "ecc_uncorrected", "uncorrected_ecc", Severity.CRITICAL,
        "{:.0f} uncorrected memory errors since driver load",
    ),
    _memory("remap_pending", "remap_pending", Severity.WARNING, "a memory row remap waits for a reset"),
    _memory("retired_pages_pending", "remap_pending", Severity.WARNING, "a retired page waits for a reset"),
    _memory("repair_pending", "remap_pending", Severity.WARNING, "a memory repair waits for a reset"),
    _memory(
        "ecc_corrected_per_s", "correctable_rate", Severity.WARNING, "{:.3g} corrected memory errors/s", 1.0
    ),
    Condition(
        signal="recovery_action", limit=0.0, kind=IncidentKind.GPU_FAULT, cause="needs_reset",
        severity=Severity.CRITICAL, words="the driver asks for recovery action {:.0f}",
    ),
    Condition(
        signal="nvlink_recoveries_failed", limit=0.0, kind=IncidentKind.NVLINK_FAULT,
        cause="nvlink_recovery_failed", severity=Severity.CRITICAL, words="{:.0f} NVLink recoveries failed",
    ),
)  # fmt: skip

_LINK_DOWN: Final = Condition(
    signal="nvlink_active",
    limit=0.0,
    kind=IncidentKind.NVLINK_FAULT,
    cause="nvlink_down",
    severity=Severity.CRITICAL,
    words="",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverTrouble:
    """What the agent says of its NVML source when the driver itself is at fault."""

    said: str
    kind: IncidentKind
    cause: str
    words: str


_DRIVER_TROUBLES: Final = (
    DriverTrouble(
        said="version mismatch",
        kind=IncidentKind.HOST_FAULT,
        cause="driver_mismatch",
        words="driver library and kernel module have different versions; new jobs fail",
    ),
    DriverTrouble(
        said="nvmlInit has not come back",
        kind=IncidentKind.GPU_NOT_ANSWERING,
        cause="driver_blocked",
        words="the driver does not answer at all",
    ),
)


class GpuHealth:
    """Believes what a GPU says of itself; a flag holds for as long as it is read."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "gpu.health"

    def look(self, view: FleetView) -> list[Finding]:
        """Return a finding a GPU and condition, and one for a node whose driver does not fit."""
        fresh = view.gpu.age_s(view.now_s) <= FRESH_S
        found: list[Finding] = []
        for condition in CONDITIONS:
            values = view.gpu.latest(BY_NAME[f"gpu.{condition.signal}"].id)
            above = np.isfinite(values) & (np.nan_to_num(values) > condition.limit) & fresh
            found += [
                _told(view, condition, row, float(values[row])) for row in np.flatnonzero(above).tolist()
            ]
        return [*_worst(found), *_links(view, fresh), *_drivers(view)]


def _told(view: FleetView, condition: Condition, row: int, value: float) -> Finding:
    return _finding(
        view,
        row,
        condition,
        condition.words.format(value),
        inputs={condition.signal: value},
    )


def _gpu(view: FleetView, row: int) -> Subject:
    node = node_name(view, int(view.gpu.node_of[row]))
    return Subject(kind="gpu", node=node, device=view.gpu.devices[row])


def _worst(found: list[Finding]) -> list[Finding]:
    """Keep the worst of each GPU and kind; conditions are in the order of what tells most."""
    kept: dict[tuple[Subject, IncidentKind], Finding] = {}
    for finding in found:
        known = kept.get((finding.culprit, finding.kind))
        if known is None or finding.severity > known.severity:
            kept[finding.culprit, finding.kind] = finding
    return list(kept.values())


def _links(view: FleetView, fresh: np.ndarray) -> list[Finding]:
    """Compare the links that are up with the GPU's siblings: boards without bridges have none."""
    active = view.gpu.latest(BY_NAME["gpu.nvlink_active"].id)
    there = view.gpu.latest(BY_NAME["gpu.nvlink_links"].id)
    short = np.isfinite(active) & np.isfinite(there) & (active < there) & fresh
    found = []
    for row in np.flatnonzero(short).tolist():
        siblings = active[np.asarray(view.gpu.node_of) == view.gpu.node_of[row]]
        if active[row] < np.nanmedian(siblings):
            words = f"{active[row]:.0f} of {there[row]:.0f} NVLinks are up"
            inputs = {"nvlink_active": float(active[row]), "nvlink_links": float(there[row])}
            found.append(_finding(view, row, _LINK_DOWN, words, inputs=inputs))
    return found


def _drivers(view: FleetView) -> list[Finding]:
    down = view.source.latest(BY_NAME["source.up"].id) == 0
    blind = {
        node_name(view, int(view.source.node_of[row]))
        for row in np.flatnonzero(down & (view.source.age_s(view.now_s) <= FRESH_S)).tolist()
        if view.source.devices[row] == "nvml"
    }
    newest: dict[str, SeenEvent] = {
        event.node: event
        for event in live(view, events.SOURCE_DOWN)
        if event.source == "nvml" and event.node in blind
    }
    return [
        _driver(event, trouble)
        for event in newest.values()
        for trouble in _DRIVER_TROUBLES
        if trouble.said in event.text
    ]


def _driver(event: SeenEvent, trouble: DriverTrouble) -> Finding:
    return Finding(
        kind=trouble.kind,
        detector="gpu.health",
        culprit=Subject(kind="node", node=event.node),
        cause=trouble.cause,
        verdict=Verdict.SOFTWARE,
        severity=Severity.CRITICAL,
        confidence=agreed(DIRECT),
        onset_s=event.at_s,
        summary=f"{event.node}: {trouble.words}",
        evidence=(evidence_of(event),),
        why=Why(rule="the agent's NVML source is down for this reason", source=_SOURCE),
    )


def _finding(
    view: FleetView, row: int, condition: Condition, words: str, *, inputs: dict[str, float]
) -> Finding:
    subject = _gpu(view, row)
    seen = Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=words, source="nvml", node=subject.node)
    return Finding(
        kind=condition.kind,
        detector="gpu.health",
        culprit=subject,
        cause=condition.cause,
        verdict=Verdict.HARDWARE,
        severity=condition.severity,
        confidence=agreed(DIRECT),
        onset_s=view.now_s,
        summary=f"{subject}: {words}",
        evidence=(seen,),
        why=Why(
            rule="the GPU's own counter or flag says so",
            source=_SOURCE,
            inputs=inputs,
            thresholds={f"{condition.signal}_limit": condition.limit},
        ),
    )
