"""The lab's network, built and taken down for real."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringwatch_drills.lab.cgroups import make_cpu_group
from ringwatch_drills.lab.network import LabNode, build_network, run
from ringwatch_drills.lab.relay import PORT, Relay
from ringwatch_drills.lab.undo import UndoRecord, kill_all_in, only_lab

ENTER = (sys.executable, "-m", "ringwatch_drills.lab.enter")

pytestmark = pytest.mark.root


@pytest.fixture
def undo() -> Iterator[UndoRecord]:
    with only_lab(wait_s=60.0) as record:
        try:
            yield record
        finally:
            record.undo()


@pytest.fixture
def nodes(undo: UndoRecord) -> tuple[LabNode, ...]:
    return build_network(2, undo)


def inside(node: LabNode, *command: str, procs: str = "") -> str:
    done = subprocess.run(
        [*ENTER, node.namespace, procs, "--", *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout


def test_a_node_sees_its_own_port_and_still_the_cgroups(nodes: tuple[LabNode, ...]) -> None:
    """The agent reads both."""
    assert sorted(inside(nodes[0], "ls", "/sys/class/net").split()) == ["eth0", "lo"]
    assert inside(nodes[0], "ls", "/sys/fs/cgroup").split()


def test_nodes_reach_each_other_and_nothing_else(nodes: tuple[LabNode, ...]) -> None:
    """There is one route, and it ends at the bridge."""
    routes = run("ip", "-n", nodes[0].namespace, "route").splitlines()

    assert [route.split()[0] for route in routes] == ["10.231.87.0/24"]
    server = (
        "import socket; s = socket.create_server(('', 5001)); print('up', flush=True); "
        "c, a = s.accept(); print(a[0])"
    )
    client = f"import socket; socket.create_connection(('{nodes[1].address}', 5001), 10)"
    with subprocess.Popen(
        [*ENTER, nodes[1].namespace, "", "--", sys.executable, "-c", server],
        stdout=subprocess.PIPE,
        text=True,
    ) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "up\n"
        inside(nodes[0], sys.executable, "-c", client)
        assert listening.stdout.readline().strip() == nodes[0].address


def test_the_relay_leads_from_a_nodes_loopback_to_the_collectors(nodes: tuple[LabNode, ...]) -> None:
    """Telemetry does not cross the links that a fault slows down."""
    client = (
        f"import socket; s = socket.create_connection(('127.0.0.1', {PORT}), 10); "
        "s.sendall(b'hello'); s.shutdown(1); print(s.recv(100).decode())"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as collector,
        contextlib.closing(Relay(nodes)) as relay,
    ):
        relay.lead_to(*collector.getsockname())
        with subprocess.Popen(
            [*ENTER, nodes[1].namespace, "", "--", sys.executable, "-c", client],
            stdout=subprocess.PIPE,
            text=True,
        ) as node:
            connection, _ = collector.accept()
            with connection:
                assert connection.recv(100) == b"hello"
                connection.sendall(b"welcome")
            out, _ = node.communicate(timeout=20)
    assert out.strip() == "welcome"


def test_a_quota_holds_and_goes_with_its_group(undo: UndoRecord, nodes: tuple[LabNode, ...]) -> None:
    """A process that was put into the group is held with it."""
    group = make_cpu_group("test", undo)
    group.hold_to(0.2, undo)

    own = inside(nodes[0], "cat", "/proc/self/cgroup", procs=str(group.procs))
    assert group.path.name in own

    assert undo.undo() == []
    assert not group.path.exists()


def test_a_worker_in_a_session_of_its_own_is_ended_with_its_node(nodes: tuple[LabNode, ...]) -> None:
    """As torchrun starts them: one that lived on would be taken for the next run's."""
    command = [*ENTER, nodes[0].namespace, "", "--", "setsid", "--fork", "sleep", "60"]
    subprocess.run(command, check=True, timeout=20)
    assert run("ip", "netns", "pids", nodes[0].namespace).split()

    kill_all_in(nodes[0].namespace)

    while run("ip", "netns", "pids", nodes[0].namespace).split():
        pass


def test_nothing_is_left_when_all_is_undone(undo: UndoRecord, nodes: tuple[LabNode, ...]) -> None:
    """Not even with a process that still runs in a namespace."""
    with subprocess.Popen([*ENTER, nodes[0].namespace, "", "--", "sleep", "60"]) as stray:
        while not run("ip", "netns", "pids", nodes[0].namespace).strip():
            assert stray.poll() is None

        assert undo.undo() == []

        assert stray.wait(10) == -9
    assert not [each for each in Path("/run/netns").iterdir() if each.name.startswith("rwlab-")]
