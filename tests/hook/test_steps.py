"""The steps source against hooks that are not what they say, over the real socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.hook.rig import Agent

from ringwatch_agent.hook.recorder import Communicator, Recorder
from ringwatch_agent.hook.ring_writer import RingWriter
from ringwatch_agent.sources.steps import StepsSource
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError
from ringwatch_proto.ring import RING_BYTES, RING_VERSION, HeaderWord

JOIN: dict[str, Any] = {
    "type": "join", "version": RING_VERSION, "pid": os.getpid(), "job": "j", "rank": 0, "world_size": 4,
    "local_rank": 0, "backend": "gloo", "user": "u", "gpu": "",
}  # fmt: skip


class Hook:
    """One end of the socket that says what it is told to."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(str(path))
        self.ring = RingWriter()

    def join(self, fds: list[int] | None = None, **changed: object) -> None:
        message = json.dumps({**JOIN, **changed}).encode()
        socket.send_fds(self.socket, [message], [self.ring.fd] if fds is None else fds)

    def say(self, **message: object) -> None:
        self.socket.send(json.dumps(message).encode())

    def is_refused(self) -> bool:
        self.socket.settimeout(10.0)
        with contextlib.suppress(ConnectionResetError):
            return self.socket.recv(1) == b""
        return True


@pytest.fixture
def hook(agent: Agent) -> Iterator[Hook]:
    one = Hook(agent.path)
    yield one
    one.socket.close()


def joined(agent: Agent) -> bool:
    return events.RANK_JOINED in agent.kinds()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"pid": 1},
        {"pid": "x"},
        {"rank": 4},
        {"rank": -1},
        {"rank": True},
        {"world_size": 10**9},
        {"job": ""},
        {"job": "x" * 1000},
        {"job": "\x1b[2J"},
        {"user": 7},
        {"type": "leave"},
        {"type": None},
    ],
)
def test_a_join_that_cannot_be_is_refused_and_counted(
    agent: Agent, hook: Hook, changed: dict[str, Any]
) -> None:
    """Version, numbers, texts and a pid that is someone else's; no rank appears."""
    hook.join(**changed)
    assert hook.is_refused()
    reading = agent.read()
    assert reading.ranks == ()
    assert agent.dropped == {"hook.refused": 1}


def test_descriptors_that_are_no_ring_are_refused_and_closed(agent: Agent, tmp_path: Path) -> None:
    """None, two, a file, a directory, a short memfd: and nothing stays open here."""
    before = len(os.listdir("/proc/self/fd"))
    path = tmp_path / "file"
    path.write_bytes(bytes(RING_BYTES))
    short = os.memfd_create("short")
    with path.open("rb") as file:
        folder = os.open(tmp_path, os.O_RDONLY)
        for fds in ([], [short, short], [file.fileno()], [folder], [short]):
            hook = Hook(agent.path)
            hook.join(fds=fds)
            assert hook.is_refused()
            hook.socket.close()
            os.close(hook.ring.fd)
            del hook
        os.close(folder)
    os.close(short)
    agent.read()
    assert agent.dropped == {"hook.refused": 5}
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("data", [b"\xff", b"[]", b"[" * 60000, b"7"])
def test_what_is_not_an_object_ends_the_connection(agent: Agent, hook: Hook, data: bytes) -> None:
    """Bytes, other JSON and nesting without end."""
    hook.socket.send(data)
    assert hook.is_refused()
    agent.until(lambda: agent.dropped == {"hook.refused": 1})


@pytest.mark.parametrize(
    "ranks",
    ["0-999999999999", "0-9", "x", "", "-1", "3-1", "0-3,0-3", ["0"]],
    ids=lambda value: str(value)[:12],
)
def test_ranks_that_cannot_be_end_the_connection(agent: Agent, hook: Hook, ranks: object) -> None:
    """No range is unrolled beyond the size of the job, and the process counts as having left."""
    hook.join()
    hook.say(type="communicator", index=0, name="world", ranks=ranks)
    assert hook.is_refused()
    agent.until(lambda: events.RANK_LEFT in agent.kinds())
    assert agent.read().communicators == ()


