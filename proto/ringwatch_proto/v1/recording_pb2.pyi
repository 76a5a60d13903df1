from ringwatch_proto.v1 import query_pb2 as _query_pb2
from ringwatch_proto.v1 import runs_pb2 as _runs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FramesRequest(_message.Message):
    __slots__ = ("since_ns", "until_ns")
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    since_ns: int
    until_ns: int
    def __init__(self, since_ns: _Optional[int] = ..., until_ns: _Optional[int] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("wall_ns", "fleet", "jobs", "nodes", "runs")
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    wall_ns: int
    fleet: _query_pb2.Fleet
    jobs: _containers.RepeatedCompositeFieldContainer[_query_pb2.JobDetail]
    nodes: _containers.RepeatedCompositeFieldContainer[_query_pb2.NodeDetail]
    runs: _containers.RepeatedCompositeFieldContainer[_runs_pb2.Run]
    def __init__(self, wall_ns: _Optional[int] = ..., fleet: _Optional[_Union[_query_pb2.Fleet, _Mapping]] = ..., jobs: _Optional[_Iterable[_Union[_query_pb2.JobDetail, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[_query_pb2.NodeDetail, _Mapping]]] = ..., runs: _Optional[_Iterable[_Union[_runs_pb2.Run, _Mapping]]] = ...) -> None: ...
