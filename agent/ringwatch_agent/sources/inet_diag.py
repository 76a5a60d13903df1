"""Asks the kernel for the TCP sockets of this network namespace and what it knows of each (TCP_INFO).

Speaks NETLINK_SOCK_DIAG as ``ss -ti`` does, sock_diag(7); parses into records and judges nothing.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.errors import SourceError, SourceUnsupported

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ERROR: Final = 2
_DONE: Final = 3
_INFO: Final = 2  # INET_DIAG_INFO, the attribute that carries tcp_info
_ESTABLISHED: Final = 1 << 1
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBBI48x")
# family, state; sport and dport; source, destination; cookie; inode last
_SOCKET: Final = struct.Struct("=BBxx4x16s16s4xQ4xI4x4xI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_V4_PREFIX: Final = bytes(10) + b"\xff\xff"
_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """What is used of ``struct tcp_info`` (include/uapi/linux/tcp.h); None where this kernel has none."""

    app_limited: bool
    rtt_us: int
    total_retransmits: int
    bytes_acked: int | None
    bytes_received: int | None
    unsent_bytes: int | None
    min_rtt_us: int | None
    delivery_bytes_per_s: int | None
    busy_us: int | None
    receive_window_limited_us: int | None
    send_buffer_limited_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSocket:
    """One established connection; addresses are IPv6, or IPv4 mapped into it."""

    cookie: int
    inode: int
    local: bytes
    peer: bytes
    info: bytes


def parse_info(raw: bytes) -> TcpInfo:
    """Return the fields that this kernel's ``tcp_info`` has; it grows at its end with the years."""
    return TcpInfo(
        app_limited=bool(len(raw) > 7 and raw[7] & 1),
        rtt_us=_at(raw, 68, 4) or 0,
        total_retransmits=_at(raw, 100, 4) or 0,
        bytes_acked=_at(raw, 120, 8),
        bytes_received=_at(raw, 128, 8),
        unsent_bytes=_at(raw, 144, 4),
        min_rtt_us=_at(raw, 148, 4),
        delivery_bytes_per_s=_at(raw, 160, 8),
        busy_us=_at(raw, 168, 8),
        receive_window_limited_us=_at(raw, 176, 8),
        send_buffer_limited_us=_at(raw, 184, 8),
    )


def _at(raw: bytes, offset: int, size: int) -> int | None:
    if len(raw) < offset + size:
        return None
    return int.from_bytes(raw[offset : offset + size], _NATIVE)


_NATIVE: Final = "little" if struct.pack("=H", 1)[0] else "big"


def parse_socket(message: bytes) -> TcpSocket | None:
    """Return the socket of one message body, None when it is cut short or carries no TCP_INFO."""
    if len(message) < _SOCKET.size:
        return None
    family, _, local, peer, cookie, _, inode = _SOCKET.unpack_from(message)
    info = _attribute(message[_SOCKET.size :], _INFO)
    if info is None:
        return None
    return TcpSocket(
        cookie=cookie, inode=inode, local=_address(family, local), peer=_address(family, peer), info=info
    )


def _address(family: int, raw: bytes) -> bytes:
    return _V4_PREFIX + raw[:4] if family == socket.AF_INET else raw


def _attribute(raw: bytes, wanted: int) -> bytes | None:
    at = 0
    while at + _ATTRIBUTE.size <= len(raw):
        length, kind = _ATTRIBUTE.unpack_from(raw, at)
        if length < _ATTRIBUTE.size:
            return None
        if kind == wanted:
            return raw[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return None


def is_local(connection: TcpSocket) -> bool:
    """Return whether both ends are on this host."""
    peer = connection.peer
    loopback = peer == bytes(15) + b"\x01" or (peer.startswith(_V4_PREFIX) and peer[12] == 127)
    return loopback or peer == connection.local


class InetDiag:
    """A netlink socket; belongs to the network namespace of the thread that opened it."""

    def __init__(self) -> None:
        """Open it; raise SourceUnsupported when this kernel has no such thing."""
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
            self._socket.settimeout(_TIMEOUT_S)
            self._socket.bind((0, 0))
        except OSError as error:
            raise SourceUnsupported(f"no socket diagnosis: {error}") from error
        self._sequence = 0

    def connections(self) -> Iterator[TcpSocket]:
        """Yield the established TCP connections; raise SourceError when the kernel does not answer."""
        for family in (socket.AF_INET, socket.AF_INET6):
            yield from self._dump(family)

    def close(self) -> None:
        """Close the socket; twice is harmless."""
        self._socket.close()

    def _dump(self, family: int) -> Iterator[TcpSocket]:
        self._sequence += 1
        body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ESTABLISHED)
        header = _HEADER.pack(
            _HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, self._sequence, 0
        )
        try:
            self._socket.send(header + body)
            while True:
                for kind, message in self._messages(self._socket.recv(1 << 18)):
                    if kind == _DONE:
                        return
                    if kind == _ERROR:
                        raise SourceError("the kernel refuses socket diagnosis")
                    found = parse_socket(message)
                    if found is not None:
                        yield found
        except OSError as error:
            raise SourceError(f"socket diagnosis: {error}") from error

    def _messages(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
            if length < _HEADER.size:
                return
            # What a dump that was given up left behind is not an answer to this one.
            if sequence == self._sequence:
                yield kind, data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3
