"""What counts as a right answer, for lab and demo: one table from fault to accepted conclusions.

Detectors know nothing of it. ``nobody`` faults are answered rightly by an incident that pages nobody
and blames nobody, or by none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.records import IncidentKind, Verdict
from ringwatch_proto.v1 import query_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """What a fault really hit. ``rank`` is -1 and ``device`` empty where there is none."""

    node: str
    job: str = ""
    rank: int = -1
    device: str = ""


Names = Callable[[query_pb2.Subject, Struck], bool]


def names_rank(subject: query_pb2.Subject, struck: Struck) -> bool:
    """Tell whether the rank is named, or its GPU."""
    if subject.kind == "gpu":
        return subject.node == struck.node and subject.device == struck.device
    return subject.kind == "rank" and subject.rank == struck.rank and subject.job == struck.job


def names_gpu(subject: query_pb2.Subject, struck: Struck) -> bool:
    """Tell whether the GPU is named, or the rank on it."""
    return names_rank(subject, struck)


def names_node(subject: query_pb2.Subject, struck: Struck) -> bool:
    """Tell whether the node is named, whatever of it."""
    return subject.node == struck.node


def names_device_of_node(subject: query_pb2.Subject, struck: Struck) -> bool:
    """Tell whether a GPU of the node is named, by device id or by PCI address."""
    return subject.kind in ("gpu", "node") and subject.node == struck.node


def names_link(subject: query_pb2.Subject, struck: Struck) -> bool:
    """Tell whether the link that leaves the node is named, or the node's port."""
    return subject.kind in ("link", "node") and subject.node == struck.node


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Accepted conclusions for one fault. ``names`` is None where nobody is to blame."""

    kinds: frozenset[str]
    causes: frozenset[str]
    names: Names | None


def _truth(kinds: Iterable[IncidentKind], causes: Iterable[str], names: Names | None) -> Truth:
    return Truth(kinds=frozenset(kinds), causes=frozenset(causes), names=names)


_COMPUTE: Final = (IncidentKind.STRAGGLER_COMPUTE,)
_LOADER: Final = (IncidentKind.STRAGGLER_DATALOADER,)
_HANG: Final = (IncidentKind.JOB_HANG,)
_DIED: Final = (IncidentKind.RANK_DIED,)
_LINK: Final = (IncidentKind.SLOW_LINK,)

TRUTHS: Final[dict[str, Truth]] = {
    # The lab's real faults.
    "slow-rank": _truth(_COMPUTE, ("cpu_quota",), names_rank),
    "slow-rank-stop": _truth(_COMPUTE, ("process_paused",), names_rank),
    "slow-link": _truth(_LINK, ("slow_link",), names_link),
    "hang": _truth(_HANG, ("process_stopped",), names_rank),
    "crash": _truth(_DIED, ("killed",), names_rank),
    "dataloader": _truth(_LOADER, ("dataloader",), names_rank),
    "checkpoint": _truth((), (), None),
    "xid": _truth((IncidentKind.GPU_OFF_BUS,), ("xid_79",), names_device_of_node),
    "none": _truth((), (), None),
    # The simulated fleet's.
    "thermal": _truth((*_COMPUTE, IncidentKind.GPU_THERMAL), ("thermal_slowdown",), names_gpu),
    "power-brake": _truth((*_COMPUTE, IncidentKind.GPU_POWER), ("power_brake",), names_node),
    "gpu-off-bus": _truth((IncidentKind.GPU_OFF_BUS,), ("xid_79", "gpu_lost"), names_gpu),
    "dead-rank": _truth(_DIED, ("killed",), names_rank),
    "agent-silent": _truth((IncidentKind.AGENT_SILENT,), ("agent_silent",), names_node),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether incidents are a right answer, which one is meant, and why not.

    ``named`` tells that the right culprit and cause are among them; ``correct`` that nobody else is
    blamed beside.
    """

    correct: bool
    incident: query_pb2.Incident | None
    reason: str
    named: bool = False


def judge(fault: str, struck: Struck, incidents: Iterable[query_pb2.Incident]) -> Judgement:
    """Judge the incidents that were opened since the fault began."""
    truth = TRUTHS[fault]
    paging = [incident for incident in incidents if incident.pages]
    if truth.names is None:
        return _judge_nobody(paging, incidents)
    right = next((incident for incident in paging if _fits(truth, incident, struck)), None)
    wrong = [incident for incident in paging if incident is not right]
    if right is None:
        first = wrong[0] if wrong else None
        return Judgement(correct=False, incident=first, reason=_miss(first))
    blamed = next((each for each in wrong if not truth.names(each.culprit, struck)), None)
    if blamed is not None:
        reason = f"also blames {describe(blamed)}"
        return Judgement(correct=False, incident=right, reason=reason, named=True)
    return Judgement(correct=True, incident=right, reason="", named=True)


def _judge_nobody(paging: list[query_pb2.Incident], incidents: Iterable[query_pb2.Incident]) -> Judgement:
    if paging:
        return Judgement(correct=False, incident=paging[0], reason=f"blames {describe(paging[0])}")
    quiet = next(iter(incidents), None)
    if quiet is not None and quiet.verdict not in (Verdict.PAUSE, Verdict.WORKLOAD, Verdict.STRUCTURAL):
        return Judgement(correct=False, incident=quiet, reason=f"verdict {quiet.verdict}")
    return Judgement(correct=True, incident=quiet, reason="")


def _fits(truth: Truth, incident: query_pb2.Incident, struck: Struck) -> bool:
    if truth.names is None or incident.kind not in truth.kinds or incident.cause not in truth.causes:
        return False
    return truth.names(incident.culprit, struck)


def _miss(first: query_pb2.Incident | None) -> str:
    return "no incident that pages" if first is None else f"wrong: {describe(first)}"


def describe(incident: query_pb2.Incident) -> str:
    """Return an incident in a few words."""
    culprit = incident.culprit
    rank = f" rank {culprit.rank}" if culprit.kind == "rank" else ""
    where = " ".join(part for part in (culprit.node, culprit.device, culprit.peer) if part)
    return f"{incident.kind} ({incident.cause}) at {culprit.kind} {where or culprit.job}{rank}"
