from ringwatch_proto.v1 import telemetry_pb2 as _telemetry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetFleetRequest(_message.Message):
    __slots__ = ("first_node", "most_nodes")
    FIRST_NODE_FIELD_NUMBER: _ClassVar[int]
    MOST_NODES_FIELD_NUMBER: _ClassVar[int]
    first_node: int
    most_nodes: int
    def __init__(self, first_node: _Optional[int] = ..., most_nodes: _Optional[int] = ...) -> None: ...

class FollowFleetRequest(_message.Message):
    __slots__ = ("min_interval_s",)
    MIN_INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    min_interval_s: float
    def __init__(self, min_interval_s: _Optional[float] = ...) -> None: ...

class GetIncidentRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListIncidentsRequest(_message.Message):
    __slots__ = ("include_closed", "limit")
    INCLUDE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    include_closed: bool
    limit: int
    def __init__(self, include_closed: bool = ..., limit: _Optional[int] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job", "steps")
    JOB_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    job: str
    steps: int
    def __init__(self, job: _Optional[str] = ..., steps: _Optional[int] = ...) -> None: ...

class GetNodeRequest(_message.Message):
    __slots__ = ("node", "seconds")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    node: str
    seconds: float
    def __init__(self, node: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("node", "since_ns", "limit")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    node: str
    since_ns: int
    limit: int
    def __init__(self, node: _Optional[str] = ..., since_ns: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("limit", "incident")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    incident: str
    def __init__(self, limit: _Optional[int] = ..., incident: _Optional[str] = ...) -> None: ...

class Fleet(_message.Message):
    __slots__ = ("collector", "wall_ns", "nodes", "jobs", "incidents", "health", "runs", "open_left_out")
    COLLECTOR_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    OPEN_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    collector: str
    wall_ns: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeSummary]
    jobs: _containers.RepeatedCompositeFieldContainer[JobSummary]
    incidents: _containers.RepeatedCompositeFieldContainer[Incident]
    health: Health
    runs: _containers.RepeatedCompositeFieldContainer[RunSummary]
    open_left_out: int
    def __init__(self, collector: _Optional[str] = ..., wall_ns: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeSummary, _Mapping]]] = ..., jobs: _Optional[_Iterable[_Union[JobSummary, _Mapping]]] = ..., incidents: _Optional[_Iterable[_Union[Incident, _Mapping]]] = ..., health: _Optional[_Union[Health, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[RunSummary, _Mapping]]] = ..., open_left_out: _Optional[int] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("rules_active", "evaluated_age_s", "input_completeness", "nodes_known", "nodes_reporting", "batches_taken", "messages_refused", "readings_dropped", "tick_ms", "troubles", "plaintext_off_loopback")
    RULES_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_AGE_S_FIELD_NUMBER: _ClassVar[int]
    INPUT_COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    NODES_KNOWN_FIELD_NUMBER: _ClassVar[int]
    NODES_REPORTING_FIELD_NUMBER: _ClassVar[int]
    BATCHES_TAKEN_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_REFUSED_FIELD_NUMBER: _ClassVar[int]
    READINGS_DROPPED_FIELD_NUMBER: _ClassVar[int]
    TICK_MS_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    PLAINTEXT_OFF_LOOPBACK_FIELD_NUMBER: _ClassVar[int]
    rules_active: int
    evaluated_age_s: float
    input_completeness: float
    nodes_known: int
    nodes_reporting: int
    batches_taken: int
    messages_refused: int
    readings_dropped: int
    tick_ms: float
    troubles: _containers.RepeatedScalarFieldContainer[str]
    plaintext_off_loopback: bool
    def __init__(self, rules_active: _Optional[int] = ..., evaluated_age_s: _Optional[float] = ..., input_completeness: _Optional[float] = ..., nodes_known: _Optional[int] = ..., nodes_reporting: _Optional[int] = ..., batches_taken: _Optional[int] = ..., messages_refused: _Optional[int] = ..., readings_dropped: _Optional[int] = ..., tick_ms: _Optional[float] = ..., troubles: _Optional[_Iterable[str]] = ..., plaintext_off_loopback: bool = ...) -> None: ...

