"""Several collectors as one fleet: real processes, a real NATS, a real PostgreSQL, and kill -9."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from tests.collector.bus.fleet import SimulatedNode, Site, fleet_of, until
from tests.collector.rig import batch, event, gpu_block, hello, rank_state, step

from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_proto.records import Incident, IncidentKind
from ringwatch_proto.signals import GpuState
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire


@pytest.fixture
def site(tmp_path: Path, bus: str, database: str) -> Iterator[Site]:
    """Give a place to start collectors in; all are stopped at the end."""
    made = Site(tmp_path, bus, database)
    yield made
    made.close()


def _job_hello(number: int) -> wire.Hello:
    """Return a Hello of a node that runs two of the eight ranks of a job."""
    return hello(f"n{number}", ranks=2, first_rank=2 * number, world_size=8, job="llm")


def _job_batch(sequence: int, events: Sequence[wire.Event]) -> wire.Batch:
    """Return a batch in which both ranks finish a step."""
    steps = b"".join(step(row, sequence, step_s=0.2) for row in range(2))
    states = b"".join(rank_state(row, sequence) for row in range(2))
    return batch(sequence, events=events, steps=steps, rank_states=states)


async def test_a_job_whose_nodes_report_to_different_collectors_is_judged_by_one_detector(site: Site) -> None:
    """One row, all of its ranks; and the whole fleet, in breadth and depth, from every collector."""
    first, second = site.start("ingest"), site.start("ingest")
    detectors = [site.start("detect"), site.start("detect")]
    greetings = [*(_job_hello(number) for number in range(4)), hello("n4"), hello("n5")]
    nodes = [
        SimulatedNode(greeting.node, [[first, second][number % 2].address], greeting)
        for number, greeting in enumerate(greetings)
    ]
    for node in nodes:
        node.build = _job_batch if node.greeting.ranks else _quiet_batch
        node.start()
    try:
        for process in (first, *detectors):

            async def whole(address: str = process.address) -> bool:
                fleet = await fleet_of(address)
                jobs = [(job.job, job.ranks_reporting, job.nodes) for job in fleet.jobs]
                return jobs == [("llm", 8, 4)] and len(fleet.nodes) == 6 and not fleet.health.troubles

            await until(whole, site)
        async with grpc.aio.insecure_channel(first.address) as channel:
            query: Any = query_pb2_grpc.QueryStub(channel)
            detail = await query.GetJob(query_pb2.GetJobRequest(job="llm"))
            assert sorted(row.node for row in detail.ranks) == sorted(2 * ["n0", "n1", "n2", "n3"])
            found = await query.GetNode(query_pb2.GetNodeRequest(node="n3"))
            assert found.summary.job == "llm"
            act = query_pb2.IncidentAction(incident="I-99-1", action="note", author="ada", text="x")
            with pytest.raises(grpc.aio.AioRpcError, match="no detector has incident"):
                await query.ActOnIncident(act)
    finally:
        for node in nodes:
            await node.stop()


@pytest.fixture
def pages() -> Iterator[tuple[str, list[str]]]:
    """Run a receiver of webhooks; yield its address and the keys that it was sent."""
    keys: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(str(self.headers["Idempotency-Key"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", keys
    server.shutdown()
    thread.join()
    server.server_close()


def _quiet_batch(sequence: int, events: Sequence[wire.Event], first: float = GpuState.OK) -> wire.Batch:
    """Return a batch of a node that reads no more of its two GPUs than that they are well."""
    block = gpu_block()
    values = np.full((block.rows, block.columns), np.nan, "<f4")
    values[:, 0], values[:, 1] = 0.0, GpuState.OK
    values[0, 1] = first
    block.values = values.tobytes()
    return batch(sequence, blocks=[block], events=events)


def lost_batch(sequence: int, events: Sequence[wire.Event]) -> wire.Batch:
    """Return a batch of a node of which one GPU is lost."""
    return _quiet_batch(sequence, events, GpuState.LOST)


async def test_kill_9_of_each_in_turn_loses_no_event_and_pages_once(
    site: Site, pages: tuple[str, list[str]], database: str
) -> None:
    """A detector, an ingest collector, a detector that is only paused: the work moves each time."""
    url, keys = pages
    (site.folder / "secret").write_text("s3cret")
    site.settings = (
        f'[alerts]\nwebhook = "{url}"\nwebhook_secret_file = "{site.folder}/secret"\nhold_s = 0.5\n'
    )
    ingests = [site.start("ingest"), site.start("ingest")]
    detectors = [site.start("detect"), site.start("detect")]
    addresses = [each.address for each in ingests]
    nodes = [
        SimulatedNode(f"n{number}", addresses[number % 2 :] + addresses[: number % 2], hello(f"n{number}"))
        for number in range(6)
    ]
    for node in nodes:
        node.build = lost_batch if node is nodes[0] else _quiet_batch
        node.start()
    talking = asyncio.create_task(_talk(nodes))
    watched = ingests[1].address
    store = Store(database, Counters())
    try:

        async def well() -> bool:
            fleet = await fleet_of(watched)
            fresh = [node for node in fleet.nodes if node.last_seen_age_s < 3.0]
            return len(fresh) == 6 and not fleet.health.troubles

        async def paged() -> bool:
            # Noted too: who is killed between sending and noting sends again, as at least once means.
            return bool(keys) and not store.untold_notices()

        await until(well, site)
        await until(paged, site)
        for victim in (detectors[0], ingests[0]):
            victim.kill()
            await until(_after(store, nodes), site)
            detectors += [site.start("detect")] if victim in detectors else []
        # Paused as a machine that swaps or moves is: it comes back and finds its work taken.
        detectors[1].running.send_signal(signal.SIGSTOP)
        await until(_after(store, nodes), site)
        await asyncio.sleep(1.0)
        detectors[1].running.send_signal(signal.SIGCONT)
        await asyncio.sleep(2.0)
        await until(_after(store, nodes), site)
        talking.cancel()

        async def settled() -> bool:
            return not any(node.waiting > 8 for node in nodes)

        await until(settled, site)
        await asyncio.sleep(2.0)
    finally:
        talking.cancel()
        for node in nodes:
            await node.stop()
        store.close()
    _check_stored(database, nodes)
    # On a busy machine a node that has to dial again may count as silent for a while.
    lost = [each for each in _incidents(database) if each.kind is IncidentKind.GPU_OFF_BUS]
    assert len(lost) == 1
    opened = [key for key in keys if "/opened/" in key]
    assert f"{lost[0].id}/opened/0" in opened
    assert len(opened) == len(set(opened))


def _after(store: Store, nodes: list[SimulatedNode]) -> Callable[[], Awaitable[bool]]:
    """Return whether every node's events of after now are stored: whoever has its partition works."""
    said = {node.name: max(node.events_said) + 1 for node in nodes}

    async def stored() -> bool:
        for name, number in said.items():
            newest = await asyncio.to_thread(store.events, node=name, limit=1)
            if not newest or newest[-1][1] < number:
                return False
        return True

    return stored


async def _talk(nodes: list[SimulatedNode]) -> None:
    """Have every node say an event four times a second."""
    for number in itertools.count(1):
        for node in nodes:
            node.say(event(number, text=f"event {number}"))
        await asyncio.sleep(0.25)


def _check_stored(database: str, nodes: list[SimulatedNode]) -> None:
    """Every event that was said is stored once, and no other."""
    store = Store(database, Counters())
    try:
        for node in nodes:
            stored = sorted(number for _, number, _ in store.events(node=node.name, limit=100_000))
            said = [each for each in node.events_said if each <= max(stored)]
            assert stored == said, (node.name, len(stored), len(said))
            assert len(node.events_said) - len(stored) <= 8
    finally:
        store.close()


def _incidents(database: str) -> list[Incident]:
    store = Store(database, Counters())
    try:
        return store.newest_incidents(100)
    finally:
        store.close()