def test_absurd_records_are_counted_and_good_ones_pass(agent: Agent, hook: Hook) -> None:
    """Unknown group and type, end before begin; the ring goes on being read."""
    hook.join()
    hook.say(type="communicator", index=0, name="world", ranks="0-3")
    agent.until(lambda: bool(agent.source.read().communicators))
    write = hook.ring.record
    write(2, 1, 9, 0, 5, 6, 0, 8, 0.0, 0.0, 0.0, 0.0)
    write(9, 1, 0, 0, 5, 6, 0, 8, 0.0, 0.0, 0.0, 0.0)
    write(1, 0, 0, 0, 9, 5, 0, 8, 0.0, 0.0, 0.0, 0.0)
    write(2, 250, 0, 0, 5, 6, 0, 8, 0.0, 0.0, 0.0, 0.0)
    write(2, 1, 0, 1 << 20, 5, 6, 0, 8, 0.0, 0.0, 0.0, 0.0)
    write(1, 0, 0, 0, -(1 << 63), (1 << 63) - 1, 0, 8, 0.0, 0.0, 0.0, 0.0)
    write(2, 1, 0, 3, 5, 6, 0, 8, -1.0, 0.0, 0.0, 0.0)
    write(1, 0, 0, 0, 5, 6, (1 << 64) - 1, 8, float("inf"), -1.0, 0.5, 0.0)
    agent.read()
    assert agent.dropped == {"hook.absurd_records": 6}
    assert [one["slot"] for one in agent.collectives] == [3]
    assert agent.collectives[0]["duration_s"] != agent.collectives[0]["duration_s"]
    assert agent.steps[0]["pause_s"] == 0.5
    assert agent.steps[0]["data_s"] != agent.steps[0]["data_s"]
    assert agent.steps[0]["compute_s"] != agent.steps[0]["compute_s"]


def test_a_state_full_of_nonsense_is_packed_as_unknown(agent: Agent, hook: Hook) -> None:
    """All words at their largest: no error, no age, no phase that does not exist."""
    hook.join()
    agent.until(lambda: joined(agent))
    for word in HeaderWord:
        if word > HeaderWord.STATE_LOCK:
            os.pwrite(hook.ring.fd, struct.pack("=Q", (1 << 64) - 1), word * 8)
    state = agent.states()[0]
    assert state["phase"] == 0
    assert state["phase_age_s"] != state["phase_age_s"]
    assert state["alive"] == 1


def test_a_ring_cut_short_is_counted_at_each_read(agent: Agent, hook: Hook) -> None:
    """The rank stays, with what the kernel says of it; other ranks are not touched."""
    other = Hook(agent.path)
    other.join(rank=1)
    hook.join()
    agent.until(lambda: len(agent.last.ranks or ()) == 2)
    os.ftruncate(hook.ring.fd, 10)
    other.ring.record(1, 0, 0, 0, 5, 6, 3, 0, 0.1, 0.1, 0.1, 0.1)
    agent.read()
    assert agent.dropped["hook.bad_ring"] >= 1
    assert [step["step"] for step in agent.steps] == [3]
    other.socket.close()


def test_a_flood_of_connections_is_bounded_and_does_not_shut_out_the_others(agent: Agent, hook: Hook) -> None:
    """A thousand from one user: the first few hundred are kept for a while, the rest are turned away."""
    hook.join()
    agent.until(lambda: joined(agent))
    flood = []
    for _ in range(1000):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(str(agent.path))
        flood.append(one)
    agent.until(lambda: agent.dropped.get("hook.too_many_connections", 0) == 1000 - 255)
    assert agent.states()[0]["alive"] == 1
    for one in flood:
        one.close()
    late = Hook(agent.path)
    agent.until(lambda: late_join(late, agent))
    late.socket.close()


def late_join(late: Hook, agent: Agent) -> bool:
    with contextlib.suppress(OSError):
        late.join(rank=2)
        time.sleep(0.1)
    if len(agent.source.read().ranks or ()) == 2:
        return True
    late.socket.close()
    late.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    late.socket.connect(str(agent.path))
    return False


