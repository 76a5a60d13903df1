"""Frozen snapshots of what a collector answered. They hold values, never connections or widgets.

Times are Unix seconds of the collector's clock (``*_s``), ages are seconds. Absent numbers are NaN.
Incidents and subjects are the records of ``ringwatch_proto``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from ringwatch_proto.records import NOBODY, Incident, IncidentState, Subject
from ringwatch_tui.state.columns import GpuColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How far "no incident" can be trusted."""

    rules_active: int = 0
    evaluated_age_s: float = float("nan")
    input_completeness: float = float("nan")
    nodes_known: int = 0
    nodes_reporting: int = 0
    batches_taken: int = 0
    messages_refused: int = 0
    readings_dropped: int = 0
    tick_ms: float = float("nan")
    troubles: tuple[str, ...] = ()
    plaintext_off_loopback: bool = False


class GpuReading(Protocol):
    """One GPU as the fleet view shows it, wherever its values lie. Absent numbers are NaN."""

    @property
    def id(self) -> str:
        """Return the stable id."""
        ...

    @property
    def name(self) -> str:
        """Return what operators call it."""
        ...

    @property
    def state(self) -> str:
        """Return the state's word."""
        ...

    @property
    def utilization_percent(self) -> float:
        """Return the share of time in which a kernel ran."""
        ...

    @property
    def power_watts(self) -> float:
        """Return the power draw."""
        ...

    @property
    def temperature_celsius(self) -> float:
        """Return the core's temperature."""
        ...

    @property
    def sm_clock_mhz(self) -> float:
        """Return the SM clock."""
        ...

    @property
    def reading_age_s(self) -> float:
        """Return the age of the readings, seconds."""
        ...

    @property
    def job(self) -> str:
        """Return the job on it, empty for none."""
        ...

    @property
    def rank(self) -> int:
        """Return the rank on it, -1 for none."""
        ...


