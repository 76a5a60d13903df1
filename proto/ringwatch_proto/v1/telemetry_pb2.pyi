from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Table(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TABLE_UNSPECIFIED: _ClassVar[Table]
    TABLE_GPU: _ClassVar[Table]
    TABLE_PORT: _ClassVar[Table]
    TABLE_HOST: _ClassVar[Table]
    TABLE_SOURCE: _ClassVar[Table]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_INFO: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]

class VerbStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERB_STATUS_UNSPECIFIED: _ClassVar[VerbStatus]
    VERB_STATUS_DONE: _ClassVar[VerbStatus]
    VERB_STATUS_REFUSED: _ClassVar[VerbStatus]
    VERB_STATUS_FAILED: _ClassVar[VerbStatus]
    VERB_STATUS_TIMED_OUT: _ClassVar[VerbStatus]
TABLE_UNSPECIFIED: Table
TABLE_GPU: Table
TABLE_PORT: Table
TABLE_HOST: Table
TABLE_SOURCE: Table
SEVERITY_UNSPECIFIED: Severity
SEVERITY_INFO: Severity
SEVERITY_WARNING: Severity
SEVERITY_CRITICAL: Severity
VERB_STATUS_UNSPECIFIED: VerbStatus
VERB_STATUS_DONE: VerbStatus
VERB_STATUS_REFUSED: VerbStatus
VERB_STATUS_FAILED: VerbStatus
VERB_STATUS_TIMED_OUT: VerbStatus

class AgentMessage(_message.Message):
    __slots__ = ("hello", "batch", "verb_result")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    VERB_RESULT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batch: Batch
    verb_result: VerbResult
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., verb_result: _Optional[_Union[VerbResult, _Mapping]] = ...) -> None: ...

