"""The Query service over a real channel: what each rpc answers, and how it says no."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from tests.collector.rig import (
    Rig,
    batch,
    collective,
    event,
    eventually,
    gpu_block,
    hello,
    rank_state,
    running,
    step,
)
from tests.collector.test_runner import finding

from ringwatch_collector.fusion import fuse
from ringwatch_proto.layout import Phase
from ringwatch_proto.records import IncidentKind, Severity, Subject
from ringwatch_proto.v1 import query_pb2


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Run a collector that thinks a node silent after a third of a second."""
    async with running(tmp_path, silent_s=0.3, tick_s=0.1) as made:
        yield made


async def _fleet(rig: Rig) -> query_pb2.Fleet:
    fleet: query_pb2.Fleet = await rig.query.GetFleet(query_pb2.GetFleetRequest())
    return fleet


async def _running_job(rig: Rig) -> None:
    agent = await rig.agent(hello(ranks=2, communicator_ranks=(0, 1)))
    steps = b"".join(step(row, number) for row in (0, 1) for number in range(1, 31))
    waits = b"".join(
        collective(row, number, 0, 0.02 + 0.01 * row) for row in (0, 1) for number in range(1, 31)
    )
    states = rank_state(0, 30) + rank_state(1, 30)
    await agent.send(batch(1, steps=steps, collectives=waits, rank_states=states))
    await agent.until_acknowledged(1)


async def test_an_empty_fleet_is_not_called_complete(rig: Rig) -> None:
    """No readings are no evidence of health."""
    fleet = await _fleet(rig)
    assert fleet.health.input_completeness == 0.0
    assert not fleet.nodes


async def test_a_node_that_stops_is_silent_and_its_readings_are_absent(rig: Rig) -> None:
    """Never the last good value."""
    agent = await rig.agent()
    await agent.send(batch(1))
    await agent.until_acknowledged(1)
    assert (await _fleet(rig)).nodes[0].state == "ok"
    await asyncio.sleep(0.5)
    fleet = await _fleet(rig)
    assert fleet.nodes[0].state == "silent"
    assert fleet.nodes[0].gpus[0].state == "silent"
    assert math.isnan(fleet.nodes[0].gpus[0].power_watts)
    assert fleet.nodes[0].gpus[0].reading_age_s > 0.3
    assert fleet.health.input_completeness == 0.0
    assert fleet.health.nodes_reporting == 0


async def test_a_lost_gpu_is_lost_and_its_node_faulty(rig: Rig) -> None:
    """The state that NVML tells is shown without waiting for a rule."""
    block = gpu_block()
    values = bytearray(block.values)
    values[4:8] = b"\x00\x00\x80\x3f"
    block.values = bytes(values)
    agent = await rig.agent()
    await agent.send(batch(1, blocks=[block]))
    await agent.until_acknowledged(1)
    node = (await _fleet(rig)).nodes[0]
    assert [gpu.state for gpu in node.gpus] == ["lost", "ok"]
    assert node.state == "fault"


async def test_a_mig_instance_is_no_gpu_and_has_its_readings(rig: Rig) -> None:
    """Two GPUs, the first with an instance between their rows: two are shown, each with its own values."""
    told = hello()
    second = told.tables[0].devices[1]
    told.tables[0].devices.add().CopyFrom(second)
    second.id, second.name = "MIG-1", "gpu0 1g.10gb"
    block = gpu_block(3)
    values = np.frombuffer(block.values, "<f4").reshape(3, -1).copy()
    values[:, 2:] = [[10.0], [20.0], [30.0]]  # behind state and age
    block.values = values.tobytes()
    agent = await rig.agent(told)
    await agent.send(batch(1, blocks=[block]))
    await agent.until_acknowledged(1)
    (node,) = (await _fleet(rig)).nodes
    assert [(gpu.id, gpu.utilization_percent) for gpu in node.gpus] == [
        ("GPU-n1-0", 10.0),
        ("GPU-n1-1", 30.0),
    ]
    detail = await rig.query.GetNode(query_pb2.GetNodeRequest(node="n1"))
    assert 20.0 in {reading.value for reading in detail.readings if reading.device == "MIG-1"}


