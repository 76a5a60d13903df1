"""What happens between an ingest collector and a detector, both in this process, over a real NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from tests.collector.bus.conftest import nats_server
from tests.collector.bus.fleet import PARTITIONS
from tests.collector.bus.test_bus import lost_batch
from tests.collector.rig import Client, batch, event, eventually, hello
from tests.collector.servers import free_port

from ringwatch_collector.bus.app import DetectCollector, IngestCollector
from ringwatch_collector.bus.partitions import number_of
from ringwatch_collector.config import load_config
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire


@dataclass(slots=True)
class Pair:
    """An ingest collector and a detector."""

    ingest: IngestCollector
    detect: DetectCollector
    channel: grpc.aio.Channel

    async def node(self, greeting: wire.Hello) -> Client:
        """Open a stream that was welcomed."""
        client = Client(self.channel)
        await client.greet(greeting)
        return client

    def homes(self, node: str) -> list[int]:
        """Return the partitions in which a node is expected to report."""
        return [
            cell.partition
            for cell in self.detect.detection.cells.values()
            if (known := cell.fleet.nodes.get(node)) is not None and known.hello is not None
        ]


def _flags(folder: Path, role: str, bus: str, database: str) -> dict[str, object]:
    return {
        "listen": "127.0.0.1:0",
        "name": role,
        "role": role,
        "data_dir": str(folder / role),
        "database_url": database,
        "bus": {
            "url": bus,
            "partitions": PARTITIONS,
            "keep_gib": 0.25,
            "replay_s": 60.0,
            "gather_ms": 5.0,
            "connect_s": 2.0,
        },
    }


@asynccontextmanager
async def pair(folder: Path, bus: str, database: str) -> AsyncIterator[Pair]:
    """Run both until the end of the block."""
    detect = DetectCollector(load_config(None, {}, _flags(folder, "detect", bus, database)))
    ingest = IngestCollector(load_config(None, {}, _flags(folder, "ingest", bus, database)))
    await detect.start()
    port = await ingest.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            made = Pair(ingest, detect, channel)
            await eventually(lambda: len(detect.detection.cells) == PARTITIONS)
            await eventually(lambda: all(cell.is_live for cell in detect.detection.cells.values()))
            yield made
    finally:
        await ingest.stop()
        await detect.stop()


def _stored(running: Pair, node: str) -> Sequence[int]:
    return sorted(number for _, number, _ in running.detect.store.events(node=node))


async def test_nats_may_be_away_and_nothing_is_lost_or_acknowledged_early(
    tmp_path: Path, database: str
) -> None:
    """While it is away nothing is acknowledged and that is said; once it is back all is stored, once."""
    port = free_port()
    with nats_server(tmp_path / "nats", port) as bus:
        running = pair(tmp_path, bus, database)
        both = await running.__aenter__()
        client = await both.node(hello("n1"))
        await client.send(batch(1, events=[event(1)]))
        await client.until_acknowledged(1)
    try:
        for number in range(2, 6):
            await client.send(batch(number, events=[event(number)]))
        await eventually(lambda: both.ingest.intake.trouble)
        assert client.acknowledged == 1
        with nats_server(tmp_path / "nats", port):
            await client.until_acknowledged(5)
            await eventually(lambda: _stored(both, "n1") == [1, 2, 3, 4, 5])
            await eventually(lambda: not both.ingest.intake.trouble)
            await client.close()
            await running.__aexit__(None, None, None)
    except BaseException:
        await running.__aexit__(None, None, None)
        raise


async def test_a_node_that_takes_up_a_job_moves_and_is_missed_nowhere(
    tmp_path: Path, bus: str, database: str
) -> None:
    """Its old partition lets go of it, also when another ingest collector took the Hello before."""
    job = next(
        f"job{number}"
        for number in range(100)
        if number_of(f"job job{number}", PARTITIONS) != number_of("node n1", PARTITIONS)
    )
    async with pair(tmp_path, bus, database) as running:
        client = await running.node(hello("n1"))
        await client.send(batch(1))
        await eventually(lambda: running.homes("n1") == [number_of("node n1", PARTITIONS)])
        await client.send(hello("n1", schema_id=2, ranks=2, job=job))
        await client.send(batch(2, schema_id=2))
        await eventually(lambda: running.homes("n1") == [number_of(f"job {job}", PARTITIONS)])
        left = running.detect.detection.cells[number_of("node n1", PARTITIONS)]
        assert not left.fleet.nodes.view().first_seen_s[0]
        await client.close()
        # As after a restart of the ingest collector: only the bus knows where the node was.
        running.ingest.intake._routes.clear()
        client = await running.node(hello("n1", spool="s2"))
        await client.send(batch(1))
        await eventually(lambda: running.homes("n1") == [number_of("node n1", PARTITIONS)])


async def test_the_end_of_a_stream_and_what_is_not_valid_reach_the_detector(
    tmp_path: Path, bus: str, database: str
) -> None:
    """A closed stream shows as closed; a batch that means nothing is refused before the bus."""
    async with pair(tmp_path, bus, database) as running:
        cell = running.detect.detection.cells[number_of("node n1", PARTITIONS)]
        client = await running.node(hello("n1"))
        await client.send(batch(1))
        await eventually(lambda: cell.fleet.nodes.get("n1") is not None and cell.fleet.nodes.connected[0])
        await client.send(batch(2, schema_id=9))
        refusal = await client.until_end()
        assert refusal is not None
        assert "schema 9" in refusal.reason
        await eventually(lambda: not cell.fleet.nodes.connected[0])


async def test_a_detector_that_starts_later_reads_what_was_there_and_stores_it(
    tmp_path: Path, bus: str, database: str
) -> None:
    """Batches wait on the bus; history older than the replay is skipped, events never."""
    ingest = IngestCollector(load_config(None, {}, _flags(tmp_path, "ingest", bus, database)))
    port = await ingest.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = Client(channel)
        await client.greet(hello("n1"))
        for number in range(1, 4):
            await client.send(batch(number, events=[event(number)]))
        await client.until_acknowledged(3)
        await client.close()
    await ingest.stop()
    async with pair(tmp_path, bus, database) as running:
        await eventually(lambda: _stored(running, "n1") == [1, 2, 3])


async def test_people_act_and_silence_from_any_collector(tmp_path: Path, bus: str, database: str) -> None:
    """The detector that has the incident acts; one keeps the silences, and all of them respect them."""
    async with pair(tmp_path, bus, database) as running:
        query: Any = query_pb2_grpc.QueryStub(running.channel)
        matchers = [query_pb2.Matcher(field="node", pattern="n1")]
        put = query_pb2.PutSilenceRequest(matchers=matchers, author="ada", reason="moved", duration_s=600)
        await eventually(lambda: running.detect.alerts.leads)
        silence = await query.PutSilence(put)
        assert silence.id == "S-1"
        client = await running.node(hello("n1"))
        await client.send(lost_batch(1, ()))

        async def incident() -> query_pb2.Incident | None:
            found = (await query.ListIncidents(query_pb2.ListIncidentsRequest())).incidents
            return found[0] if found else None

        async def is_now(state: str) -> bool:
            found = await incident()
            return found is not None and found.state == state

        await until(lambda: is_now("silenced"))
        with pytest.raises(grpc.aio.AioRpcError, match="a silence needs its author and a reason"):
            await query.PutSilence(query_pb2.PutSilenceRequest(matchers=matchers, duration_s=600))
        await query.EndSilence(query_pb2.EndSilenceRequest(id="S-1", author="ada", reason="back"))
        await until(lambda: is_now("new"))
        found = await incident()
        assert found is not None
        act = query_pb2.IncidentAction(incident=found.id, action="acknowledge", author="ada", text="mine")
        assert (await query.ActOnIncident(act)).state == "acknowledged"
        await until(lambda: is_now("acknowledged"))
        page = await query.GetFleet(query_pb2.GetFleetRequest(first_node=1, most_nodes=5))
        assert not page.nodes
        listed = await query.ListSilences(query_pb2.ListSilencesRequest(include_ended=True))
        assert [each.id for each in listed.silences] == ["S-1"]
        trail = await query.ListAudit(query_pb2.ListAuditRequest())
        assert {each.action for each in trail.records} == {
            "silence.put",
            "silence.end",
            "incident.acknowledge",
        }
        assert trail.chain_intact


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until an awaitable condition holds."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "ingest", "bus": {}},
        {"role": "all", "bus": {"url": "nats://127.0.0.1:1"}},
        {"role": "detect", "database_url": "", "bus": {"url": "nats://127.0.0.1:1"}},
        {"role": "boss", "bus": {"url": "nats://127.0.0.1:1"}},
        {"role": "ingest", "bus": {"url": "nats://127.0.0.1:1", "name": "a.b"}},
        {"role": "ingest", "bus": {"url": "nats://127.0.0.1:1", "lease_s": 0.5}},
    ],
)
def test_settings_that_cannot_work_together_are_a_sentence(wrong: dict[str, object]) -> None:
    """Found out at the start."""
    with pytest.raises(ConfigError):
        load_config(None, {}, {"database_url": "postgresql://x/y", **wrong})


async def test_a_bus_that_is_not_there_is_a_sentence(tmp_path: Path, database: str) -> None:
    """A collector that cannot hand on what it takes does not begin to take it."""
    bus = f"nats://127.0.0.1:{free_port()}"
    ingest = IngestCollector(load_config(None, {}, _flags(tmp_path, "ingest", bus, database)))
    with pytest.raises(ConfigError, match=r"bus\.url"):
        await ingest.start()
    await ingest.stop()
