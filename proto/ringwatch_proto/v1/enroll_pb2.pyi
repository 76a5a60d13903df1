from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class EnrollRequest(_message.Message):
    __slots__ = ("join_token", "node", "request")
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    node: str
    request: bytes
    def __init__(self, join_token: _Optional[str] = ..., node: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class NodeCertificate(_message.Message):
    __slots__ = ("certificate", "authority", "expires_ns")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    authority: bytes
    expires_ns: int
    def __init__(self, certificate: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., expires_ns: _Optional[int] = ...) -> None: ...