async def test_a_drained_node_is_shown_as_drained_and_not_expected(rig: Rig) -> None:
    """Its silence lowers no completeness."""
    message = hello()
    message.labels["drained"] = "true"
    await rig.agent(message)
    await rig.agent(hello("n2", gpus=0))
    fleet = await _fleet(rig)
    assert fleet.nodes[0].state == "drained"
    assert fleet.health.nodes_known == 2


async def test_a_job_is_summed_up_from_its_steps_and_waits(rig: Rig) -> None:
    """Step time, the share of waiting, and who reports."""
    await _running_job(rig)
    (job,) = (await _fleet(rig)).jobs
    assert (job.job, job.state, job.world_size, job.ranks_reporting, job.step) == (
        "train",
        "running",
        2,
        2,
        30,
    )
    assert abs(job.step_s - 0.1) < 1e-6
    assert abs(job.wait_percent - 5.0) < 1e-3
    assert len(job.recent_step_s) == 30


async def test_a_job_in_depth_has_a_row_a_rank_and_waits_a_step(rig: Rig) -> None:
    """The rank that others wait for is late by what they waited longer."""
    await _running_job(rig)
    detail = await rig.query.GetJob(query_pb2.GetJobRequest(job="train", steps=10))
    assert list(detail.steps) == list(range(21, 31))
    assert len(detail.wait_s) == 20
    assert [row.rank for row in detail.ranks] == [0, 1]
    assert abs(detail.ranks[0].late_s - 0.005) < 1e-5
    assert detail.ranks[1].late_s == 0.0
    assert detail.ranks[0].gpu == "GPU-n1-0"
    assert detail.ranks[0].state == Phase.COMPUTE.name.lower()


