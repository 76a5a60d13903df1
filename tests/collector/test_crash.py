"""A collector that is killed, stopped or kept from its disk, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import grpc.aio
from tests.collector.rig import Client, batch, event, eventually, hello
from tests.collector.rig import running as rig_of

from ringwatch_proto.v1 import query_pb2, query_pb2_grpc


@contextmanager
def process(folder: Path, listen: str = "127.0.0.1:0") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``python -m ringwatch_collector run`` and yield it with its address."""
    command = [
        sys.executable,
        "-m",
        "ringwatch_collector",
        "run",
        "--listen",
        listen,
        "--data-dir",
        str(folder),
    ]
    with (folder / "log").open("a") as log:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, (folder / "log").read_text()
        yield running, json.loads(line)["listening"]
    finally:
        running.kill()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()


async def _send_until_killed(address: str, spool: str, acknowledged: dict[str, int], most: int) -> None:
    """Report from the first unacknowledged batch on, one event in each, until the stream breaks."""
    async with grpc.aio.insecure_channel(address) as channel:
        client = Client(channel)
        try:
            await client.greet(hello(spool, spool=spool))
            for sequence in range(acknowledged[spool] + 1, most + 1):
                await client.send(batch(sequence, events=[event(sequence)]))
                if sequence % 7 == 0:
                    await client.until_acknowledged(sequence)
            await client.until_acknowledged(most)
        except (AssertionError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        acknowledged[spool] = max(acknowledged[spool], client.acknowledged)


def _stored(folder: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(folder / "ringwatch.db")) as database:
        return database.execute("select spool, event_id from events order by spool, event_id").fetchall()


async def test_kill_9_under_load_loses_no_acknowledged_event_and_doubles_none(tmp_path: Path) -> None:
    """After each kill the agents send again from their last acknowledgement."""
    spools, most = ("a", "b"), 2000
    acknowledged = dict.fromkeys(spools, 0)
    for life in range(3):
        with process(tmp_path) as (running, address):
            sending = [
                asyncio.create_task(_send_until_killed(address, spool, acknowledged, most))
                for spool in spools
            ]
            await asyncio.sleep(0.15 + 0.1 * life)
            running.send_signal(signal.SIGKILL)
            await asyncio.gather(*sending)
        stored = set(_stored(tmp_path))
        for spool in spools:
            assert {(spool, number) for number in range(1, acknowledged[spool] + 1)} <= stored
    with process(tmp_path) as (_, address):
        await asyncio.gather(*(_send_until_killed(address, spool, acknowledged, most) for spool in spools))
    assert acknowledged == dict.fromkeys(spools, most)
    assert _stored(tmp_path) == [(spool, number) for spool in spools for number in range(1, most + 1)]


async def test_a_killed_collector_still_knows_the_nodes_and_events_of_before(tmp_path: Path) -> None:
    """A node that stays away after the restart is shown as silent, not forgotten."""
    with process(tmp_path) as (running, address):
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.greet(hello())
            await client.send(batch(1, events=[event(1)]))
            await client.until_acknowledged(1)
        running.send_signal(signal.SIGKILL)
        running.wait()
    async with rig_of(tmp_path) as rig:
        fleet = await rig.query.GetFleet(query_pb2.GetFleetRequest())
        assert [(node.node, node.state) for node in fleet.nodes] == [("n1", "unknown")]
        assert fleet.health.input_completeness == 0.0
        assert [seen.kind for seen in rig.collector.answers.view().events] == ["gpu.recovered"]
        agent = await rig.agent()
        await agent.send(batch(1, events=[event(1)]))
        await agent.until_acknowledged(1)
        assert rig.collector.counters.batches_duplicate == 1
        assert len(rig.collector.store.events()) == 1


async def test_sigterm_ends_the_process_with_0_and_says_goodbye_to_agents(tmp_path: Path) -> None:
    """A stop is orderly: what was sent is stored, and agents know why the stream ended."""
    with process(tmp_path) as (running, address):
        async with grpc.aio.insecure_channel(address) as channel:
            client = Client(channel)
            await client.greet(hello())
            await client.send(batch(1, events=[event(1)]))
            await client.until_acknowledged(1)
            running.send_signal(signal.SIGTERM)
            refusal = await client.until_end()
        assert await asyncio.to_thread(running.wait, 3.0) == 0
    assert refusal is not None
    assert "stopping" in refusal.reason
    assert len(_stored(tmp_path)) == 1


async def test_a_second_collector_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two would write over each other."""
    with process(tmp_path):
        command = [sys.executable, "-m", "ringwatch_collector", "run", "--listen", "127.0.0.1:0"]
        other = await asyncio.create_subprocess_exec(
            *command, "--data-dir", str(tmp_path), stderr=asyncio.subprocess.PIPE
        )
        _, said = await other.communicate()
    assert other.returncode == 2
    assert b"another collector uses it" in said


async def test_a_full_disk_withholds_acknowledgements_says_so_and_recovers(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: what SQLite sees is a write that fails."""
    with process(tmp_path) as (running, address):
        async with grpc.aio.insecure_channel(address) as channel:
            query = query_pb2_grpc.QueryStub(channel)
            client = Client(channel)
            await client.greet(hello())
            await client.send(batch(1, events=[event(1)]))
            await client.until_acknowledged(1)
            _, hard = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (0, hard))
            await client.send(batch(2, events=[event(2)]))
            await client.send(batch(3))
            deadline = time.monotonic() + 20
            health = (await query.GetFleet(query_pb2.GetFleetRequest())).health
            while not health.troubles or health.batches_taken < 3:
                assert time.monotonic() < deadline, "no trouble was shown"
                await asyncio.sleep(0.1)
                health = (await query.GetFleet(query_pb2.GetFleetRequest())).health
            assert "not acknowledged" in health.troubles[0]
            assert client.acknowledged == 1
            resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (hard, hard))
            await client.until_acknowledged(3)
            fleet = await query.GetFleet(query_pb2.GetFleetRequest())
            assert not fleet.health.troubles
    assert [number for _, number in _stored(tmp_path)] == [1, 2]


async def test_a_locked_database_withholds_acknowledgements_and_recovers(tmp_path: Path) -> None:
    """Someone else's long transaction is waited out; nothing is lost and nothing is claimed."""
    async with rig_of(tmp_path, store_retry_s=0.05) as rig:
        agent = await rig.agent()
        with closing(sqlite3.connect(tmp_path / "ringwatch.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            await agent.send(batch(1, events=[event(1)]))
            await eventually(lambda: bool(rig.collector.store.trouble))
            assert "locked" in rig.collector.store.trouble
            assert rig.collector.counters.store_failures > 0
            other.execute("rollback")
        await agent.until_acknowledged(1)
        await eventually(lambda: not rig.collector.store.trouble)
        assert os.path.getsize(tmp_path / "ringwatch.db") > 0
