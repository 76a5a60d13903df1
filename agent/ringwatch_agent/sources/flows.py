"""The ``flows`` source: what the kernel knows of the TCP connections of this node's training processes.

One record for each rank and peer address, over the interval since the last read. Connections within the
host are left out. Reads and never judges.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.inet_diag import InetDiag, TcpInfo, TcpSocket, is_local, parse_info
from ringwatch_proto.layout import FLOW

_NAN: Final = float("nan")
_US: Final = 1e-6
# A connection that sent so much in an interval carries gradients, not control messages.
BULK_BYTES: Final = 256 * 1024


class Connections(Protocol):
    """Where connections come from: the kernel, or a test."""

    def connections(self) -> Iterable[TcpSocket]:
        """Return the established TCP connections."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one connection did over the interval; NaN where the kernel does not tell."""

    info: TcpInfo
    tx_bytes: float
    rx_bytes: float
    busy_s: float
    receive_window_limited_s: float
    send_buffer_limited_s: float
    retransmits: float


class FlowsSource:
    """The source. ``pids`` gives the row of each live rank by its pid."""

    def __init__(
        self,
        pids: Callable[[], Mapping[int, int]],
        connect: Callable[[], Connections] = InetDiag,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pids = pids
        self._connect = connect
        self._proc = proc
        self._clock = clock
        self._kernel: Connections | None = None
        self._read_s = _NAN
        self._watched: dict[int, int] = {}
        self._owners: dict[int, int | None] = {}
        self._before: dict[int, TcpInfo] = {}
        self._rows: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """Return ``flows``."""
        return "flows"

    def open(self) -> None:
        """Open the netlink socket; raise SourceUnsupported when there is none."""
        self.close()
        self._kernel = self._connect()

    def close(self) -> None:
        """Let go of it, and of what was counted so far."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None
        self._forget()

    def read(self) -> Reading:
        """Return a record for each rank and peer; none at the first read, which has no interval."""
        assert self._kernel is not None, "read before open"
        pids = self._pids()
        now_s = self._clock()
        interval_s, self._read_s = now_s - self._read_s, now_s
        if not pids:
            self._forget()
            return Reading()
        found = [one for one in self._kernel.connections() if not is_local(one)]
        self._find_owners(found, pids)
        usages = self._usages(found)
        self._rows = frozenset(pids.values())
        if math.isnan(interval_s) or interval_s <= 0.0:
            return Reading()
        flows = (_packed(row, peer, used, interval_s) for (row, peer), used in sorted(usages.items()))
        return Reading(flows=b"".join(flows))

    def _forget(self) -> None:
        self._read_s = _NAN
        self._watched, self._owners, self._before = {}, {}, {}
        self._rows = frozenset()

    def _find_owners(self, found: list[TcpSocket], pids: Mapping[int, int]) -> None:
        """Learn which rank holds which socket; ``None`` stands for one that no rank holds.

        It takes a look at every descriptor of every rank, so it is done when there is something new.
        """
        inodes = {one.inode for one in found}
        if dict(pids) == self._watched and inodes <= self._owners.keys():
            return
        self._watched = dict(pids)
        held = {inode: row for pid, row in pids.items() for inode in _sockets_of(self._proc / str(pid))}
        self._owners = {inode: held.get(inode) for inode in inodes}

    def _usages(self, found: list[TcpSocket]) -> dict[tuple[int, bytes], list[Usage]]:
        usages: dict[tuple[int, bytes], list[Usage]] = {}
        now: dict[int, TcpInfo] = {}
        for one in found:
            row = self._owners.get(one.inode)
            if row is None:
                continue
            info = now[one.cookie] = parse_info(one.info)
            before = self._before.get(one.cookie)
            # A connection made since the last read began at nothing; one that came with a new rank is older
            # than that, and what it did in the interval is not known.
            if before is None and row not in self._rows:
                continue
            usages.setdefault((row, one.peer), []).append(_usage(before, info))
        self._before = now
        return usages


def _usage(before: TcpInfo | None, now: TcpInfo) -> Usage:
    def since(name: str, unit: float) -> float:
        value, earlier = getattr(now, name), 0 if before is None else getattr(before, name)
        return _NAN if value is None or earlier is None else max(0, value - earlier) * unit

    return Usage(
        info=now,
        tx_bytes=since("bytes_acked", 1.0),
        rx_bytes=since("bytes_received", 1.0),
        busy_s=since("busy_us", _US),
        receive_window_limited_s=since("receive_window_limited_us", _US),
        send_buffer_limited_s=since("send_buffer_limited_us", _US),
        retransmits=since("total_retransmits", 1.0),
    )


def _packed(row: int, peer: bytes, used: list[Usage], interval_s: float) -> bytes:
    return FLOW.pack(
        peer,
        row,
        min(len(used), 0xFFFF),
        interval_s,
        _delivery_bits_per_s(used),
        _largest(one.busy_s for one in used),
        _largest(one.receive_window_limited_s for one in used),
        _largest(one.send_buffer_limited_s for one in used),
        _total(_number(one.info.unsent_bytes) for one in used),
        _largest(one.info.rtt_us * _US for one in used),
        _smallest(_number(one.info.min_rtt_us) * _US for one in used),
        _total(one.retransmits for one in used) / interval_s,
        _total(one.tx_bytes for one in used) / interval_s,
        _total(one.rx_bytes for one in used) / interval_s,
    )


def _delivery_bits_per_s(used: list[Usage]) -> float:
    """Return the lowest delivery rate of the bulk connections.

    A rate that the application limited says only that the path carries at least that much: it counts
    when there is no other, and then the highest is the closest to what the path can do.
    """
    bulk = [one.info for one in used if one.tx_bytes >= BULK_BYTES]
    full = [_number(info.delivery_bytes_per_s) * 8.0 for info in bulk if not info.app_limited]
    limited = [_number(info.delivery_bytes_per_s) * 8.0 for info in bulk if info.app_limited]
    return _smallest(full) if full else _largest(limited)


def _number(value: int | None) -> float:
    return _NAN if value is None else float(value)


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _largest(values: Iterable[float]) -> float:
    return max(_known(values), default=_NAN)


def _smallest(values: Iterable[float]) -> float:
    return min(_known(values), default=_NAN)


def _total(values: Iterable[float]) -> float:
    known = _known(values)
    return math.fsum(known) if known else _NAN


def _sockets_of(process: Path) -> list[int]:
    """Return the inodes of the sockets that a process holds; none when it has gone or is not ours to see."""
    inodes: list[int] = []
    try:
        names = os.listdir(process / "fd")
    except OSError:
        return inodes
    for name in names:
        try:
            target = os.readlink(process / "fd" / name)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.append(int(target[8:-1]))
    return inodes