class CollectorMessage(_message.Message):
    __slots__ = ("welcome", "ack", "verb_request", "refusal")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    VERB_REQUEST_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    verb_request: VerbRequest
    refusal: Refusal
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., verb_request: _Optional[_Union[VerbRequest, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("wire_version", "node", "boot_id", "spool_id", "schema_id", "agent_version", "tables", "ranks", "communicators", "labels", "simulated", "verbs", "addresses", "owners")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WIRE_VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SPOOL_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    COMMUNICATORS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    VERBS_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    wire_version: int
    node: str
    boot_id: str
    spool_id: str
    schema_id: int
    agent_version: str
    tables: _containers.RepeatedCompositeFieldContainer[TableSchema]
    ranks: _containers.RepeatedCompositeFieldContainer[RankInfo]
    communicators: _containers.RepeatedCompositeFieldContainer[Communicator]
    labels: _containers.ScalarMap[str, str]
    simulated: bool
    verbs: _containers.RepeatedScalarFieldContainer[str]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    owners: _containers.RepeatedCompositeFieldContainer[GpuOwner]
    def __init__(self, wire_version: _Optional[int] = ..., node: _Optional[str] = ..., boot_id: _Optional[str] = ..., spool_id: _Optional[str] = ..., schema_id: _Optional[int] = ..., agent_version: _Optional[str] = ..., tables: _Optional[_Iterable[_Union[TableSchema, _Mapping]]] = ..., ranks: _Optional[_Iterable[_Union[RankInfo, _Mapping]]] = ..., communicators: _Optional[_Iterable[_Union[Communicator, _Mapping]]] = ..., labels: _Optional[_Mapping[str, str]] = ..., simulated: bool = ..., verbs: _Optional[_Iterable[str]] = ..., addresses: _Optional[_Iterable[str]] = ..., owners: _Optional[_Iterable[_Union[GpuOwner, _Mapping]]] = ...) -> None: ...

class GpuOwner(_message.Message):
    __slots__ = ("gpu", "pid", "job", "user", "rank", "world_size", "program", "pod", "container", "how")
    GPU_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    gpu: str
    pid: int
    job: str
    user: str
    rank: int
    world_size: int
    program: str
    pod: str
    container: str
    how: str
    def __init__(self, gpu: _Optional[str] = ..., pid: _Optional[int] = ..., job: _Optional[str] = ..., user: _Optional[str] = ..., rank: _Optional[int] = ..., world_size: _Optional[int] = ..., program: _Optional[str] = ..., pod: _Optional[str] = ..., container: _Optional[str] = ..., how: _Optional[str] = ...) -> None: ...

class TableSchema(_message.Message):
    __slots__ = ("table", "devices", "signals")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    table: Table
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    signals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, table: _Optional[_Union[Table, str]] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., signals: _Optional[_Iterable[int]] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("id", "name", "pci_address", "model")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PCI_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    pci_address: str
    model: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., pci_address: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class RankInfo(_message.Message):
    __slots__ = ("row", "job", "rank", "world_size", "local_rank", "pid", "gpu", "user", "backend")
    ROW_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    WORLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOCAL_RANK_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    row: int
    job: str
    rank: int
    world_size: int
    local_rank: int
    pid: int
    gpu: str
    user: str
    backend: str
    def __init__(self, row: _Optional[int] = ..., job: _Optional[str] = ..., rank: _Optional[int] = ..., world_size: _Optional[int] = ..., local_rank: _Optional[int] = ..., pid: _Optional[int] = ..., gpu: _Optional[str] = ..., user: _Optional[str] = ..., backend: _Optional[str] = ...) -> None: ...

class Communicator(_message.Message):
    __slots__ = ("index", "job", "name", "ranks")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    index: int
    job: str
    name: str
    ranks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, index: _Optional[int] = ..., job: _Optional[str] = ..., name: _Optional[str] = ..., ranks: _Optional[_Iterable[int]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("sequence", "schema_id", "wall_ns", "monotonic_ns", "blocks", "steps", "collectives", "rank_states", "flows", "events", "dropped")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    COLLECTIVES_FIELD_NUMBER: _ClassVar[int]
    RANK_STATES_FIELD_NUMBER: _ClassVar[int]
    FLOWS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    schema_id: int
    wall_ns: int
    monotonic_ns: int
    blocks: _containers.RepeatedCompositeFieldContainer[Block]
    steps: bytes
    collectives: bytes
    rank_states: bytes
    flows: bytes
    events: _containers.RepeatedCompositeFieldContainer[Event]
    dropped: _containers.RepeatedCompositeFieldContainer[Dropped]
    def __init__(self, sequence: _Optional[int] = ..., schema_id: _Optional[int] = ..., wall_ns: _Optional[int] = ..., monotonic_ns: _Optional[int] = ..., blocks: _Optional[_Iterable[_Union[Block, _Mapping]]] = ..., steps: _Optional[bytes] = ..., collectives: _Optional[bytes] = ..., rank_states: _Optional[bytes] = ..., flows: _Optional[bytes] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[Dropped, _Mapping]]] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("table", "rows", "columns", "values")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    table: Table
    rows: int
    columns: int
    values: bytes
    def __init__(self, table: _Optional[_Union[Table, str]] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., values: _Optional[bytes] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "wall_ns", "kind", "severity", "source", "device", "code", "text", "fields", "backfill")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    id: int
    wall_ns: int
    kind: str
    severity: Severity
    source: str
    device: str
    code: int
    text: str
    fields: _containers.ScalarMap[str, str]
    backfill: bool
    def __init__(self, id: _Optional[int] = ..., wall_ns: _Optional[int] = ..., kind: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., source: _Optional[str] = ..., device: _Optional[str] = ..., code: _Optional[int] = ..., text: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ..., backfill: bool = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("kind", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("collector", "wall_ns")
    COLLECTOR_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    collector: str
    wall_ns: int
    def __init__(self, collector: _Optional[str] = ..., wall_ns: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "retry_after_s")
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    reason: str
    retry_after_s: float
    def __init__(self, reason: _Optional[str] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class VerbRequest(_message.Message):
    __slots__ = ("id", "verb", "arguments", "timeout_s", "requested_by", "approved_by", "incident", "dry_run")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    id: str
    verb: str
    arguments: _containers.ScalarMap[str, str]
    timeout_s: float
    requested_by: str
    approved_by: str
    incident: str
    dry_run: bool
    def __init__(self, id: _Optional[str] = ..., verb: _Optional[str] = ..., arguments: _Optional[_Mapping[str, str]] = ..., timeout_s: _Optional[float] = ..., requested_by: _Optional[str] = ..., approved_by: _Optional[str] = ..., incident: _Optional[str] = ..., dry_run: bool = ...) -> None: ...

class VerbResult(_message.Message):
    __slots__ = ("id", "status", "text", "facts")
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: VerbStatus
    text: str
    facts: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[VerbStatus, str]] = ..., text: _Optional[str] = ..., facts: _Optional[_Mapping[str, str]] = ...) -> None: ...