Gpus = tuple[GpuReading, ...] | GpuColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU by value."""

    id: str
    name: str
    state: str
    utilization_percent: float = float("nan")
    power_watts: float = float("nan")
    temperature_celsius: float = float("nan")
    sm_clock_mhz: float = float("nan")
    reading_age_s: float = float("nan")
    job: str = ""
    rank: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node with its GPUs."""

    name: str
    state: str
    note: str = ""
    last_seen_age_s: float = float("nan")
    labels: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    gpus: Gpus = ()
    job: str = ""
    clock_offset_s: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training job."""

    name: str
    state: str
    world_size: int = 0
    ranks_reporting: int = 0
    nodes: int = 0
    step: int = 0
    step_s: float = float("nan")
    baseline_step_s: float = float("nan")
    wait_percent: float = float("nan")
    straggler: str = ""
    recent_step_s: tuple[float, ...] = ()
    age_s: float = float("nan")
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBrief:
    """A runbook run as the fleet view names it."""

    id: str
    runbook: str
    incident: str
    state: str
    step: int = 0
    steps: int = 0
    waiting_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayMark:
    """Where in a recording a picture stands; ``speed`` 0 stands still."""

    at_s: float
    first_s: float
    last_s: float
    speed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The whole fleet at one instant of the collector's clock. Without slots: it keeps what it worked out."""

    collector: str
    wall_s: float
    nodes: tuple[Node, ...] = ()
    jobs: tuple[Job, ...] = ()
    incidents: tuple[Incident, ...] = ()
    health: Health = field(default_factory=Health)
    runs: tuple[RunBrief, ...] = ()
    # What could not be read in the answer; said aloud, never dropped in silence.
    unread: tuple[str, ...] = ()
    # Open incidents that the collector did not send: it sends the most severe and newest.
    open_left_out: int = 0
    # Set for a picture of the past.
    replay: ReplayMark | None = None

    @cached_property
    def open_incidents(self) -> tuple[Incident, ...]:
        """Return the incidents that somebody still has to see to."""
        return tuple(each for each in self.incidents if each.state is not IncidentState.RESOLVED)

    @cached_property
    def incident_by_id(self) -> Mapping[str, Incident]:
        """Return the incidents by id."""
        return {each.id: each for each in self.incidents}

    @cached_property
    def simulated_nodes(self) -> int:
        """Return how many nodes' readings come from a simulator."""
        return sum(1 for each in self.nodes if each.simulated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One rank of a job in its newest step."""

    rank: int
    node: str
    gpu: str = ""
    pid: int = 0
    state: str = ""
    step: int = 0
    step_s: float = float("nan")
    data_s: float = float("nan")
    compute_s: float = float("nan")
    wait_s: float = float("nan")
    late_s: float = float("nan")
    compute_ratio: float = float("nan")
    beat_age_s: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Traffic between two nodes of a job."""

    node: str
    peer: str
    delivery_mbit_s: float = float("nan")
    busy_share: float = float("nan")
    unsent_kib: float = float("nan")
    rtt_ms: float = float("nan")
    retransmits_per_s: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """One job with its ranks and recent steps. ``wait_s`` is rank-major, ranks x steps."""

    summary: Job
    ranks: tuple[Rank, ...] = ()
    steps: tuple[int, ...] = ()
    step_s_median: tuple[float, ...] = ()
    step_s_max: tuple[float, ...] = ()
    wait_s: tuple[float, ...] = ()
    change_point_s: float | None = None
    flows: tuple[Flow, ...] = ()
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One live value of a node; ``signal`` is the catalogue's name."""

    signal: str
    unit: str
    device: str
    value: float
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Recent values of one signal, beside the median of its peers."""

    signal: str
    unit: str
    device: str
    values: tuple[float, ...]
    peers: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent:
    """Something that happened once on a node."""

    at_s: float
    kind: str
    severity: int
    source: str
    device: str
    code: int
    text: str
    backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """Whether one source of the agent can be read, and if not, why."""

    name: str
    up: bool
    age_s: float
    duration_ms: float
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDetail:
    """One node with its readings, events and sources."""

    summary: Node
    readings: tuple[Reading, ...] = ()
    trends: tuple[Trend, ...] = ()
    events: tuple[NodeEvent, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    verbs: tuple[str, ...] = ()
    agent_version: str = ""
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One device of a series over a window; a step without a reading is NaN."""

    node: str
    device: str
    job: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A series over a window, and who answered: the collector's memory, its history database, or both."""

    series: str
    unit: str
    source: str
    step_s: float
    resolution_s: float
    first_s: float
    lines: tuple[HistoryLine, ...] = ()
    # Why there is less than was asked for.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What is held back for a time: incidents that all matchers match, each ``field:pattern``."""

    id: str
    matchers: tuple[str, ...]
    author: str
    reason: str
    from_s: float
    until_s: float
    ended_s: float | None = None
    incidents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What was told to one channel about an incident, or is still to be told."""

    key: str
    channel: str
    incident: str
    what: str
    state: str
    tries: int
    error: str
    created_s: float
    due_s: float | None
    settled_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookStep:
    """One step of a runbook as written."""

    id: str
    kind: str
    title: str
    expect: str = ""
    command: str = ""
    risk: str = ""
    approval: str = ""
    question: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A runbook as written."""

    id: str
    revision: int
    title: str
    title_zh: str = ""
    first_rule: str = ""
    never: tuple[str, ...] = ()
    severity: str = ""
    steps: tuple[RunbookStep, ...] = ()
    triggers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One thing that somebody did or was refused."""

    sequence: int
    at_s: float
    actor: str
    action: str
    target: str = ""
    incident: str = ""
    reason: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLog:
    """The newest records, and whether the chain over them is whole."""

    records: tuple[AuditRecord, ...] = ()
    intact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A value that a check read, with its age and whether it is as it should be."""

    name: str
    value: str
    unit: str = ""
    age_s: float = float("nan")
    holds: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """One step of a run: pending, running, waiting, done, failed or skipped."""

    id: str
    kind: str
    title: str
    state: str
    outcome: str = ""
    why: str = ""
    expect: str = ""
    command: str = ""
    effect: str = ""
    undo: str = ""
    risk: str = ""
    approval: str = ""
    question: str = ""
    options: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    output: tuple[str, ...] = ()
    started_s: float | None = None
    ended_s: float | None = None
    by: str = ""
    typed_target: str = ""
    deadline_s: float = 0.0
    healthy_s: float = 0.0
    healthy_needed_s: float = 0.0
    # What came of taking the action back, and what has to be typed to do so; empty when it cannot be.
    undone: str = ""
    undo_target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A runbook being walked. It lives in the collector and outlives every console."""

    id: str
    runbook: str
    revision: int
    title: str
    incident: str
    state: str
    started_by: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    current: str = ""
    steps: tuple[RunStep, ...] = ()
    never: tuple[str, ...] = ()
    first_rule: str = ""
    target: Subject = NOBODY
    result: str = ""
    path: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Say whether nothing more will happen in this run."""
        return self.state not in ("running", "waiting")

    @property
    def open_step(self) -> RunStep | None:
        """Return the step that the run is at, if it is at one."""
        return next((step for step in self.steps if step.id == self.current), None)