class NodeSummary(_message.Message):
    __slots__ = ("node", "state", "note", "last_seen_age_s", "labels", "simulated", "gpus", "job", "clock_offset_s")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_AGE_S_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_S_FIELD_NUMBER: _ClassVar[int]
    node: str
    state: str
    note: str
    last_seen_age_s: float
    labels: _containers.ScalarMap[str, str]
    simulated: bool
    gpus: _containers.RepeatedCompositeFieldContainer[GpuSummary]
    job: str
    clock_offset_s: float
    def __init__(self, node: _Optional[str] = ..., state: _Optional[str] = ..., note: _Optional[str] = ..., last_seen_age_s: _Optional[float] = ..., labels: _Optional[_Mapping[str, str]] = ..., simulated: bool = ..., gpus: _Optional[_Iterable[_Union[GpuSummary, _Mapping]]] = ..., job: _Optional[str] = ..., clock_offset_s: _Optional[float] = ...) -> None: ...

class GpuSummary(_message.Message):
    __slots__ = ("id", "name", "state", "utilization_percent", "power_watts", "temperature_celsius", "sm_clock_mhz", "reading_age_s", "job", "rank")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    POWER_WATTS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    SM_CLOCK_MHZ_FIELD_NUMBER: _ClassVar[int]
    READING_AGE_S_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: str
    utilization_percent: float
    power_watts: float
    temperature_celsius: float
    sm_clock_mhz: float
    reading_age_s: float
    job: str
    rank: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., utilization_percent: _Optional[float] = ..., power_watts: _Optional[float] = ..., temperature_celsius: _Optional[float] = ..., sm_clock_mhz: _Optional[float] = ..., reading_age_s: _Optional[float] = ..., job: _Optional[str] = ..., rank: _Optional[int] = ...) -> None: ...

