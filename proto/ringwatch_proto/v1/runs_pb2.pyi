from ringwatch_proto.v1 import query_pb2 as _query_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetSafetyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetBreakerRequest(_message.Message):
    __slots__ = ("open", "why", "author")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    open: bool
    why: str
    author: str
    def __init__(self, open: bool = ..., why: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class Safety(_message.Message):
    __slots__ = ("mode", "automatic_risks", "breaker_open", "breaker_why", "breaker_since_ns", "breaker_by", "calls")
    MODE_FIELD_NUMBER: _ClassVar[int]
    AUTOMATIC_RISKS_FIELD_NUMBER: _ClassVar[int]
    BREAKER_OPEN_FIELD_NUMBER: _ClassVar[int]
    BREAKER_WHY_FIELD_NUMBER: _ClassVar[int]
    BREAKER_SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    BREAKER_BY_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    mode: str
    automatic_risks: _containers.RepeatedScalarFieldContainer[str]
    breaker_open: bool
    breaker_why: str
    breaker_since_ns: int
    breaker_by: str
    calls: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mode: _Optional[str] = ..., automatic_risks: _Optional[_Iterable[str]] = ..., breaker_open: bool = ..., breaker_why: _Optional[str] = ..., breaker_since_ns: _Optional[int] = ..., breaker_by: _Optional[str] = ..., calls: _Optional[_Iterable[str]] = ...) -> None: ...

class ListRunbooksRequest(_message.Message):
    __slots__ = ("incident",)
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    incident: str
    def __init__(self, incident: _Optional[str] = ...) -> None: ...

class GetRunbookRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class StartRunRequest(_message.Message):
    __slots__ = ("incident", "runbook", "author")
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    RUNBOOK_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    incident: str
    runbook: str
    author: str
    def __init__(self, incident: _Optional[str] = ..., runbook: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("incident", "include_ended")
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    incident: str
    include_ended: bool
    def __init__(self, incident: _Optional[str] = ..., include_ended: bool = ...) -> None: ...

class AnswerRequest(_message.Message):
    __slots__ = ("run", "step", "action", "text", "author")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    run: str
    step: str
    action: str
    text: str
    author: str
    def __init__(self, run: _Optional[str] = ..., step: _Optional[str] = ..., action: _Optional[str] = ..., text: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class Runbook(_message.Message):
    __slots__ = ("id", "revision", "title", "title_zh", "first_rule", "first_rule_zh", "never", "severity", "steps", "triggers")
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TITLE_ZH_FIELD_NUMBER: _ClassVar[int]
    FIRST_RULE_FIELD_NUMBER: _ClassVar[int]
    FIRST_RULE_ZH_FIELD_NUMBER: _ClassVar[int]
    NEVER_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    revision: int
    title: str
    title_zh: str
    first_rule: str
    first_rule_zh: str
    never: _containers.RepeatedScalarFieldContainer[str]
    severity: str
    steps: _containers.RepeatedCompositeFieldContainer[RunbookStep]
    triggers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., revision: _Optional[int] = ..., title: _Optional[str] = ..., title_zh: _Optional[str] = ..., first_rule: _Optional[str] = ..., first_rule_zh: _Optional[str] = ..., never: _Optional[_Iterable[str]] = ..., severity: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[RunbookStep, _Mapping]]] = ..., triggers: _Optional[_Iterable[str]] = ...) -> None: ...

class RunbookStep(_message.Message):
    __slots__ = ("id", "kind", "title", "expect", "command", "risk", "approval", "question", "options")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    EXPECT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    title: str
    expect: str
    command: str
    risk: str
    approval: str
    question: str
    options: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., title: _Optional[str] = ..., expect: _Optional[str] = ..., command: _Optional[str] = ..., risk: _Optional[str] = ..., approval: _Optional[str] = ..., question: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ...) -> None: ...

class RunbookList(_message.Message):
    __slots__ = ("runbooks",)
    RUNBOOKS_FIELD_NUMBER: _ClassVar[int]
    runbooks: _containers.RepeatedCompositeFieldContainer[Runbook]
    def __init__(self, runbooks: _Optional[_Iterable[_Union[Runbook, _Mapping]]] = ...) -> None: ...

