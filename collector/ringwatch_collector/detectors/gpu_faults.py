"""GPU faults that driver or kernel report: Xids, a GPU lost or not answering. Reads no slowness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ringwatch_collector.detectors.confidence import DIRECT, READING, agreed
from ringwatch_collector.detectors.happened import evidence_of, is_fresh, live
from ringwatch_collector.detectors.places import node_name
from ringwatch_collector.view import FleetView, GpuUser, SeenEvent
from ringwatch_knowledge import sxid, xid
from ringwatch_proto import events
from ringwatch_proto.records import Bearing, Evidence, Finding, IncidentKind, Severity, Subject, Verdict, Why
from ringwatch_proto.signals import BY_NAME, GpuState

STATE_FRESH_S: Final = 5.0
_SAID: Final = (
    events.GPU_XID,
    events.GPU_LOST,
    events.GPU_NOT_ANSWERING,
    events.NVLINK_DOWN,
    events.NVSWITCH_SXID,
)
# The first word of a fault class of the catalogue -> what the incident is about.
_KINDS: Final[dict[str, IncidentKind]] = {
    "gpu_memory": IncidentKind.GPU_MEMORY,
    "nvlink": IncidentKind.NVLINK_FAULT,
    "power": IncidentKind.GPU_POWER,
}
# Verdict by where the catalogue says to look.
_VERDICTS: Final[dict[str, Verdict]] = {
    "hardware": Verdict.HARDWARE,
    "software": Verdict.SOFTWARE,
    "application": Verdict.SOFTWARE,
}
_SOURCE: Final = "NVIDIA Xid errors (docs.nvidia.com/deploy/xid-errors), as catalogued in ringwatch_knowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """What one reading says about one GPU."""

    kind: IncidentKind
    cause: str
    verdict: Verdict
    severity: Severity
    text: str
    at_s: float
    evidence: Evidence
    inputs: dict[str, float]


class GpuFaults:
    """Believes the driver, and blames no GPU for what the application did to it."""

    @property
    def name(self) -> str:
        """Stable name."""
        return "gpu.faults"

    def look(self, view: FleetView) -> list[Finding]:
        """Return one finding a GPU and kind of fault: the worst, with the others as evidence."""
        found: dict[tuple[Subject, IncidentKind], list[_Fault]] = {}
        states = _from_states(view)
        bad = {subject.device for subject, _ in states}
        for subject, fault in (*_from_events(view, bad), *states):
            found.setdefault((subject, fault.kind), []).append(fault)
        return [_finding(view, subject, faults) for (subject, _), faults in found.items()]


def _from_events(view: FleetView, bad: set[str]) -> list[tuple[Subject, _Fault]]:
    """Return what events say: those that just came, and older ones of GPUs that are still bad."""
    said = [event for event in live(view, *_SAID) if is_fresh(view, event) or event.device in bad]
    recovered = list(live(view, events.GPU_RECOVERED))
    found = []
    for event in said:
        back = any(
            r.node == event.node and r.device == event.device and r.at_s > event.at_s for r in recovered
        )
        fault = None if back and event.device else _read(event)
        if fault is not None:
            found.append((_subject(event), fault))
    return found


def _subject(event: SeenEvent) -> Subject:
    device = event.device or event.fields.get("pci", "")
    return Subject(kind="gpu" if device else "node", node=event.node, device=device)


def _read(event: SeenEvent) -> _Fault | None:
    if event.kind == events.GPU_XID:
        return _xid(event)
    if event.kind == events.NVSWITCH_SXID:
        meaning = sxid.lookup(event.code, event.fields.get("fatality", ""))
        if meaning.severity < Severity.WARNING:
            return None
        text = f"NVSwitch SXid {event.code}: {meaning.title}"
        return _fault(
            event, IncidentKind.NVLINK_FAULT, f"sxid_{event.code}", text, Severity(meaning.severity)
        )
    if event.kind == events.GPU_LOST:
        return _fault(event, IncidentKind.GPU_OFF_BUS, "gpu_lost", "the GPU is lost to the driver")
    if event.kind == events.NVLINK_DOWN:
        return _fault(
            event, IncidentKind.NVLINK_FAULT, "nvlink_down", "an NVLink went down", Severity.WARNING
        )
    text = "an NVML call on the GPU does not come back"
    return _fault(event, IncidentKind.GPU_NOT_ANSWERING, "not_answering", text, Severity.WARNING)


def _xid(event: SeenEvent) -> _Fault | None:
    """Read an Xid: followers, notices and what an application did to itself accuse no GPU."""
    meaning = xid.lookup(event.code, event.text)
    if meaning.role in ("effect", "notice") or meaning.origin == "application" or meaning.severity < 2:
        return None
    if meaning.known and meaning.fault_class.startswith(("driver.", "none.")):
        return None
    group = meaning.fault_class.partition(".")[0]
    kind = IncidentKind.GPU_OFF_BUS if meaning.fault_class == "gpu.off_bus" else IncidentKind.GPU_FAULT
    if meaning.fault_class == "firmware.gsp_failure":
        kind = IncidentKind.GPU_NOT_ANSWERING
    text = f"Xid {event.code}: {meaning.title}"
    severity = Severity(meaning.severity)
    fault = _fault(event, _KINDS.get(group, kind), f"xid_{event.code}", text, severity)
    return replace(fault, verdict=_VERDICTS.get(meaning.origin, Verdict.CANNOT_TELL))


def _fault(
    event: SeenEvent, kind: IncidentKind, cause: str, text: str, severity: Severity = Severity.CRITICAL
) -> _Fault:
    return _Fault(
        kind=kind, cause=cause, verdict=Verdict.HARDWARE, severity=severity, text=text,
        at_s=event.at_s, evidence=evidence_of(event), inputs={"code": float(event.code)},
    )  # fmt: skip


# What ``gpu.state`` says: kind, cause, severity, words.
_STATES: Final[dict[GpuState, tuple[IncidentKind, str, Severity, str]]] = {
    GpuState.LOST: (IncidentKind.GPU_OFF_BUS, "gpu_lost", Severity.CRITICAL, "the GPU is lost to the driver"),
    GpuState.NEEDS_RESET: (
        IncidentKind.GPU_FAULT, "needs_reset", Severity.CRITICAL, "the driver wants the GPU reset",
    ),
    GpuState.NOT_ANSWERING: (
        IncidentKind.GPU_NOT_ANSWERING, "not_answering", Severity.WARNING,
        "NVML calls on the GPU do not come back",
    ),
    GpuState.FAILING: (IncidentKind.GPU_FAULT, "reads_fail", Severity.WARNING, "reads of the GPU fail"),
}  # fmt: skip
_KNOWN_STATES: Final = {int(state): state for state in _STATES}


def _from_states(view: FleetView) -> list[tuple[Subject, _Fault]]:
    state = view.gpu.latest(BY_NAME["gpu.state"].id)
    fresh = np.isfinite(state) & (view.gpu.age_s(view.now_s) <= STATE_FRESH_S)
    nodes = np.asarray(view.gpu.node_of)
    silent = _silent_nodes(nodes[fresh], state[fresh])
    found = []
    for row in np.flatnonzero(fresh & (state > 0)).tolist():
        known = _KNOWN_STATES.get(int(state[row]), GpuState.FAILING)
        node = node_name(view, int(nodes[row]))
        subject = Subject(kind="gpu", node=node, device=view.gpu.devices[row])
        if int(nodes[row]) in silent:
            subject = Subject(kind="node", node=node)
        found.append((subject, _state(view, known, node)))
    return found


def _silent_nodes(nodes: np.ndarray, state: np.ndarray) -> frozenset[int]:
    """Return the nodes none of whose GPUs answers: their driver is at fault, not so many GPUs."""
    silent = state == GpuState.NOT_ANSWERING
    return frozenset(
        node
        for node in np.unique(nodes[silent]).tolist()
        if np.count_nonzero(nodes == node) > 1 and silent[nodes == node].all()
    )


def _state(view: FleetView, state: GpuState, node: str) -> _Fault:
    kind, cause, severity, text = _STATES[state]
    since = Evidence(at_s=view.now_s, bearing=Bearing.SUPPORTS, text=text, source="nvml", node=node)
    return _Fault(
        kind=kind, cause=cause, verdict=Verdict.HARDWARE, severity=severity, text=text,
        at_s=view.now_s, evidence=since, inputs={"state": float(state)},
    )  # fmt: skip


def _finding(view: FleetView, subject: Subject, faults: list[_Fault]) -> Finding:
    # The kernel names the fault, the state only its sight: an Xid comes first among equals.
    worst = max(faults, key=lambda fault: (fault.severity, fault.cause.startswith("xid"), -fault.at_s))
    sources = {fault.evidence.source for fault in faults}
    users = view.owners.get((subject.node, subject.device), ())
    held = bool(users) or (subject.device and any(subject.device in job.gpu_of for job in view.jobs))
    unplaced = subject.kind == "node" and worst.kind is not IncidentKind.GPU_NOT_ANSWERING
    return Finding(
        kind=worst.kind,
        detector="gpu.faults",
        culprit=subject,
        cause=worst.cause,
        verdict=worst.verdict,
        severity=worst.severity,
        confidence=agreed(DIRECT, READING) if len(sources) > 1 else agreed(DIRECT),
        onset_s=min(fault.at_s for fault in faults),
        summary=f"{subject}: {worst.text}{_used_by(users)}",
        evidence=tuple(fault.evidence for fault in sorted(faults, key=lambda fault: fault.at_s))[-12:],
        unsure=("the line names no GPU that the node has",) if unplaced else (),
        why=Why(
            rule="the driver or the kernel said so; Xids of applications and followers are left out",
            source=_SOURCE,
            inputs=worst.inputs,
        ),
        gpus_held=1.0 if held and worst.severity == Severity.CRITICAL else 0.0,
        latched=worst.kind is not IncidentKind.GPU_NOT_ANSWERING,
        victims=tuple(Subject(kind="job", job=job) for job in sorted({user.job for user in users} - {""})),
    )


def _used_by(users: Sequence[GpuUser]) -> str:
    """Return whom the fault hits, in words; who uses a GPU is known with no hook in the job too."""
    if not users:
        return ""
    first = min(users, key=lambda user: (not user.job, user.rank < 0, user.rank))
    what = first.job or first.program or first.pod
    rank = f" rank {first.rank}" if first.rank >= 0 else ""
    whose = f" of {first.user}" if first.user else ""
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    return f"; used by {what}{rank}{whose}{more}"
