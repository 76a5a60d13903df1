"""Series in a real VictoriaMetrics, and what the History call makes of them."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from tests.collector.alerts.outgoing import eventually
from tests.collector.rig import batch, gpu_block, running
from tests.collector.servers import free_port, victoria_metrics

from ringwatch_collector.alerts.http import client
from ringwatch_collector.counters import Counters
from ringwatch_collector.history.ask import ask_of
from ringwatch_collector.history.database import query_of
from ringwatch_collector.history.sender import Encoder, Sender
from ringwatch_collector.history.snapshot import Snapshot, TableSnapshot
from ringwatch_proto.signals import Table
from ringwatch_proto.v1 import query_pb2

POWER = "gpu.power_watts"


def snapshot(at_s: float, node: str, values: list[float]) -> Snapshot:
    """Return a snapshot of one node's GPUs."""
    table = TableSnapshot(
        table=Table.GPU,
        node_of=np.zeros(len(values), np.int64),
        names=[node],
        devices=[f"GPU-{at}" for at in range(len(values))],
        values={"ringwatch_gpu_power_watts": np.array(values, np.float32)},
    )
    return Snapshot(at_s=at_s, tables=[table], singles=[])


def asked(**fields: Any) -> query_pb2.HistoryRequest:
    """Ask for the power of node n1, or for what the fields say."""
    return query_pb2.HistoryRequest(**{"series": POWER, "node": "n1", **fields})


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _write(url: str, *snapshots: Snapshot) -> None:
    """Write snapshots at once."""
    with client(10.0) as http:
        for each in snapshots:
            for body in Encoder().bodies(each):
                headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
                assert http.post(f"{url}/api/v1/write", content=body.content, headers=headers).is_success
        http.get(f"{url}/internal/force_flush")


async def test_what_was_written_is_answered_with_its_gaps(tmp_path: Path, database: str) -> None:
    """A GPU that was silent for two minutes has two minutes without points."""
    now_s, node = time.time(), "history-gap"
    times = [now_s - 1200.0 + 15.0 * at for at in range(40) if not 16 <= at < 24]
    _write(database, *[snapshot(at_s, node, [at_s - now_s, math.nan, 5.0]) for at_s in times])
    async with running(tmp_path, history={"url": database, "interval_s": 15.0}) as rig:
        reply = await rig.query.History(
            asked(node=node, from_ns=_ns(now_s - 1230), to_ns=_ns(now_s - 600), step_s=30.0)
        )
    assert (reply.source, reply.step_s, reply.resolution_s, reply.unit) == (
        "victoriametrics",
        30.0,
        15.0,
        "W",
    )
    assert [line.device for line in reply.lines] == ["GPU-0", "GPU-2"]
    values = np.array(reply.lines[0].values)
    times_s = reply.first_ns / 1e9 + 30.0 * np.arange(values.size)
    gap = (times_s > now_s - 960.0 + 0.1) & (times_s <= now_s - 855.0)
    assert np.isnan(values[gap]).all()
    assert gap.sum() >= 3
    known = ~np.isnan(values)
    assert known.sum() >= 14
    assert np.abs(values[known] - (times_s[known] - now_s - 15.0)).max() <= 15.0


async def test_the_last_minutes_are_answered_from_memory_without_a_database(tmp_path: Path) -> None:
    """And it says how far memory goes."""
    async with running(tmp_path) as rig:
        agent = await rig.agent()
        for at in range(3):
            await agent.send(batch(at + 1, blocks=[gpu_block(2, 300.0 + at)]))
            await asyncio.sleep(1.0)
        await eventually(lambda: rig.collector.counters.batches_taken == 3)
        now_s = time.time()
        reply = await rig.query.History(asked(from_ns=_ns(now_s - 10), step_s=1.0))
        assert (reply.source, reply.step_s) == ("memory", 1.0)
        assert [line.device for line in reply.lines] == ["GPU-n1-0", "GPU-n1-1"]
        assert [value for value in reply.lines[0].values if not math.isnan(value)] == [300.0, 301.0, 302.0]
        longer = await rig.query.History(asked(from_ns=_ns(now_s - 7200), device="GPU-n1-1"))
        assert longer.source == "memory"
        assert "no history database is set" in longer.note
        assert [line.device for line in longer.lines] == ["GPU-n1-1"]


