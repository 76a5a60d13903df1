"""The kernel's answers, real and cut short."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from ringwatch_agent.sources.inet_diag import InetDiag, TcpSocket, is_local, parse_info, parse_socket

V4 = bytes(10) + b"\xff\xff"


def info_of(length: int) -> bytes:
    """Return a tcp_info of a kernel that knows ``length`` bytes of it."""
    whole = bytearray(280)
    whole[7] = 1
    struct.pack_into("=I", whole, 68, 250)
    struct.pack_into("=I", whole, 100, 3)
    struct.pack_into("=QQ", whole, 120, 1000, 2000)
    struct.pack_into("=II", whole, 144, 77, 50)
    struct.pack_into("=QQQQ", whole, 160, 125_000_000, 10, 20, 30)
    return bytes(whole[:length])


def test_all_fields_are_read_where_the_kernel_has_them() -> None:
    """A longer structure than ours is no trouble."""
    info = parse_info(info_of(280) + bytes(64))
    assert info.app_limited
    assert (info.rtt_us, info.total_retransmits, info.bytes_acked, info.bytes_received) == (
        250,
        3,
        1000,
        2000,
    )
    assert (info.unsent_bytes, info.min_rtt_us, info.delivery_bytes_per_s) == (77, 50, 125_000_000)
    assert (info.busy_us, info.receive_window_limited_us, info.send_buffer_limited_us) == (10, 20, 30)


@pytest.mark.parametrize("length", [0, 7, 104, 136, 160, 170])
def test_an_older_kernel_leaves_fields_absent(length: int) -> None:
    """What the structure does not reach is None, not zero."""
    info = parse_info(info_of(length))
    assert info.busy_us is None
    assert (info.delivery_bytes_per_s is None) == (length < 168)
    assert (info.bytes_acked is None) == (length < 128)


@pytest.mark.parametrize(
    "message", [b"", bytes(71), bytes(72), bytes(72) + b"\x01\x00\x02\x00", bytes(72) + b"\x08"]
)
def test_messages_that_are_cut_short_are_no_sockets(message: bytes) -> None:
    """No attribute, half an attribute, an attribute shorter than its own head."""
    assert parse_socket(message) is None


def test_connections_within_the_host_are_known_as_such() -> None:
    """Loopback of either family, mapped, and the host's own address."""

    def between(local: bytes, peer: bytes) -> TcpSocket:
        return TcpSocket(cookie=1, inode=1, local=local, peer=peer, info=b"")

    own, other = V4 + bytes([10, 0, 0, 1]), V4 + bytes([10, 0, 0, 2])
    assert is_local(between(own, V4 + bytes([127, 9, 9, 9])))
    assert is_local(between(bytes(15) + b"\x01", bytes(15) + b"\x01"))
    assert is_local(between(own, own))
    assert not is_local(between(own, other))


def test_the_kernel_of_this_machine_answers() -> None:
    """A connection made here is found, with what was sent over it."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    client.sendall(bytes(5000))
    received = 0
    while received < 5000:
        received += len(accepted.recv(5000))
    diag = InetDiag()
    inode = os.fstat(client.fileno()).st_ino
    for _ in range(2):
        mine = [one for one in diag.connections() if one.inode == inode]
        assert len(mine) == 1
        assert mine[0].peer == V4 + bytes([127, 0, 0, 1])
        assert (parse_info(mine[0].info).bytes_acked or 0) >= 5000
    diag.close()
    diag.close()
    for one in (client, accepted, server):
        one.close()
