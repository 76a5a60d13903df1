"""``ringwatch bench collector``: ingest and detection under a load that speaks the real wire.

The collector runs as a process of its own; the load comes from this one, on the same machine. It
measures and judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
import psutil

from ringwatch_proto import WIRE_VERSION, layout
from ringwatch_proto.signals import Table, columns_of
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire

_REPORT = "/ringwatch.v1.Telemetry/Report"
_DRAIN_S = 20.0
# Nodes that dial at the same time: the load generator is one loop.
_DIALLING = 50
_LOOK = "ringwatch_collector_look_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent."""

    nodes: int
    gpus: int
    hz: float
    seconds: float
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it. Lag is from the send of a batch to its acknowledgement."""

    nodes: int
    gpus: int
    batches_sent: int
    batches_taken: int
    lost: int
    cpu_cores: float
    rss_mb: float
    tick_ms_p50: float
    tick_ms_p99: float
    lag_ms_p99: float


@dataclass(slots=True)
class Tally:
    """What the load generator counted."""

    sent: int = 0
    acknowledged: int = 0
    lags_s: list[float] = field(default_factory=list)
    ticks_ms: list[float] = field(default_factory=list)


class Node:
    """One simulated node: its Hello, and a batch a period with GPUs, host and ranks."""

    def __init__(self, number: int, load: Load) -> None:
        self._number = number
        self._load = load
        self._tables = {Table.GPU: load.gpus, Table.HOST: 1}
        self._blocks = [self._block(table, rows) for table, rows in self._tables.items()]
        self._sent_s: dict[int, float] = {}
        self._call: Any = None

    def hello(self) -> wire.AgentMessage:
        """Return the first message."""
        name = f"bench{self._number:05d}"
        first = self._number * self._load.gpus
        world = self._load.nodes * self._load.gpus
        hello = wire.Hello(
            wire_version=WIRE_VERSION,
            node=name,
            spool_id=name,
            schema_id=1,
            simulated=True,
            tables=[
                wire.TableSchema(
                    table=int(table),  # type: ignore[arg-type]  # the enums share their values
                    devices=[wire.Device(id=f"SIM-{name}-{row}", name=f"gpu{row}") for row in range(rows)],
                    signals=[signal.id for signal in columns_of(table)],
                )
                for table, rows in self._tables.items()
            ],
            ranks=[
                wire.RankInfo(
                    row=row,
                    job="bench",
                    rank=first + row,
                    world_size=world,
                    pid=1000 + row,
                    gpu=f"SIM-{name}-{row}",
                )
                for row in range(self._load.gpus)
            ],
            communicators=[wire.Communicator(index=0, job="bench", name="default")],
        )
        return wire.AgentMessage(hello=hello)

    def _block(self, table: Table, rows: int) -> wire.Block:
        columns = columns_of(table)
        values = np.full((rows, len(columns)), 50.0, "<f4")
        values[:, :2] = 0.0
        return wire.Block(
            table=int(table),  # type: ignore[arg-type]  # the enums share their values
            rows=rows,
            columns=len(columns),
            values=values.tobytes(),
        )

    def batch(self, sequence: int) -> wire.AgentMessage:
        """Return the batch of one period: one step of each rank."""
        wall_ns = time.time_ns()
        rows = range(self._load.gpus)
        made = wire.Batch(
            sequence=sequence,
            schema_id=1,
            wall_ns=wall_ns,
            monotonic_ns=time.monotonic_ns(),
            blocks=self._blocks,
            steps=b"".join(
                layout.STEP.pack(row, 0, sequence, wall_ns, 1.0, 0.01, 0.5, 0.0, 1.0, 1.0, 1.0)
                for row in rows
            ),
            collectives=b"".join(
                layout.COLLECTIVE.pack(row, 0, slot, 1, 0, sequence, 1 << 25, 0.5, 0.02)
                for row in rows
                for slot in range(4)
            ),
            rank_states=b"".join(
                layout.RANK_STATE.pack(
                    row, 2, ord("R"), 1, 0, 0, 0, sequence, 9, 9, 0.1, 0.1, 1.0, 0.0, 0.0, 0.0, 99.0, 0
                )
                for row in rows
            ),
        )
        return wire.AgentMessage(batch=made)

    async def connect(self, channel: grpc.aio.Channel, places: asyncio.Semaphore) -> None:
        """Open the stream and wait for the welcome."""
        async with places:
            await self._connect(channel)

    async def _connect(self, channel: grpc.aio.Channel) -> None:
        self._call = channel.stream_stream(
            _REPORT,
            request_serializer=wire.AgentMessage.SerializeToString,
            response_deserializer=wire.CollectorMessage.FromString,
        )()
        await self._call.write(self.hello())
        await self._call.read()

    async def report(self, tally: Tally, began_s: float) -> None:
        """Send until the time is over, then wait for the last acknowledgement."""
        call = self._call
        reading = asyncio.create_task(self._read(call, tally))
        period_s = 1.0 / self._load.hz
        due_s = began_s + period_s * (self._number % 997) / 997
        sequence = 0
        while due_s < began_s + self._load.seconds:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s += period_s
            sequence += 1
            self._sent_s[sequence] = time.monotonic()
            tally.sent += 1
            await call.write(self.batch(sequence))
        deadline_s = time.monotonic() + _DRAIN_S
        while self._sent_s and time.monotonic() < deadline_s:
            await asyncio.sleep(0.05)
        reading.cancel()
        call.cancel()

    async def _read(self, call: Any, tally: Tally) -> None:  # noqa: ANN401  (grpc has no types)
        while isinstance(message := await call.read(), wire.CollectorMessage):
            if not message.HasField("ack"):
                continue
            now_s = time.monotonic()
            for sequence in [each for each in self._sent_s if each <= message.ack.sequence]:
                tally.lags_s.append(now_s - self._sent_s.pop(sequence))
                tally.acknowledged += 1


def _look_ms(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(_LOOK):
                return float(line.split()[-1]) * 1000
    return float("nan")


async def _watch_looks(port: int, tally: Tally) -> None:
    while True:
        await asyncio.sleep(1.0)
        try:
            tally.ticks_ms.append(await asyncio.to_thread(_look_ms, port))
        except OSError:
            # A page that does not come in time is what an overload looks like from outside.
            tally.ticks_ms.append(math.inf)


async def _drive(load: Load, address: str, metrics_port: int, process: psutil.Process) -> Measured:
    tally = Tally()
    channels = [
        grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(load.connections)
    ]
    watching = asyncio.create_task(_watch_looks(metrics_port, tally))
    nodes = [Node(number, load) for number in range(load.nodes)]
    places = asyncio.Semaphore(_DIALLING)
    await asyncio.gather(
        *(node.connect(channels[at % load.connections], places) for at, node in enumerate(nodes))
    )
    began_s, before = time.monotonic(), process.cpu_times()
    await asyncio.gather(*(node.report(tally, began_s) for node in nodes))
    after, elapsed_s = process.cpu_times(), time.monotonic() - began_s
    watching.cancel()
    query: Any = query_pb2_grpc.QueryStub(channels[0])
    fleet = await query.GetFleet(query_pb2.GetFleetRequest())
    for channel in channels:
        await channel.close()
    return Measured(
        nodes=load.nodes,
        gpus=load.nodes * load.gpus,
        batches_sent=tally.sent,
        batches_taken=fleet.health.batches_taken,
        lost=tally.sent - tally.acknowledged,
        cpu_cores=round((after.user + after.system - before.user - before.system) / elapsed_s, 3),
        rss_mb=round(process.memory_info().rss / 1e6, 1),
        tick_ms_p50=_percentile(tally.ticks_ms, 50),
        tick_ms_p99=_percentile(tally.ticks_ms, 99),
        lag_ms_p99=_percentile([lag_s * 1000 for lag_s in tally.lags_s], 99),
    )


def _percentile(values: Sequence[float], percent: float) -> float:
    return round(float(np.percentile(values, percent, method="nearest")), 3) if values else math.nan


def measure(load: Load) -> Measured:
    """Start a collector on a free port, drive it, and end it."""
    with tempfile.TemporaryDirectory(prefix="ringwatch-bench-") as folder:
        command = [sys.executable, "-m", "ringwatch_collector", "run", "--listen", "127.0.0.1:0"]
        command += ["--metrics-listen", "127.0.0.1:0", "--data-dir", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            try:
                said = json.loads(running.stdout.readline() if running.stdout is not None else "{}")
                process = psutil.Process(running.pid)
                return asyncio.run(_drive(load, said["listening"], said["metrics_port"], process))
            finally:
                running.terminate()


def main(argv: Sequence[str]) -> int:
    """Measure once and print one JSON object; 1 when a batch was lost."""
    parser = argparse.ArgumentParser(prog="ringwatch bench collector", description=__doc__)
    parser.add_argument("--nodes", type=int, default=125, help="simulated nodes")
    parser.add_argument("--gpus", type=int, default=8, help="GPUs and ranks of each")
    parser.add_argument("--hz", type=float, default=1.0, help="batches a second of each")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to send")
    parser.add_argument("--connections", type=int, default=8, help="TCP connections that the streams share")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout (the only form)")
    options = vars(parser.parse_args(argv))
    options.pop("json")
    measured = measure(Load(**options))
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")
    return 1 if measured.lost else 0
