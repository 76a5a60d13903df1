"""Right or wrong: incidents of a run against what was done to it. The detectors never see this table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.feed import gpu_name, node_name
from ringwatch_drills.bench.detection.run import Ran
from ringwatch_drills.bench.detection.scenario import GUILTY, Trouble
from ringwatch_drills.bench.detection.watch import BEGIN_S
from ringwatch_proto.records import Incident, IncidentKind, Subject

_K = IncidentKind
_SLOW: Final = frozenset({_K.STRAGGLER_COMPUTE, _K.GPU_THERMAL, _K.GPU_POWER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Accepted conclusions for a kind of trouble; ``level`` says what has to be named."""

    kinds: frozenset[IncidentKind]
    causes: frozenset[str]
    level: str  # rank, node or link


def _answer(kinds: frozenset[IncidentKind] | set[IncidentKind], causes: set[str], level: str) -> Answer:
    return Answer(kinds=frozenset(kinds), causes=frozenset(causes), level=level)


ANSWERS: Final[dict[str, Answer]] = {
    "gpu_slow": _answer(_SLOW, {"unexplained"}, "rank"),
    "slow_since_start": _answer(_SLOW, {"unexplained"}, "rank"),
    "thermal": _answer(_SLOW, {"thermal_slowdown"}, "rank"),
    "power_brake": _answer(_SLOW, {"power_brake"}, "rank"),
    "clock_low": _answer(_SLOW, {"clock_low"}, "rank"),
    "pcie_narrow": _answer(_SLOW, {"pcie_degraded"}, "rank"),
    "cpu_quota": _answer(_SLOW, {"cpu_quota"}, "rank"),
    "cpu_contention": _answer(_SLOW, {"cpu_contention"}, "rank"),
    "dataloader": _answer({_K.STRAGGLER_DATALOADER}, {"dataloader"}, "rank"),
    "node_slow": _answer({_K.STRAGGLER_COMPUTE}, {"cpu_contention"}, "node"),
    "slow_link": _answer({_K.SLOW_LINK}, {"slow_link"}, "link"),
    "nvlink_slow": _answer({_K.SLOW_LINK, _K.NVLINK_FAULT}, {"slow_nvlink", "slow_link"}, "node"),
    "gpu_off_bus": _answer({_K.GPU_OFF_BUS}, {"xid_79", "gpu_lost"}, "rank"),
    "gpu_memory": _answer({_K.GPU_MEMORY}, {"xid_48"}, "rank"),
    "nvlink_fault": _answer({_K.NVLINK_FAULT}, {"xid_74"}, "rank"),
    "gsp_timeout": _answer({_K.GPU_NOT_ANSWERING}, {"xid_119"}, "rank"),
    "port_down": _answer({_K.PORT_DOWN}, {"port_down"}, "link"),
    "rank_killed": _answer({_K.RANK_DIED}, {"killed"}, "rank"),
    "rank_oom": _answer({_K.RANK_DIED}, {"oom"}, "rank"),
    "node_silent": _answer({_K.AGENT_SILENT}, {"agent_silent"}, "node"),
    "hang_stopped": _answer({_K.JOB_HANG}, {"process_stopped"}, "rank"),
    "hang_blocked": _answer({_K.JOB_HANG}, {"process_blocked"}, "rank"),
    "hang_code": _answer({_K.JOB_HANG}, {"never_launched", "dataloader"}, "rank"),
    "hang_gpu": _answer({_K.JOB_HANG}, {"stuck_in_collective"}, "rank"),
}
# Troubles that are real and shared: a page that blames nobody is right.
_SHARED: Final = frozenset({"congestion", "storage_slow"})
# What should be said of them, in the words of verdict and cause.
SAID: Final[dict[str, frozenset[str]]] = {
    "sequence_imbalance": frozenset({"workload"}),
    "stage_imbalance": frozenset({"structural"}),
    "gc_everywhere": frozenset({"workload"}),
    "checkpoint": frozenset({"pause"}),
}
NOBODY: Final = frozenset({"none", "job", "fleet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How one guilty trouble was answered. Delays are None when it was not named."""

    kind: str
    size: float
    ranks: int
    named: bool
    top1: bool
    cause_right: bool
    abstained: bool
    delay_s: float | None
    delay_steps: float | None
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one run was answered."""

    suite: str
    name: str
    seed: int
    ranks: int
    step_s: float
    found: tuple[Found, ...]
    right_pages: int
    false_pages: tuple[str, ...]
    said: bool | None  # whether the innocent verdict that is due was given; None where none is
    confidences: tuple[tuple[float, bool], ...]
    rank_days: float
    extra: dict[str, object] = field(default_factory=dict)


def names(subject: Subject, trouble: Trouble, level: str, per_node: int) -> bool:
    """Tell whether a culprit is the right one."""
    node = node_name(trouble.rank // per_node)
    if level == "rank":
        return (
            subject.rank == trouble.rank
            if subject.kind == "rank"
            else subject.device == gpu_name(trouble.rank)
        )
    if level == "node":
        return subject.kind in ("node", "link") and subject.node == node
    return subject.kind in ("link", "node") and subject.node == node


def near(subject: Subject, trouble: Trouble, level: str, per_node: int) -> bool:
    """Tell whether a culprit is part of the right one, so that it is no false accusation."""
    at_node = subject.node == node_name(trouble.rank // per_node)
    return names(subject, trouble, level, per_node) or (level != "rank" and at_node)


def score(suite: str, ran: Ran) -> Result:
    """Return how a run was answered."""
    scenario, last = ran.scenario, {each.id: each for each in ran.last}
    per_node = scenario.shape.per_node
    guilty = [(at, each) for at, each in enumerate(scenario.troubles) if each.kind in GUILTY]
    paged = sorted(((at_s, last[key]) for key, at_s in ran.paged_s.items()), key=lambda each: each[0])
    named = [(at_s, each) for at_s, each in paged if each.culprit.kind not in NOBODY]
    false, right, confidences = [], 0, []
    for at_s, incident in paged:
        mine = [t for n, t in guilty if at_s >= ran.onset_s.get(n, np.inf) - 1e-6]
        good = any(near(incident.culprit, t, ANSWERS[t.kind].level, per_node) for t in mine)
        if incident.culprit.kind in NOBODY:
            shared = any(t.kind in _SHARED for t in scenario.troubles) or bool(mine)
            false += [] if shared else [_words(incident, at_s)]
            continue
        right += good
        confidences.append((incident.confidence, good))
        false += [] if good else [_words(incident, at_s)]
    found = tuple(_found(ran, number, trouble, named, paged) for number, trouble in guilty)
    return Result(
        suite=suite, name=scenario.name, seed=scenario.seed,
        ranks=scenario.shape.ranks, step_s=scenario.step_s,
        found=found, right_pages=right, false_pages=tuple(false), said=_said(ran),
        confidences=tuple(confidences), rank_days=scenario.shape.ranks * scenario.lasts_s / 86400.0,
    )  # fmt: skip


def _found(
    ran: Ran,
    number: int,
    trouble: Trouble,
    named: list[tuple[float, Incident]],
    paged: list[tuple[float, Incident]],
) -> Found:
    answer, per_node = ANSWERS[trouble.kind], ran.scenario.shape.per_node
    onset_s = ran.onset_s.get(number, np.inf)
    mine = [
        (s, i) for s, i in named if s >= onset_s - 1e-6 and names(i.culprit, trouble, answer.level, per_node)
    ]
    others = [t for n, t in enumerate(ran.scenario.troubles) if n != number and t.kind in GUILTY]
    rivals = [
        (s, i) for s, i in named
        if s >= onset_s and not any(near(i.culprit, t, ANSWERS[t.kind].level, per_node) for t in others)
    ]  # fmt: skip
    first = mine[0] if mine else None
    delay_s = None if first is None else first[0] - onset_s
    ended = np.asarray(ran.steps_ended_s)
    steps = None if first is None else float(np.count_nonzero((ended > onset_s) & (ended <= first[0])))
    return Found(
        kind=trouble.kind, size=trouble.size, ranks=ran.scenario.shape.ranks, named=first is not None,
        top1=bool(rivals) and first is not None and rivals[0][1] is first[1],
        cause_right=any(i.kind in answer.kinds and i.cause in answer.causes for _, i in mine),
        abstained=first is None and any(i.culprit.kind in NOBODY and s >= onset_s for s, i in paged),
        delay_s=delay_s, delay_steps=steps, pages=len(mine),
    )  # fmt: skip


def _said(ran: Ran) -> bool | None:
    due = SAID.get(ran.scenario.troubles[0].kind) if ran.scenario.troubles else None
    if due is None:
        return None
    return any(incident.verdict.value in due for incident in ran.last)


def _words(incident: Incident, at_s: float) -> str:
    opened = incident.opened_s - BEGIN_S
    return (
        f"{incident.kind.value} {incident.cause} at {incident.culprit} ({at_s:.0f} s, opened {opened:.0f} s)"
    )
