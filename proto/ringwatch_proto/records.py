"""Frozen records of what Ringwatch concludes: subjects, evidence, findings, incidents.

Times are Unix seconds of the collector's clock (``*_s``). Absent numbers are NaN or None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How urgent; the values are those of the protobuf enum."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """Return the word that every screen prints: INFO, WARN or CRIT."""
        return {1: "INFO", 2: "WARN", 3: "CRIT"}[self.value]


class IncidentKind(StrEnum):
    """What an incident is about. Each kind has a runbook."""

    STRAGGLER_COMPUTE = "straggler.compute"
    STRAGGLER_DATALOADER = "straggler.dataloader"
    SLOW_LINK = "network.slow_link"
    SLOW_COLLECTIVE = "network.slow_collective"
    JOB_HANG = "job.hang"
    RANK_DIED = "job.rank_died"
    JOB_PAUSE = "job.pause"
    JOB_SLOW = "job.slow"
    GPU_OFF_BUS = "gpu.off_bus"
    GPU_NOT_ANSWERING = "gpu.not_answering"
    GPU_FAULT = "gpu.fault"
    GPU_MEMORY = "gpu.memory"
    GPU_THERMAL = "gpu.thermal"
    GPU_POWER = "gpu.power"
    NVLINK_FAULT = "nvlink.fault"
    PORT_DOWN = "network.port_down"
    HOST_FAULT = "host.fault"
    AGENT_SILENT = "node.agent_silent"


class Verdict(StrEnum):
    """Whose fault it is, in one word. "structural", "workload" and "cannot tell" are verdicts."""

    HARDWARE = "hardware"
    NETWORK = "network"
    HOST = "host"
    SOFTWARE = "software"
    WORKLOAD = "workload"
    STRUCTURAL = "structural"
    PAUSE = "pause"
    CANNOT_TELL = "cannot_tell"


class Bearing(StrEnum):
    """What a piece of evidence does to the conclusion."""

    SUPPORTS = "supports"
    RULES_OUT = "rules_out"
    CHANGE = "change"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a finding is about.

    ``kind`` is node, gpu, rank, link, job, fleet or none. ``device`` is a device id of the node;
    ``peer`` is the node at the other end of a link. ``rank`` is -1 when there is none.
    """

    kind: str
    node: str = ""
    device: str = ""
    job: str = ""
    rank: int = -1
    peer: str = ""

    def __str__(self) -> str:
        """Return the name an operator reads: ``n011 gpu3``, ``llm-70b rank 90 (n011)``."""
        if self.kind == "rank":
            return f"{self.job} rank {self.rank}" + (f" ({self.node})" if self.node else "")
        if self.kind == "link":
            return f"{self.node} -> {self.peer}" if self.peer else f"{self.node} {self.device}".strip()
        if self.kind == "job":
            return self.job
        return " ".join(part for part in (self.node, self.device) if part) or self.kind


NOBODY = Subject(kind="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observation with its time, in words with numbers and units."""

    at_s: float
    bearing: Bearing
    text: str
    source: str
    node: str = ""
    order_uncertain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledOut:
    """A rival cause and the reading that rules it out."""

    cause: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """How a rule came to its finding: inputs and thresholds with units in their names."""

    rule: str
    source: str
    inputs: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one detector sees now. Said again at each look for as long as it holds.

    ``cause`` is a short token (``cpu_quota``, ``thermal_slowdown``); ``summary`` is the sentence.
    ``latched`` findings come from an event that does not unhappen: they stay until someone proves
    the repair. ``gpus_held`` is how many GPUs the fault keeps from working at this moment.
    ``victims`` are subjects whose own symptoms this cause explains.
    """

    kind: IncidentKind
    detector: str
    culprit: Subject
    cause: str
    verdict: Verdict
    severity: Severity
    confidence: float
    onset_s: float
    summary: str
    evidence: tuple[Evidence, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    unsure: tuple[str, ...] = ()
    why: Why
    gpus_held: float = 0.0
    latched: bool = False
    victims: tuple[Subject, ...] = ()


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person wrote."""

    at_s: float
    author: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Findings that have one cause, with the life that people and time give it."""

    id: str
    state: IncidentState
    severity: Severity
    kind: IncidentKind
    culprit: Subject
    cause: str
    verdict: Verdict
    summary: str
    confidence: float
    onset_s: float
    opened_s: float
    updated_s: float
    closed_s: float | None = None
    owner: str = ""
    gpu_hours_lost: float = 0.0
    findings: tuple[Finding, ...] = ()
    notes: tuple[Note, ...] = ()
    runbooks: tuple[str, ...] = ()
    run: str = ""
    pages: bool = True
    active: bool = True
    quiet_s: float = 0.0
    silenced_until_s: float | None = None
    acknowledged_until_s: float | None = None
    silenced_by: str = ""
    reopened: int = 0
