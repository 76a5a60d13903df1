"""Asks the kernel how much waits in each egress queue, over rtnetlink. Changes nothing.

Layouts: linux/rtnetlink.h, linux/pkt_sched.h, linux/gen_stats.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_RTM_GETQDISC: Final = 38
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_NLM_F_DUMP_REQUEST: Final = 0x301
_TC_H_ROOT: Final = 0xFFFFFFFF
_TCA_STATS2: Final = 7
_TCA_STATS_QUEUE: Final = 3
_MESSAGE: Final = struct.Struct("=IHHII")
_TCMSG: Final = struct.Struct("=BxxxiIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_QUEUE: Final = struct.Struct("=IIIII")


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressQueue:
    """The root queue of an interface; a root counts what its children hold."""

    backlog_bytes: int
    drops: int
    overlimits: int


def egress_queues() -> dict[int, EgressQueue]:
    """Return the root queue of each interface index of this network namespace. Raise OSError."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as asker:
        asker.settimeout(1.0)
        body = _TCMSG.pack(0, 0, 0, 0, 0)
        asker.send(_MESSAGE.pack(_MESSAGE.size + len(body), _RTM_GETQDISC, _NLM_F_DUMP_REQUEST, 1, 0) + body)
        return dict(_dump(asker))


def _dump(asker: socket.socket) -> Iterator[tuple[int, EgressQueue]]:
    while True:
        answer = asker.recv(1 << 16)
        for kind, payload in _messages(answer):
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise OSError(-struct.unpack_from("=i", payload)[0], "rtnetlink refused RTM_GETQDISC")
            yield from parse_queue(payload)


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _MESSAGE.size <= len(answer):
        length, kind, *_ = _MESSAGE.unpack_from(answer, at)
        if length < _MESSAGE.size:
            return
        yield kind, answer[at + _MESSAGE.size : at + length]
        at += (length + 3) & ~3


def parse_queue(payload: bytes) -> Iterator[tuple[int, EgressQueue]]:
    """Yield the interface index and queue of one answer, if it is about a root queue."""
    if len(payload) < _TCMSG.size:
        return
    _, index, _, parent, _ = _TCMSG.unpack_from(payload)
    if parent != _TC_H_ROOT:
        return
    stats = dict(_attributes(dict(_attributes(payload[_TCMSG.size :])).get(_TCA_STATS2, b"")))
    queue = stats.get(_TCA_STATS_QUEUE, b"")
    if len(queue) >= _QUEUE.size:
        _, backlog, drops, _, overlimits = _QUEUE.unpack_from(queue)
        yield index, EgressQueue(backlog_bytes=backlog, drops=drops, overlimits=overlimits)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