class JobSummary(_message.Message):
    __slots__ = ("job", "state", "world_size", "ranks_reporting", "nodes", "step", "step_s", "baseline_step_s", "wait_percent", "straggler", "recent_step_s", "age_s", "user")
    JOB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    RANKS_REPORTING_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    BASELINE_STEP_S_FIELD_NUMBER: _ClassVar[int]
    WAIT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    STRAGGLER_FIELD_NUMBER: _ClassVar[int]
    RECENT_STEP_S_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    job: str
    state: str
    world_size: int
    ranks_reporting: int
    nodes: int
    step: int
    step_s: float
    baseline_step_s: float
    wait_percent: float
    straggler: str
    recent_step_s: _containers.RepeatedScalarFieldContainer[float]
    age_s: float
    user: str
    def __init__(self, job: _Optional[str] = ..., state: _Optional[str] = ..., world_size: _Optional[int] = ..., ranks_reporting: _Optional[int] = ..., nodes: _Optional[int] = ..., step: _Optional[int] = ..., step_s: _Optional[float] = ..., baseline_step_s: _Optional[float] = ..., wait_percent: _Optional[float] = ..., straggler: _Optional[str] = ..., recent_step_s: _Optional[_Iterable[float]] = ..., age_s: _Optional[float] = ..., user: _Optional[str] = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("kind", "node", "device", "job", "rank", "peer")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    kind: str
    node: str
    device: str
    job: str
    rank: int
    peer: str
    def __init__(self, kind: _Optional[str] = ..., node: _Optional[str] = ..., device: _Optional[str] = ..., job: _Optional[str] = ..., rank: _Optional[int] = ..., peer: _Optional[str] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("wall_ns", "bearing", "text", "source", "node", "order_uncertain")
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    BEARING_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ORDER_UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    wall_ns: int
    bearing: str
    text: str
    source: str
    node: str
    order_uncertain: bool
    def __init__(self, wall_ns: _Optional[int] = ..., bearing: _Optional[str] = ..., text: _Optional[str] = ..., source: _Optional[str] = ..., node: _Optional[str] = ..., order_uncertain: bool = ...) -> None: ...

class RuledOut(_message.Message):
    __slots__ = ("cause", "reason")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    cause: str
    reason: str
    def __init__(self, cause: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Why(_message.Message):
    __slots__ = ("rule", "source", "inputs", "thresholds")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ThresholdsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RULE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    rule: str
    source: str
    inputs: _containers.ScalarMap[str, float]
    thresholds: _containers.ScalarMap[str, float]
    def __init__(self, rule: _Optional[str] = ..., source: _Optional[str] = ..., inputs: _Optional[_Mapping[str, float]] = ..., thresholds: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("kind", "detector", "culprit", "cause", "verdict", "severity", "confidence", "onset_ns", "summary", "evidence", "ruled_out", "unsure", "why", "gpus_held", "latched", "victims")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    CULPRIT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ONSET_NS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    RULED_OUT_FIELD_NUMBER: _ClassVar[int]
    UNSURE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    GPUS_HELD_FIELD_NUMBER: _ClassVar[int]
    LATCHED_FIELD_NUMBER: _ClassVar[int]
    VICTIMS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    detector: str
    culprit: Subject
    cause: str
    verdict: str
    severity: _telemetry_pb2.Severity
    confidence: float
    onset_ns: int
    summary: str
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    ruled_out: _containers.RepeatedCompositeFieldContainer[RuledOut]
    unsure: _containers.RepeatedScalarFieldContainer[str]
    why: Why
    gpus_held: float
    latched: bool
    victims: _containers.RepeatedCompositeFieldContainer[Subject]
    def __init__(self, kind: _Optional[str] = ..., detector: _Optional[str] = ..., culprit: _Optional[_Union[Subject, _Mapping]] = ..., cause: _Optional[str] = ..., verdict: _Optional[str] = ..., severity: _Optional[_Union[_telemetry_pb2.Severity, str]] = ..., confidence: _Optional[float] = ..., onset_ns: _Optional[int] = ..., summary: _Optional[str] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., ruled_out: _Optional[_Iterable[_Union[RuledOut, _Mapping]]] = ..., unsure: _Optional[_Iterable[str]] = ..., why: _Optional[_Union[Why, _Mapping]] = ..., gpus_held: _Optional[float] = ..., latched: bool = ..., victims: _Optional[_Iterable[_Union[Subject, _Mapping]]] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("wall_ns", "author", "text")
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    wall_ns: int
    author: str
    text: str
    def __init__(self, wall_ns: _Optional[int] = ..., author: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Incident(_message.Message):
    __slots__ = ("id", "state", "severity", "kind", "culprit", "cause", "verdict", "summary", "confidence", "onset_ns", "opened_ns", "updated_ns", "closed_ns", "owner", "gpu_hours_lost", "findings", "notes", "runbooks", "run", "pages", "active", "quiet_s", "silenced_until_ns", "reopened", "acknowledged_until_ns", "silenced_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CULPRIT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    ONSET_NS_FIELD_NUMBER: _ClassVar[int]
    OPENED_NS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_NS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_NS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    GPU_HOURS_LOST_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    RUNBOOKS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    QUIET_S_FIELD_NUMBER: _ClassVar[int]
    SILENCED_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    REOPENED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    SILENCED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: str
    severity: _telemetry_pb2.Severity
    kind: str
    culprit: Subject
    cause: str
    verdict: str
    summary: str
    confidence: float
    onset_ns: int
    opened_ns: int
    updated_ns: int
    closed_ns: int
    owner: str
    gpu_hours_lost: float
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    runbooks: _containers.RepeatedScalarFieldContainer[str]
    run: str
    pages: bool
    active: bool
    quiet_s: float
    silenced_until_ns: int
    reopened: int
    acknowledged_until_ns: int
    silenced_by: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[str] = ..., severity: _Optional[_Union[_telemetry_pb2.Severity, str]] = ..., kind: _Optional[str] = ..., culprit: _Optional[_Union[Subject, _Mapping]] = ..., cause: _Optional[str] = ..., verdict: _Optional[str] = ..., summary: _Optional[str] = ..., confidence: _Optional[float] = ..., onset_ns: _Optional[int] = ..., opened_ns: _Optional[int] = ..., updated_ns: _Optional[int] = ..., closed_ns: _Optional[int] = ..., owner: _Optional[str] = ..., gpu_hours_lost: _Optional[float] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ..., runbooks: _Optional[_Iterable[str]] = ..., run: _Optional[str] = ..., pages: bool = ..., active: bool = ..., quiet_s: _Optional[float] = ..., silenced_until_ns: _Optional[int] = ..., reopened: _Optional[int] = ..., acknowledged_until_ns: _Optional[int] = ..., silenced_by: _Optional[str] = ...) -> None: ...

class IncidentList(_message.Message):
    __slots__ = ("incidents",)
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    incidents: _containers.RepeatedCompositeFieldContainer[Incident]
    def __init__(self, incidents: _Optional[_Iterable[_Union[Incident, _Mapping]]] = ...) -> None: ...

class IncidentAction(_message.Message):
    __slots__ = ("incident", "action", "author", "text", "silence_s")
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SILENCE_S_FIELD_NUMBER: _ClassVar[int]
    incident: str
    action: str
    author: str
    text: str
    silence_s: float
    def __init__(self, incident: _Optional[str] = ..., action: _Optional[str] = ..., author: _Optional[str] = ..., text: _Optional[str] = ..., silence_s: _Optional[float] = ...) -> None: ...

class RankRow(_message.Message):
    __slots__ = ("rank", "node", "gpu", "pid", "state", "step", "step_s", "data_s", "compute_s", "wait_s", "late_s", "compute_ratio", "beat_age_s")
    RANK_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    DATA_S_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    LATE_S_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_RATIO_FIELD_NUMBER: _ClassVar[int]
    BEAT_AGE_S_FIELD_NUMBER: _ClassVar[int]
    rank: int
    node: str
    gpu: str
    pid: int
    state: str
    step: int
    step_s: float
    data_s: float
    compute_s: float
    wait_s: float
    late_s: float
    compute_ratio: float
    beat_age_s: float
    def __init__(self, rank: _Optional[int] = ..., node: _Optional[str] = ..., gpu: _Optional[str] = ..., pid: _Optional[int] = ..., state: _Optional[str] = ..., step: _Optional[int] = ..., step_s: _Optional[float] = ..., data_s: _Optional[float] = ..., compute_s: _Optional[float] = ..., wait_s: _Optional[float] = ..., late_s: _Optional[float] = ..., compute_ratio: _Optional[float] = ..., beat_age_s: _Optional[float] = ...) -> None: ...

class JobDetail(_message.Message):
    __slots__ = ("summary", "ranks", "steps", "step_s_median", "step_s_max", "wait_s", "change_point_ns", "flows", "incidents")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEP_S_MEDIAN_FIELD_NUMBER: _ClassVar[int]
    STEP_S_MAX_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    CHANGE_POINT_NS_FIELD_NUMBER: _ClassVar[int]
    FLOWS_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    summary: JobSummary
    ranks: _containers.RepeatedCompositeFieldContainer[RankRow]
    steps: _containers.RepeatedScalarFieldContainer[int]
    step_s_median: _containers.RepeatedScalarFieldContainer[float]
    step_s_max: _containers.RepeatedScalarFieldContainer[float]
    wait_s: _containers.RepeatedScalarFieldContainer[float]
    change_point_ns: int
    flows: _containers.RepeatedCompositeFieldContainer[FlowRow]
    incidents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, summary: _Optional[_Union[JobSummary, _Mapping]] = ..., ranks: _Optional[_Iterable[_Union[RankRow, _Mapping]]] = ..., steps: _Optional[_Iterable[int]] = ..., step_s_median: _Optional[_Iterable[float]] = ..., step_s_max: _Optional[_Iterable[float]] = ..., wait_s: _Optional[_Iterable[float]] = ..., change_point_ns: _Optional[int] = ..., flows: _Optional[_Iterable[_Union[FlowRow, _Mapping]]] = ..., incidents: _Optional[_Iterable[str]] = ...) -> None: ...

class FlowRow(_message.Message):
    __slots__ = ("node", "peer", "delivery_mbit_s", "busy_share", "unsent_kib", "rtt_ms", "retransmits_per_s")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_MBIT_S_FIELD_NUMBER: _ClassVar[int]
    BUSY_SHARE_FIELD_NUMBER: _ClassVar[int]
    UNSENT_KIB_FIELD_NUMBER: _ClassVar[int]
    RTT_MS_FIELD_NUMBER: _ClassVar[int]
    RETRANSMITS_PER_S_FIELD_NUMBER: _ClassVar[int]
    node: str
    peer: str
    delivery_mbit_s: float
    busy_share: float
    unsent_kib: float
    rtt_ms: float
    retransmits_per_s: float
    def __init__(self, node: _Optional[str] = ..., peer: _Optional[str] = ..., delivery_mbit_s: _Optional[float] = ..., busy_share: _Optional[float] = ..., unsent_kib: _Optional[float] = ..., rtt_ms: _Optional[float] = ..., retransmits_per_s: _Optional[float] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("table", "device", "signal", "values", "peers")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    table: _telemetry_pb2.Table
    device: str
    signal: int
    values: _containers.RepeatedScalarFieldContainer[float]
    peers: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, table: _Optional[_Union[_telemetry_pb2.Table, str]] = ..., device: _Optional[str] = ..., signal: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ..., peers: _Optional[_Iterable[float]] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("table", "device", "signal", "value", "age_s")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    table: _telemetry_pb2.Table
    device: str
    signal: int
    value: float
    age_s: float
    def __init__(self, table: _Optional[_Union[_telemetry_pb2.Table, str]] = ..., device: _Optional[str] = ..., signal: _Optional[int] = ..., value: _Optional[float] = ..., age_s: _Optional[float] = ...) -> None: ...

class SourceRow(_message.Message):
    __slots__ = ("name", "up", "age_s", "duration_ms", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    up: bool
    age_s: float
    duration_ms: float
    reason: str
    def __init__(self, name: _Optional[str] = ..., up: bool = ..., age_s: _Optional[float] = ..., duration_ms: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class NodeDetail(_message.Message):
    __slots__ = ("summary", "readings", "series", "events", "sources", "verbs", "agent_version", "incidents")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    VERBS_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    summary: NodeSummary
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    events: _containers.RepeatedCompositeFieldContainer[_telemetry_pb2.Event]
    sources: _containers.RepeatedCompositeFieldContainer[SourceRow]
    verbs: _containers.RepeatedScalarFieldContainer[str]
    agent_version: str
    incidents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, summary: _Optional[_Union[NodeSummary, _Mapping]] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[_telemetry_pb2.Event, _Mapping]]] = ..., sources: _Optional[_Iterable[_Union[SourceRow, _Mapping]]] = ..., verbs: _Optional[_Iterable[str]] = ..., agent_version: _Optional[str] = ..., incidents: _Optional[_Iterable[str]] = ...) -> None: ...

class StoredEvent(_message.Message):
    __slots__ = ("node", "event", "received_ns")
    NODE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    node: str
    event: _telemetry_pb2.Event
    received_ns: int
    def __init__(self, node: _Optional[str] = ..., event: _Optional[_Union[_telemetry_pb2.Event, _Mapping]] = ..., received_ns: _Optional[int] = ...) -> None: ...

class EventList(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[StoredEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[StoredEvent, _Mapping]]] = ...) -> None: ...

class AuditRecord(_message.Message):
    __slots__ = ("sequence", "wall_ns", "actor", "action", "target", "incident", "reason", "result", "digest")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    wall_ns: int
    actor: str
    action: str
    target: str
    incident: str
    reason: str
    result: str
    digest: str
    def __init__(self, sequence: _Optional[int] = ..., wall_ns: _Optional[int] = ..., actor: _Optional[str] = ..., action: _Optional[str] = ..., target: _Optional[str] = ..., incident: _Optional[str] = ..., reason: _Optional[str] = ..., result: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class AuditList(_message.Message):
    __slots__ = ("records", "chain_intact")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_INTACT_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[AuditRecord]
    chain_intact: bool
    def __init__(self, records: _Optional[_Iterable[_Union[AuditRecord, _Mapping]]] = ..., chain_intact: bool = ...) -> None: ...

class RunSummary(_message.Message):
    __slots__ = ("id", "runbook", "incident", "state", "step", "steps", "waiting_for")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUNBOOK_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    id: str
    runbook: str
    incident: str
    state: str
    step: int
    steps: int
    waiting_for: str
    def __init__(self, id: _Optional[str] = ..., runbook: _Optional[str] = ..., incident: _Optional[str] = ..., state: _Optional[str] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., waiting_for: _Optional[str] = ...) -> None: ...

class Matcher(_message.Message):
    __slots__ = ("field", "pattern")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    field: str
    pattern: str
    def __init__(self, field: _Optional[str] = ..., pattern: _Optional[str] = ...) -> None: ...

class Silence(_message.Message):
    __slots__ = ("id", "matchers", "author", "reason", "from_ns", "until_ns", "ended_ns", "incidents")
    ID_FIELD_NUMBER: _ClassVar[int]
    MATCHERS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_NS_FIELD_NUMBER: _ClassVar[int]
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    matchers: _containers.RepeatedCompositeFieldContainer[Matcher]
    author: str
    reason: str
    from_ns: int
    until_ns: int
    ended_ns: int
    incidents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., matchers: _Optional[_Iterable[_Union[Matcher, _Mapping]]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., from_ns: _Optional[int] = ..., until_ns: _Optional[int] = ..., ended_ns: _Optional[int] = ..., incidents: _Optional[_Iterable[str]] = ...) -> None: ...

class ListSilencesRequest(_message.Message):
    __slots__ = ("include_ended",)
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    include_ended: bool
    def __init__(self, include_ended: bool = ...) -> None: ...

class SilenceList(_message.Message):
    __slots__ = ("silences",)
    SILENCES_FIELD_NUMBER: _ClassVar[int]
    silences: _containers.RepeatedCompositeFieldContainer[Silence]
    def __init__(self, silences: _Optional[_Iterable[_Union[Silence, _Mapping]]] = ...) -> None: ...

class PutSilenceRequest(_message.Message):
    __slots__ = ("matchers", "author", "reason", "duration_s")
    MATCHERS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    matchers: _containers.RepeatedCompositeFieldContainer[Matcher]
    author: str
    reason: str
    duration_s: float
    def __init__(self, matchers: _Optional[_Iterable[_Union[Matcher, _Mapping]]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., duration_s: _Optional[float] = ...) -> None: ...

class EndSilenceRequest(_message.Message):
    __slots__ = ("id", "author", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    author: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ("limit", "state")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    limit: int
    state: str
    def __init__(self, limit: _Optional[int] = ..., state: _Optional[str] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("channel", "incident", "what", "state", "tries", "error", "created_ns", "due_ns", "settled_ns", "key")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    DUE_NS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_NS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    channel: str
    incident: str
    what: str
    state: str
    tries: int
    error: str
    created_ns: int
    due_ns: int
    settled_ns: int
    key: str
    def __init__(self, channel: _Optional[str] = ..., incident: _Optional[str] = ..., what: _Optional[str] = ..., state: _Optional[str] = ..., tries: _Optional[int] = ..., error: _Optional[str] = ..., created_ns: _Optional[int] = ..., due_ns: _Optional[int] = ..., settled_ns: _Optional[int] = ..., key: _Optional[str] = ...) -> None: ...

class AlertList(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("series", "node", "device", "job", "from_ns", "to_ns", "step_s")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TO_NS_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    series: str
    node: str
    device: str
    job: str
    from_ns: int
    to_ns: int
    step_s: float
    def __init__(self, series: _Optional[str] = ..., node: _Optional[str] = ..., device: _Optional[str] = ..., job: _Optional[str] = ..., from_ns: _Optional[int] = ..., to_ns: _Optional[int] = ..., step_s: _Optional[float] = ...) -> None: ...

class HistoryReply(_message.Message):
    __slots__ = ("series", "unit", "source", "step_s", "resolution_s", "first_ns", "lines", "note")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_NS_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    series: str
    unit: str
    source: str
    step_s: float
    resolution_s: float
    first_ns: int
    lines: _containers.RepeatedCompositeFieldContainer[HistoryLine]
    note: str
    def __init__(self, series: _Optional[str] = ..., unit: _Optional[str] = ..., source: _Optional[str] = ..., step_s: _Optional[float] = ..., resolution_s: _Optional[float] = ..., first_ns: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[HistoryLine, _Mapping]]] = ..., note: _Optional[str] = ...) -> None: ...

class HistoryLine(_message.Message):
    __slots__ = ("node", "device", "job", "values")
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    node: str
    device: str
    job: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, node: _Optional[str] = ..., device: _Optional[str] = ..., job: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...
