"""Collector, this machine's agent and a small simulated fleet, as processes on the real wire."""

import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from ringwatch_drills.demo.stage import Stage
from ringwatch_drills.watching import Watcher
from ringwatch_proto.v1 import query_pb2

_WAIT_S = 40.0


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage(nodes=4, seed=1)
    try:
        stage.start_collector()
        stage.start_agent()
        stage.start_fleet()
        yield stage
    finally:
        stage.close()


@pytest.fixture
def watcher(stage: Stage) -> Iterator[Watcher]:
    watcher = Watcher(stage.address)
    yield watcher
    watcher.close()


def wait(watcher: Watcher, holds: Callable[[query_pb2.Fleet], bool]) -> query_pb2.Fleet:
    fleet = watcher.wait_for(_WAIT_S, holds)
    assert fleet is not None, watcher.fleet()
    return fleet


def incidents(fleet: query_pb2.Fleet, kind: str) -> list[query_pb2.Incident]:
    return [incident for incident in fleet.incidents if incident.kind == kind]


def xid_events(watcher: Watcher, node: str) -> list[int]:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        try:
            return [each.event.code for each in watcher.events(node) if each.event.kind == "gpu.xid"]
        except grpc.RpcError:
            time.sleep(0.2)
    raise AssertionError("the collector does not answer")


def test_a_lost_gpu_is_one_incident_that_survives_the_collector(stage: Stage, watcher: Watcher) -> None:
    """Kill -9 and a new start lose no event and no incident, and make none twice."""
    wait(watcher, lambda fleet: fleet.health.nodes_reporting == 5 and len(fleet.jobs) == 2)
    hit = stage.begin("gpu-off-bus")
    before = wait(watcher, lambda fleet: bool(incidents(fleet, "gpu.off_bus")))
    told = incidents(before, "gpu.off_bus")[0]
    assert (told.culprit.node, told.culprit.device) == (hit["node"], hit["gpu"])
    assert told.cause == "xid_79"

    stage.processes["collector"].end(gently=False)
    stage.start_collector()

    after = wait(watcher, lambda fleet: fleet.health.nodes_reporting == 5)
    assert [each.id for each in incidents(after, "gpu.off_bus")] == [told.id]
    assert xid_events(watcher, hit["node"]) == [79]


def test_a_machine_whose_agent_is_gone_is_silent_and_not_healthy(stage: Stage, watcher: Watcher) -> None:
    """The real agent of this machine, killed."""
    fleet = wait(
        watcher, lambda fleet: any(node.state == "ok" and not node.simulated for node in fleet.nodes)
    )
    name = next(node.node for node in fleet.nodes if not node.simulated)

    stage.processes["agent"].end(gently=False)

    fleet = wait(
        watcher,
        lambda fleet: any(each.culprit.node == name for each in incidents(fleet, "node.agent_silent")),
    )
    assert next(node.state for node in fleet.nodes if node.node == name) == "silent"
