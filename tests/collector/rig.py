"""A real collector on a free port, and a client that speaks the wire as an agent does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

from ringwatch_collector.app import Collector
from ringwatch_collector.config import load_config
from ringwatch_proto import WIRE_VERSION, layout
from ringwatch_proto.signals import Table, columns_of
from ringwatch_proto.v1 import query_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire

REPORT = "/ringwatch.v1.Telemetry/Report"
GPU_SIGNALS = tuple(signal.id for signal in columns_of(Table.GPU))


def hello(
    node: str = "n1",
    *,
    spool: str = "s1",
    schema_id: int = 1,
    gpus: int = 2,
    ranks: int = 0,
    first_rank: int = 0,
    world_size: int = 0,
    first_pid: int = 100,
    job: str = "train",
    communicator_ranks: Sequence[int] = (),
) -> wire.Hello:
    """Return a Hello of a node with some GPUs and the ranks of one job."""
    devices = [wire.Device(id=f"GPU-{node}-{at}", name=f"gpu{at}") for at in range(gpus)]
    return wire.Hello(
        wire_version=WIRE_VERSION,
        node=node,
        boot_id="boot",
        spool_id=spool,
        schema_id=schema_id,
        agent_version="0",
        tables=[wire.TableSchema(table=wire.TABLE_GPU, devices=devices, signals=GPU_SIGNALS)] if gpus else [],
        ranks=[
            wire.RankInfo(
                row=at,
                job=job,
                rank=first_rank + at,
                world_size=world_size or first_rank + ranks,
                local_rank=at,
                pid=first_pid + at,
                gpu=devices[at].id if at < gpus else "",
            )
            for at in range(ranks)
        ],
        communicators=[wire.Communicator(index=0, job=job, name="dp", ranks=communicator_ranks)]
        if ranks
        else [],
    )


def gpu_block(gpus: int = 2, value: float = 50.0) -> wire.Block:
    """Return a block of the GPU table in which every GPU is well."""
    values = np.full((gpus, len(GPU_SIGNALS)), value, "<f4")
    values[:, 0] = 0.0
    values[:, 1] = 0.0
    return wire.Block(table=wire.TABLE_GPU, rows=gpus, columns=len(GPU_SIGNALS), values=values.tobytes())


def batch(
    sequence: int,
    *,
    schema_id: int = 1,
    blocks: Iterable[wire.Block] | None = None,
    events: Iterable[wire.Event] = (),
    wall_ns: int | None = None,
    steps: bytes = b"",
    collectives: bytes = b"",
    rank_states: bytes = b"",
    flows: bytes = b"",
) -> wire.Batch:
    """Return a batch of now."""
    return wire.Batch(
        sequence=sequence,
        schema_id=schema_id,
        wall_ns=time.time_ns() if wall_ns is None else wall_ns,
        monotonic_ns=time.monotonic_ns(),
        blocks=[gpu_block()] if blocks is None else blocks,
        events=events,
        steps=steps,
        collectives=collectives,
        rank_states=rank_states,
        flows=flows,
    )


def event(number: int, *, kind: str = "gpu.recovered", text: str = "again", **fields: str) -> wire.Event:
    """Return an event of now."""
    return wire.Event(
        id=number,
        wall_ns=time.time_ns(),
        kind=kind,
        severity=wire.SEVERITY_INFO,
        source="nvml",
        device="GPU-n1-0",
        text=text,
        fields=fields,
    )


def step(row: int, number: int, step_s: float = 0.1, compute_s: float = 0.05, flags: int = 0) -> bytes:
    """Return one packed step of now."""
    return layout.STEP.pack(row, flags, number, time.time_ns(), step_s, 0.01, compute_s, 0.0, 1.0, 1.0, 1.0)


def collective(row: int, number: int, slot: int, duration_s: float, communicator: int = 0) -> bytes:
    """Return one packed collective."""
    return layout.COLLECTIVE.pack(row, communicator, slot, 1, 0, number, 4096, 0.01, duration_s)


def rank_state(row: int, number: int, phase: int = layout.Phase.COMPUTE) -> bytes:
    """Return one packed state of a living rank."""
    return layout.RANK_STATE.pack(
        row, phase, ord("R"), 1, 0, 0, 0, number, 5, 5, 0.1, 0.1, 1.0, 0.0, 0.0, 0.0, 100.0, 0
    )


class Client:
    """One stream to a collector."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = channel.stream_stream(
            REPORT, request_serializer=None, response_deserializer=wire.CollectorMessage.FromString
        )()
        self.acknowledged = 0
        self.refusal: wire.Refusal | None = None
        self.requests: list[wire.VerbRequest] = []

    async def send(self, message: wire.Hello | wire.Batch | wire.VerbResult) -> None:
        """Send one message."""
        if isinstance(message, wire.Hello):
            whole = wire.AgentMessage(hello=message)
        elif isinstance(message, wire.Batch):
            whole = wire.AgentMessage(batch=message)
        else:
            whole = wire.AgentMessage(verb_result=message)
        await self.send_bytes(whole.SerializeToString())

    async def send_bytes(self, data: bytes) -> None:
        """Send anything at all."""
        await self._call.write(data)

    async def receive(self) -> wire.CollectorMessage | None:
        """Return the next message, None when the stream has ended."""
        try:
            message: wire.CollectorMessage | None = await asyncio.wait_for(self._call.read(), 20)
        except grpc.aio.AioRpcError:
            return None
        if not isinstance(message, wire.CollectorMessage):
            return None
        if message.HasField("ack"):
            self.acknowledged = message.ack.sequence
        elif message.HasField("refusal"):
            self.refusal = message.refusal
        elif message.HasField("verb_request"):
            self.requests.append(message.verb_request)
        return message

    async def greet(self, message: wire.Hello) -> wire.Welcome:
        """Send the first Hello and return the welcome."""
        await self.send(message)
        answer = await self.receive()
        assert answer is not None
        assert answer.HasField("welcome"), answer
        return answer.welcome

    async def until_acknowledged(self, sequence: int) -> None:
        """Receive until everything up to ``sequence`` is durable."""
        while self.acknowledged < sequence:
            assert await self.receive() is not None, self.refusal

    async def until_end(self) -> wire.Refusal | None:
        """Receive until the stream ends and return the refusal."""
        while await self.receive() is not None:
            pass
        return self.refusal

    async def close(self) -> None:
        """End the stream."""
        self._call.cancel()


class Rig:
    """A collector in this process, with clients."""

    def __init__(self, collector: Collector, port: int) -> None:
        self.collector = collector
        self.address = f"127.0.0.1:{port}"
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.query: Any = query_pb2_grpc.QueryStub(self.channel)
        self._clients: list[Client] = []

    def client(self) -> Client:
        """Open a stream."""
        client = Client(self.channel)
        self._clients.append(client)
        return client

    async def agent(self, message: wire.Hello | None = None) -> Client:
        """Open a stream that was welcomed."""
        client = self.client()
        await client.greet(hello() if message is None else message)
        return client

    async def close(self) -> None:
        """End clients and collector."""
        for client in self._clients:
            await client.close()
        await self.channel.close()
        await self.collector.stop()


@asynccontextmanager
async def running(folder: Path, **settings: object) -> AsyncIterator[Rig]:
    """Run a collector on a free port until the end of the block."""
    flags = {"listen": "127.0.0.1:0", "data_dir": str(folder), "name": "test", **settings}
    collector = Collector(load_config(None, {}, flags))
    rig = Rig(collector, await collector.start())
    try:
        yield rig
    finally:
        await rig.close()


async def eventually(condition: Any, timeout_s: float = 20.0) -> None:
    """Wait until ``condition()`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)
