"""A collector that is killed, stopped or kept from its disk, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from sqlalchemy import create_engine, text
from tests.collector.alerts.conftest import Receiver
from tests.collector.collector_process import main as collector_main
from tests.collector.rig import Client, batch, event, eventually, hello
from tests.collector.rig import running as rig_of
from tests.collector.servers import free_port, new_database, postgres

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.engine import sqlite_url
from ringwatch_collector.store.store import Store
from ringwatch_collector.view import SeenEvent
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver of alerts."""
    made = Receiver()
    yield made
    made.close()


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


class SpooledNode:
    """An agent with its spool: what was not acknowledged is sent again, byte for byte, in order."""

    def __init__(self, name: str, most: int, xid_at: int) -> None:
        self.name = name
        self.most = most
        self.acknowledged = 0
        self._xid_at = xid_at
        self._spool: dict[int, wire.Batch] = {}

    def _batch(self, sequence: int) -> wire.Batch:
        if sequence not in self._spool:
            self._spool[sequence] = batch(sequence, blocks=[], events=[self._event(sequence)])
        return self._spool[sequence]

    def _event(self, sequence: int) -> wire.Event:
        if sequence != self._xid_at:
            return event(sequence, kind="source.up")
        line = event(sequence, kind="gpu.xid", text="GPU has fallen off the bus.")
        line.code, line.severity, line.device = 79, wire.SEVERITY_CRITICAL, f"GPU-{self.name}-0"
        return line

    async def report(self, address: str) -> None:
        """Report until everything is acknowledged, through as many collectors as it takes."""
        while self.acknowledged < self.most:
            # Each dial on its own: a shared pool would wait longer after each refusal.
            async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                client = Client(channel)
                try:
                    await client.greet(hello(self.name, spool=self.name))
                    await self._send(client)
                except (AssertionError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await asyncio.sleep(0.1)
                self._heard(client.acknowledged)

    async def _send(self, client: Client) -> None:
        for sequence in range(self.acknowledged + 1, self.most + 1):
            await client.send(self._batch(sequence))
            if sequence % 5 == 0 or sequence == self.most:
                await client.until_acknowledged(sequence)
                self._heard(client.acknowledged)
                await asyncio.sleep(0.02)

    def _heard(self, acknowledged: int) -> None:
        self.acknowledged = max(self.acknowledged, acknowledged)


class Lives:
    """Collectors one after the other on one address and one database, each forked from a process
    that has imported everything, so that fifty lives take seconds."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._arguments = ["run", "--listen", self.address, "--data-dir", str(folder), *settings]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.collector.collector_process"])
        self._life: ForkServerProcess | None = None

    def begin(self) -> None:
        """Start a collector."""
        self._life = self._context.Process(target=collector_main, args=(self._arguments,))
        self._life.start()

    async def kill(self) -> None:
        """Kill it with -9; it must have lived until then."""
        assert self._life is not None
        assert self._life.exitcode is None, "it died by itself"
        assert self._life.pid is not None
        os.kill(self._life.pid, signal.SIGKILL)
        await asyncio.to_thread(self._life.join)
        self._life.close()


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return rows


def _stored(url: str) -> list[tuple[str, int]]:
    return sorted(_rows(url, "select spool, event_id from events"))


def _incidents(url: str) -> list[str]:
    rows = _rows(url, "select document from incidents where kind = 'gpu.off_bus'")
    return sorted(json.loads(document)["culprit"].get("node", "") for (document,) in rows)


async def _lives_of_random_length(lives: Lives, nodes: Sequence[SpooledNode], kills: int) -> None:
    """Kill four of five collectors while they take events, the fifth while it starts."""
    chance = random.Random(50)
    for life in range(kills):
        before = sum(node.acknowledged for node in nodes)
        lives.begin()
        if life % 5:
            await eventually(lambda before=before: sum(node.acknowledged for node in nodes) > before)
        await asyncio.sleep(chance.uniform(0.0, 0.25))
        await lives.kill()


def _telling(folder: Path, receiver: Receiver) -> str:
    """Write settings that tell the receiver of every incident."""
    (folder / "secret").write_text("secret")
    file = folder / "collector.toml"
    file.write_text(
        f'[alerts]\nwebhook = "{receiver.url}"\nwebhook_secret_file = "{folder / "secret"}"\nhold_s = 0.0\n'
    )
    return str(file)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    with postgres() as server:
        yield new_database(server)


@pytest.mark.timeout(300)
async def test_kill_9_at_50_random_moments_loses_nothing_and_doubles_nothing(
    tmp_path: Path, receiver: Receiver, url: str
) -> None:
    """Every event sent before and after is stored once; each broken GPU has one incident, told under one key.

    Fifty kills on SQLite, ten on PostgreSQL, whose server is not what is killed.
    """
    nodes = [SpooledNode(f"n{at}", 5_000, xid_at=20 + 25 * at) for at in range(4)]
    lives = Lives(tmp_path, "--database-url", url, "--config", _telling(tmp_path, receiver))
    reporting = [asyncio.create_task(node.report(lives.address)) for node in nodes]
    await _lives_of_random_length(lives, nodes, 50 if url.startswith("sqlite") else 10)
    for node in nodes:
        node.most = max(node.acknowledged + 200, 300)
    lives.begin()
    await asyncio.gather(*reporting)
    names = [node.name for node in nodes]
    await eventually(lambda: set(_incidents(url)) == set(names))
    opened = ("opened", "gpu.off_bus")
    await eventually(
        lambda: len({key for *what, key in _told(receiver) if tuple(what) == opened}) >= len(nodes)
    )
    await lives.kill()
    assert _stored(url) == [
        (node.name, number) for node in nodes for number in range(1, node.acknowledged + 1)
    ]
    assert _incidents(url) == names
    assert len({key for *what, key in _told(receiver) if tuple(what) == opened}) == len(nodes)


def _told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(body["what"], body["incident"]["kind"], body["key"]) for body in receiver.bodies]


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


async def test_an_event_that_was_stored_and_not_judged_before_a_kill_is_judged_after_a_long_outage(
    tmp_path: Path,
) -> None:
    """What came in the last seconds of a collector counts as having come now."""
    ago_s = time.time() - 600.0
    store = Store(sqlite_url(tmp_path), Counters())
    xid = SeenEvent(
        node="n1", at_s=ago_s, received_s=ago_s, kind="gpu.xid", severity=3, source="kmsg", device="GPU-n1-0",
        code=79, text="GPU has fallen off the bus.", fields={}, backfill=False,
    )  # fmt: skip
    await store.put_events("s1", [(1, 5, xid)])
    store.note_progress("n1", "s1", 1, ago_s)
    store.close()
    async with rig_of(tmp_path) as rig:
        await eventually(lambda: [each.kind for each in rig.collector.book.all()] == ["gpu.off_bus"])


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
    assert len(_stored(sqlite_url(tmp_path))) == 1


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
    assert [number for _, number in _stored(sqlite_url(tmp_path))] == [1, 2]


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