async def test_a_node_in_depth_has_readings_series_and_events(rig: Rig) -> None:
    """Series have one value a second."""
    agent = await rig.agent()
    await agent.send(batch(1, events=[event(1)]))
    await agent.until_acknowledged(1)
    detail = await rig.query.GetNode(query_pb2.GetNodeRequest(node="n1", seconds=30))
    assert {reading.value for reading in detail.readings} == {0.0, 50.0}
    assert detail.agent_version == "0"
    assert [each.kind for each in detail.events] == ["gpu.recovered"]
    assert all(len(series.values) <= 31 for series in detail.series)
    assert any(50.0 in series.values for series in detail.series)


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("GetIncident", query_pb2.GetIncidentRequest(id="I-999")),
        ("GetJob", query_pb2.GetJobRequest(job="none")),
        ("GetNode", query_pb2.GetNodeRequest(node="none")),
        ("ActOnIncident", query_pb2.IncidentAction(incident="I-999", action="acknowledge", author="ada")),
    ],
)
async def test_what_is_not_there_is_not_found(rig: Rig, call: str, request_: object) -> None:
    """The answer is a status with a sentence."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(rig.query, call)(request_)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert "there is no" in (raised.value.details() or "")


def _open_incident(rig: Rig) -> str:
    (incident,) = rig.collector.book.update(fuse([finding("n1")], rig.collector.answers.view()), time.time())
    return incident.id


async def test_an_act_on_an_incident_is_stored_and_written_down(rig: Rig) -> None:
    """The audit log tells who did what to which incident."""
    number = _open_incident(rig)
    action = query_pb2.IncidentAction(incident=number, action="acknowledge", author="ada", text="mine")
    answer = await rig.query.ActOnIncident(action)
    assert answer.state == "acknowledged"
    stored = rig.collector.store.incident(number)
    assert stored is not None
    assert stored.state == "acknowledged"
    audit = await rig.query.ListAudit(query_pb2.ListAuditRequest(incident=number))
    assert audit.chain_intact
    assert [(each.actor, each.action, each.reason) for each in audit.records] == [
        ("ada", "incident.acknowledge", "mine")
    ]
    assert (await rig.query.GetIncident(query_pb2.GetIncidentRequest(id=number))).id == number
    listed = await rig.query.ListIncidents(query_pb2.ListIncidentsRequest(include_closed=True))
    assert [incident.id for incident in listed.incidents] == [number]


@pytest.mark.parametrize(("author", "action"), [("", "acknowledge"), ("ada", "explode")])
async def test_an_act_that_makes_no_sense_is_refused(rig: Rig, author: str, action: str) -> None:
    """Nothing is written down for it."""
    number = _open_incident(rig)
    with pytest.raises(grpc.aio.AioRpcError):
        await rig.query.ActOnIncident(query_pb2.IncidentAction(incident=number, action=action, author=author))
    assert rig.collector.store.audit_tail() is None


async def test_followers_get_the_fleet_at_once_and_after_every_look(rig: Rig) -> None:
    """At most one a min_interval_s."""
    following = rig.query.FollowFleet(query_pb2.FollowFleetRequest(min_interval_s=0.1))
    walls = [(await following.read()).wall_ns for _ in range(3)]
    assert walls == sorted(set(walls))
    following.cancel()


async def test_a_follower_that_reads_nothing_harms_nobody(rig: Rig) -> None:
    """The others go on."""
    stuck = rig.query.FollowFleet(query_pb2.FollowFleetRequest(min_interval_s=0.1))
    ticks = rig.collector.counters.ticks
    await eventually(lambda: rig.collector.counters.ticks > ticks + 3)
    assert (await _fleet(rig)).collector == "test"
    stuck.cancel()


async def test_states_follow_open_incidents(rig: Rig) -> None:
    """A slow GPU is slow on its node, and its job degraded."""
    await _running_job(rig)
    slow = finding("n1")
    culprit = Subject(kind="rank", node="n1", device="GPU-n1-1", job="train", rank=1)
    slow = replace(slow, kind=IncidentKind.STRAGGLER_COMPUTE, culprit=culprit, severity=Severity.WARNING)
    rig.collector.book.update(fuse([slow], rig.collector.answers.view()), time.time())
    fleet = await _fleet(rig)
    assert fleet.nodes[0].state == "slow"
    assert [gpu.state for gpu in fleet.nodes[0].gpus] == ["ok", "slow"]
    assert fleet.jobs[0].state == "degraded"
    assert fleet.jobs[0].straggler == "train rank 1 (n1)"


async def _with_many_nodes(rig: Rig, count: int) -> None:
    for number in range(count):
        rig.collector.fleet.remember(f"node-with-a-long-name-{number:06d}", 1.0, 1.0)


async def _read_on(call: Any) -> None:
    while await call.read():
        pass


async def test_a_follower_that_does_not_read_is_let_go_and_holds_nobody_up(rig: Rig) -> None:
    """Its call ends after a while; batches and the other followers go on meanwhile."""
    await _with_many_nodes(rig, 16_000)
    rig.collector._query.stuck_s = 3.0
    stuck = rig.query.FollowFleet(query_pb2.FollowFleetRequest(min_interval_s=0.1))
    reading = rig.query.FollowFleet(query_pb2.FollowFleetRequest(min_interval_s=0.1))
    agent = await rig.agent()
    for sequence in range(1, 6):
        await agent.send(batch(sequence))
        await agent.until_acknowledged(sequence)
        assert len((await reading.read()).nodes) >= 16_000
    draining = asyncio.create_task(_read_on(reading))
    await eventually(lambda: rig.collector._query.followers == 1)
    draining.cancel()
    stuck.cancel()


async def test_more_followers_than_there_is_room_for_are_told_so(rig: Rig) -> None:
    """What waits for a follower is a whole fleet: their number is bounded."""
    rig.collector._query.most_followers = 3
    calls = [rig.query.FollowFleet(query_pb2.FollowFleetRequest()) for _ in range(3)]
    for call in calls:
        await call.read()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rig.query.FollowFleet(query_pb2.FollowFleetRequest()).read()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for call in calls:
        call.cancel()
    await eventually(lambda: rig.collector._query.followers == 0)


async def test_pages_of_nodes_make_up_the_fleet(rig: Rig) -> None:
    """A client with a small limit takes the nodes page by page, each once and in order."""
    await _with_many_nodes(rig, 25)
    pages = [
        await rig.query.GetFleet(query_pb2.GetFleetRequest(first_node=first, most_nodes=10))
        for first in (0, 10, 20)
    ]
    assert [len(page.nodes) for page in pages] == [10, 10, 5]
    whole = await rig.query.GetFleet(query_pb2.GetFleetRequest())
    assert [node.node for page in pages for node in page.nodes] == [node.node for node in whole.nodes]
