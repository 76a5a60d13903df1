"""Asks NCCL's RAS for the state of a job, over its client socket. Judges nothing.

Commands and JSON: src/ras/client_support.cc of https://github.com/NVIDIA/nccl; JSON from 2.28 on. Each
question makes NCCL ask every process of the job, so it is asked seldom.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Final

from ringwatch_proto.errors import SourceError, SourceUnsupported

_GREETING: Final = b"CLIENT PROTOCOL 2\nSET FORMAT json\n"
# Shorter than the agent's own deadline for a read.
_QUESTION: Final = b"TIMEOUT 3\nSTATUS\n"
_MOST_BYTES: Final = 64 << 20
_MOST_RANKS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RasRank:
    """One rank of one group: how many collectives it has launched there."""

    rank: int
    host: str
    pid: int
    launched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RasGroup:
    """One group: those that answered, and the numbers of those that did not."""

    name: str
    size: int
    ranks: tuple[RasRank, ...]
    missing: tuple[int, ...]


def ask(host: str, port: int, within_s: float) -> list[RasGroup]:
    """Return the groups of the job behind a RAS socket, none when nobody listens: there is no job.

    Raises SourceUnsupported when NCCL is too old for JSON, SourceError when the answer does not come, or is
    cut off.
    """
    try:
        connection = socket.create_connection((host, port), timeout=1.0)
    except ConnectionRefusedError:
        return []
    except OSError as error:
        raise SourceError(f"NCCL RAS at {host}:{port}: {error.strerror or error}") from error
    with connection:
        try:
            connection.settimeout(within_s)
            connection.sendall(_GREETING)
            data = _lines(connection, 2)
            if b"ERROR" in data:
                raise SourceUnsupported("this NCCL answers as text only: JSON begins with 2.28")
            connection.sendall(_QUESTION)
            return parse(_rest(connection, time.monotonic() + within_s))
        except OSError as error:
            raise SourceError(f"NCCL RAS at {host}:{port}: {error.strerror or 'timed out'}") from error


def _lines(connection: socket.socket, count: int) -> bytes:
    data = b""
    while data.count(b"\n") < count:
        more = connection.recv(4096)
        if not more:
            raise SourceError("NCCL RAS closed the connection before it answered")
        data += more
    return data


def _rest(connection: socket.socket, until_s: float) -> bytes:
    parts, size = [], 0
    while chunk := connection.recv(1 << 16):
        parts.append(chunk)
        size += len(chunk)
        if size > _MOST_BYTES:
            raise SourceError(f"NCCL RAS sends more than {_MOST_BYTES >> 20} MiB")
        if time.monotonic() > until_s:
            raise SourceError("NCCL RAS does not come to an end")
    return b"".join(parts)


def parse(data: bytes) -> list[RasGroup]:
    """Return the groups of a report; raise SourceError when it is torn or no report."""
    begin = data.find(b"{")  # behind "OK" of the commands before
    try:
        report = json.loads(data[begin:]) if begin >= 0 else None
        groups = report["communicators"] if isinstance(report, dict) else None
        if not isinstance(groups, list):
            raise SourceError("NCCL RAS sent no report")
        return [_group(each) for each in groups]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceError(f"NCCL RAS sent a torn report: {error}") from error


def _group(said: dict[str, Any]) -> RasGroup:
    size = int(said["size"])
    if not 0 < size <= _MOST_RANKS:
        raise ValueError(f"a group of {size} ranks")
    name = str(said.get("secondary_hash") or said["hash"])[:64]
    if not name.isprintable():
        raise ValueError("a group with an odd name")
    ranks = tuple(_rank(each, size) for each in said.get("ranks", []))
    missing = tuple(int(each["rank"]) for each in said.get("missing_ranks", []))
    return RasGroup(name=name, size=size, ranks=ranks, missing=missing)


def _rank(said: dict[str, Any], size: int) -> RasRank:
    rank, counts = int(said["rank"]), said.get("collective_counts", {})
    if not 0 <= rank < size:
        raise ValueError(f"rank {rank} of {size}")
    launched = sum(int(count) for count in counts.values())
    return RasRank(rank=rank, host=str(said["host"])[:128], pid=int(said["pid"]), launched=max(0, launched))