def test_a_restarted_rank_takes_the_place_of_the_old_one(agent: Agent, hook: Hook) -> None:
    """Same job and rank, same row; what the old ring still held is not lost."""
    hook.join()
    agent.until(lambda: joined(agent))
    hook.ring.record(1, 0, 0, 0, 5, 6, 41, 0, 0.1, 0.1, 0.1, 0.1)
    again = Hook(agent.path)
    again.join()
    agent.until(lambda: agent.kinds().count(events.RANK_JOINED) == 2)
    again.ring.record(1, 0, 0, 0, 5, 6, 0, 0, 0.1, 0.1, 0.1, 0.1)
    agent.read()
    assert [step["step"] for step in agent.steps] == [41, 0]
    assert {step["rank_row"] for step in agent.steps} == {0}
    hook.socket.close()
    agent.read()
    assert agent.states()[0]["alive"] == 1
    again.socket.close()


def test_the_death_of_a_rank_wakes_the_agent_at_once(tmp_path: Path) -> None:
    """The callback comes on end of file, not with the next reading; the last records are kept."""
    woken: list[float] = []
    source = StepsSource(tmp_path / "hook.sock", wake=lambda: woken.append(time.monotonic()))
    source.open()
    hook = Hook(tmp_path / "hook.sock")
    hook.join()
    Recorder(hook.ring, 0).begin(Communicator(0), 1, 8)
    hook.ring.record(1, 0, 0, 0, 5, 6, 9, 0, 0.1, 0.1, 0.1, 0.1)
    while not (source.read().ranks):
        time.sleep(0.01)
    hook.ring.record(1, 0, 0, 0, 5, 6, 10, 0, 0.1, 0.1, 0.1, 0.1)
    hook.socket.close()
    end = time.monotonic() + 10.0
    while not woken and time.monotonic() < end:
        time.sleep(0.01)
    reading = source.read()
    assert woken
    assert [event.kind for event in reading.events] == [events.RANK_DIED]
    assert reading.steps
    source.close()
    source.close()


def test_a_second_agent_on_the_same_socket_is_an_error(agent: Agent, tmp_path: Path) -> None:
    """The first one keeps it; a stale socket of a dead one is replaced."""
    second = StepsSource(agent.path)
    with pytest.raises(SourceError):
        second.open()
    second.close()
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(stale))
    third = StepsSource(stale)
    third.open()
    assert stale.stat().st_mode & 0o777 == 0o666
    third.close()
    assert not stale.exists()


@pytest.mark.root
def test_another_user_cannot_take_a_rank_of_a_running_job(agent: Agent, hook: Hook) -> None:
    """The kernel says who it is; the rank that runs is left alone."""
    hook.join()
    agent.until(lambda: joined(agent))
    for parent in agent.path.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    script = (
        "import os, json, socket, sys\n"
        "os.setuid(65534); fd = os.memfd_create('r'); os.ftruncate(fd, 1 << 20)\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1])\n"
        "m = json.loads(sys.argv[2]); m['pid'] = os.getpid()\n"
        "socket.send_fds(s, [json.dumps(m).encode()], [fd])\n"
        "sys.exit(0 if s.recv(1) == b'' else 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(agent.path), json.dumps(JOIN)], timeout=20, check=False
    )
    assert done.returncode == 0
    agent.read()
    assert agent.dropped == {"hook.refused": 1}
    assert agent.states()[0]["alive"] == 1


def test_a_goodbye_is_shown_without_what_could_move_a_cursor(agent: Agent, hook: Hook) -> None:
    """The reason is the job's text; the faults of the hook are counted, whatever is claimed."""
    hook.join()
    hook.say(type="leave", reason="exception: \x1b[2J\nboom" + "x" * 1000, faults=3)
    hook.socket.close()
    agent.until(lambda: events.RANK_LEFT in agent.kinds())
    left = agent.events[-1]
    assert left.fields["reason"].isprintable()
    assert len(left.fields["reason"]) == 200
    assert agent.dropped == {"hook.faults": 3}
