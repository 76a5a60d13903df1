"""Connections summed up by rank and peer, from a kernel that the test plays."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.hook.rig import unpack

from ringwatch_agent.sources.flows import BULK_BYTES, FlowsSource
from ringwatch_agent.sources.inet_diag import TcpSocket
from ringwatch_proto import layout

V4 = bytes(10) + b"\xff\xff"
OWN, FIRST, SECOND = (V4 + bytes([10, 0, 0, last]) for last in (1, 2, 3))


class Kernel:
    """Connections that the test changes between reads."""

    def __init__(self) -> None:
        self.found: dict[int, TcpSocket] = {}
        self.closed = False

    def put(
        self,
        inode: int,
        peer: bytes,
        *,
        acked: int = 0,
        rate: int = 0,
        busy_us: int = 0,
        limited: bool = False,
        length: int = 192,
    ) -> None:
        info = bytearray(192)
        info[7] = int(limited)
        struct.pack_into("=I", info, 68, 400)
        struct.pack_into("=QQ", info, 120, acked, 0)
        struct.pack_into("=QQ", info, 160, rate, busy_us)
        raw = bytes(info[:length])
        self.found[inode] = TcpSocket(cookie=inode, inode=inode, local=OWN, peer=peer, info=raw)

    def connections(self) -> list[TcpSocket]:
        return list(self.found.values())

    def close(self) -> None:
        self.closed = True


class Rig:
    """A source over a played kernel, a played /proc and a clock that goes by seconds."""

    def __init__(self, root: Path) -> None:
        self.kernel = Kernel()
        self.pids = {100: 7}
        self.root = root
        self._time = 0.0
        self.source = FlowsSource(lambda: self.pids, lambda: self.kernel, root, self.tick)
        self.source.open()

    def tick(self) -> float:
        self._time += 1.0
        return self._time

    def hold(self, pid: int, *inodes: int) -> None:
        folder = self.root / str(pid) / "fd"
        folder.mkdir(parents=True, exist_ok=True)
        for inode in inodes:
            os.symlink(f"socket:[{inode}]", folder / str(inode))

    def read(self) -> dict[tuple[int, bytes], dict[str, Any]]:
        flows = unpack(layout.FLOW_FIELDS, self.source.read().flows)
        return {(flow["rank_row"], flow["peer"]): flow for flow in flows}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_the_first_read_has_no_interval_and_says_nothing(rig: Rig) -> None:
    """Counters since the boot are not what happened in a second."""
    rig.hold(100, 1)
    rig.kernel.put(1, FIRST, acked=10**9)
    assert rig.read() == {}
    rig.kernel.put(1, FIRST, acked=10**9 + 50)
    assert rig.read()[7, FIRST]["tx_bytes_per_s"] == 50.0


def test_the_slowest_bulk_connection_speaks_for_the_peer(rig: Rig) -> None:
    """Small talk and application-limited rates do not, unless there is nothing else."""
    rig.hold(100, 1, 2, 3, 4)
    for inode in (1, 2, 3):
        rig.kernel.put(inode, FIRST)
    rig.kernel.put(4, SECOND)
    rig.read()
    rig.kernel.put(1, FIRST, acked=BULK_BYTES, rate=25_000_000, busy_us=900_000)
    rig.kernel.put(2, FIRST, acked=BULK_BYTES, rate=1_000, limited=True)
    rig.kernel.put(3, FIRST, acked=100, rate=500)
    rig.kernel.put(4, SECOND, acked=BULK_BYTES, rate=2_000_000, limited=True)
    flows = rig.read()
    assert flows[7, FIRST]["delivery_bits_per_s"] == 200e6
    assert flows[7, FIRST]["sockets"] == 3
    assert flows[7, FIRST]["busy_s"] == pytest.approx(0.9)
    assert flows[7, FIRST]["rtt_s"] == pytest.approx(0.0004)
    assert flows[7, SECOND]["delivery_bits_per_s"] == 16e6


def test_connections_of_other_processes_are_left_out(rig: Rig) -> None:
    """Only what a rank holds; and a rank that joins later is picked up, from then on."""
    rig.hold(100, 1)
    rig.hold(200, 2)
    rig.kernel.put(1, FIRST)
    rig.kernel.put(2, FIRST, acked=10**9)
    rig.read()
    assert set(rig.read()) == {(7, FIRST)}
    rig.pids = {100: 7, 200: 8}
    assert set(rig.read()) == {(7, FIRST)}
    rig.kernel.put(2, FIRST, acked=10**9 + 10)
    assert rig.read()[8, FIRST]["tx_bytes_per_s"] == 10.0


def test_a_connection_made_since_the_last_read_began_at_nothing(rig: Rig) -> None:
    """All that it has sent, it sent in the interval."""
    rig.hold(100, 1, 2)
    rig.kernel.put(1, FIRST)
    rig.read()
    rig.kernel.put(2, FIRST, acked=4000)
    assert rig.read()[7, FIRST]["tx_bytes_per_s"] == 4000.0


def test_what_an_old_kernel_does_not_tell_is_absent(rig: Rig) -> None:
    """NaN, never 0."""
    rig.hold(100, 1)
    rig.kernel.put(1, FIRST, length=104)
    rig.read()
    flow = rig.read()[7, FIRST]
    for name in ("delivery_bits_per_s", "busy_s", "unsent_bytes", "min_rtt_s", "tx_bytes_per_s"):
        assert math.isnan(flow[name]), name


def test_without_ranks_the_kernel_is_not_asked(rig: Rig) -> None:
    """And after them the interval begins anew."""
    rig.pids = {}
    rig.kernel.put(1, FIRST)
    assert rig.source.read().flows == b""
    rig.source.close()
    rig.source.close()
    assert rig.kernel.closed