class Fact(_message.Message):
    __slots__ = ("name", "value", "unit", "age_s", "holds", "note")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    unit: str
    age_s: float
    holds: bool
    note: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., unit: _Optional[str] = ..., age_s: _Optional[float] = ..., holds: bool = ..., note: _Optional[str] = ...) -> None: ...

class RunStep(_message.Message):
    __slots__ = ("id", "kind", "title", "state", "outcome", "why", "expect", "command", "effect", "undo", "risk", "approval", "question", "options", "facts", "output", "started_ns", "ended_ns", "by", "typed_target", "deadline_s", "healthy_s", "healthy_needed_s", "way", "undone", "undo_target")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    EXPECT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    UNDO_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_NS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    TYPED_TARGET_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_S_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_NEEDED_S_FIELD_NUMBER: _ClassVar[int]
    WAY_FIELD_NUMBER: _ClassVar[int]
    UNDONE_FIELD_NUMBER: _ClassVar[int]
    UNDO_TARGET_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    title: str
    state: str
    outcome: str
    why: str
    expect: str
    command: str
    effect: str
    undo: str
    risk: str
    approval: str
    question: str
    options: _containers.RepeatedScalarFieldContainer[str]
    facts: _containers.RepeatedCompositeFieldContainer[Fact]
    output: _containers.RepeatedScalarFieldContainer[str]
    started_ns: int
    ended_ns: int
    by: str
    typed_target: str
    deadline_s: float
    healthy_s: float
    healthy_needed_s: float
    way: str
    undone: str
    undo_target: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., title: _Optional[str] = ..., state: _Optional[str] = ..., outcome: _Optional[str] = ..., why: _Optional[str] = ..., expect: _Optional[str] = ..., command: _Optional[str] = ..., effect: _Optional[str] = ..., undo: _Optional[str] = ..., risk: _Optional[str] = ..., approval: _Optional[str] = ..., question: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ..., facts: _Optional[_Iterable[_Union[Fact, _Mapping]]] = ..., output: _Optional[_Iterable[str]] = ..., started_ns: _Optional[int] = ..., ended_ns: _Optional[int] = ..., by: _Optional[str] = ..., typed_target: _Optional[str] = ..., deadline_s: _Optional[float] = ..., healthy_s: _Optional[float] = ..., healthy_needed_s: _Optional[float] = ..., way: _Optional[str] = ..., undone: _Optional[str] = ..., undo_target: _Optional[str] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("id", "runbook", "revision", "title", "incident", "state", "started_by", "started_ns", "ended_ns", "current", "steps", "never", "first_rule", "target", "result", "path")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUNBOOK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STARTED_BY_FIELD_NUMBER: _ClassVar[int]
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    ENDED_NS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    NEVER_FIELD_NUMBER: _ClassVar[int]
    FIRST_RULE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    id: str
    runbook: str
    revision: int
    title: str
    incident: str
    state: str
    started_by: str
    started_ns: int
    ended_ns: int
    current: str
    steps: _containers.RepeatedCompositeFieldContainer[RunStep]
    never: _containers.RepeatedScalarFieldContainer[str]
    first_rule: str
    target: _query_pb2.Subject
    result: str
    path: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., runbook: _Optional[str] = ..., revision: _Optional[int] = ..., title: _Optional[str] = ..., incident: _Optional[str] = ..., state: _Optional[str] = ..., started_by: _Optional[str] = ..., started_ns: _Optional[int] = ..., ended_ns: _Optional[int] = ..., current: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[RunStep, _Mapping]]] = ..., never: _Optional[_Iterable[str]] = ..., first_rule: _Optional[str] = ..., target: _Optional[_Union[_query_pb2.Subject, _Mapping]] = ..., result: _Optional[str] = ..., path: _Optional[_Iterable[str]] = ...) -> None: ...

class RunList(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ...) -> None: ...