async def test_a_running_collector_writes_its_series_and_its_own_tail_completes_an_answer(
    tmp_path: Path, database: str
) -> None:
    """Old points from the database, the newest from memory, and both are named."""
    now_s = time.time()
    _write(database, *[snapshot(now_s - 900 + 15 * at, "n1", [111.0]) for at in range(20)])
    async with running(tmp_path, history={"url": database, "interval_s": 1.0}) as rig:
        agent = await rig.agent()
        lines: dict[str, list[float]] = {}
        sequence = 0
        while not (rig.collector.counters.history["samples_sent"] and lines.get("GPU-n1-0")):
            sequence += 1
            await agent.send(batch(sequence, blocks=[gpu_block(2, 250.0)]))
            await asyncio.sleep(0.3)
            reply = await rig.query.History(asked(from_ns=_ns(now_s - 1000), step_s=2.0))
            lines = {
                line.device: [value for value in line.values if not math.isnan(value)] for line in reply.lines
            }
    assert lines["GPU-0"][0] == 111.0
    assert lines["GPU-n1-0"][-1] == 250.0
    assert reply.source.startswith("victoriametrics")


async def test_a_database_that_is_down_costs_no_ingest_and_is_told_in_the_answer(tmp_path: Path) -> None:
    """Memory answers what it can."""
    settings = {"url": f"http://127.0.0.1:{free_port()}", "interval_s": 1.0}
    async with running(tmp_path, history=settings) as rig:
        agent = await rig.agent()
        await agent.send(batch(1, blocks=[gpu_block(2, 300.0)]))
        await agent.until_acknowledged(1)
        await eventually(lambda: rig.collector.counters.history["failures"] > 0)
        reply = await rig.query.History(asked(from_ns=_ns(time.time() - 7200)))
    assert reply.source == "memory"
    assert "history database: ConnectError" in reply.note


async def test_samples_wait_for_a_database_that_comes_back(tmp_path: Path) -> None:
    """In order, with the times at which they were read."""
    port, counters = free_port(), Counters()
    url = f"http://127.0.0.1:{port}"
    sender = Sender(client(5.0), f"{url}/api/v1/write", 1 << 20, counters)
    sender.start()
    now_s = time.time()
    for at in range(3):
        sender.offer(snapshot(now_s - 60 + 20 * at, "n1", [float(at)]))
        await asyncio.sleep(0.2)
    await eventually(lambda: counters.history["failures"] > 0)
    with victoria_metrics(tmp_path, port):
        await eventually(lambda: counters.history["samples_sent"] == 3)
        httpx.get(f"{url}/internal/force_flush", trust_env=False)
        export = httpx.get(f"{url}/api/v1/export", params={"match[]": '{node="n1"}'}, trust_env=False).json()
    sender.stop(5.0)
    assert export["values"] == [0, 1, 2]
    assert export["timestamps"] == [round((now_s - 60 + 20 * at) * 1000) for at in range(3)]


async def test_what_does_not_fit_the_queue_is_dropped_oldest_first_and_counted() -> None:
    """A database that is down for a day does not fill the memory."""
    counters = Counters()
    sender = Sender(client(5.0), f"http://127.0.0.1:{free_port()}/write", 2000, counters)
    sender.start()
    rng = np.random.default_rng(1)
    for at in range(40):
        sender.offer(snapshot(1e9 + at, "n1", rng.uniform(0, 700, 10).tolist()))
        await eventually(lambda: sender.idle)
    sender.stop(5.0)
    dropped = counters.history["samples_dropped"]
    assert dropped + 10 * counters.history["snapshot_overtaken"] == 400
    assert counters.history["samples_sent"] == 0


def test_names_cannot_break_out_of_a_query() -> None:
    """A node's name is data."""
    request = asked(node='n1"} or up{x="', device="a\\b\nc", from_ns=_ns(1e9))
    assert query_of(ask_of(request, 1e9 + 3600.0), 60.0) == (
        'avg_over_time(ringwatch_gpu_power_watts{node="n1\\"} or up{x=\\"",device="a\\\\b\\nc"}[60000ms])'
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"series": "gpu.beauty"}, "no series"),
        ({"node": ""}, "name it"),
        ({"series": "job.step_s"}, "name it"),
        ({"from_ns": _ns(3e9)}, "begin before it ends"),
        ({"from_ns": 1}, "400 days"),
        ({"step_s": float("nan")}, "step_s"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_a_sentence(
    tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    """And nothing is guessed."""
    async with running(tmp_path) as rig:
        with pytest.raises(grpc.aio.AioRpcError, match=says) as caught:
            await rig.query.History(asked(**({"from_ns": _ns(time.time() - 60)} | fields)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
