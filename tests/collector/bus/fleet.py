"""Collectors in processes of their own that work over the bus, and nodes that find another one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from tests.collector.rig import Client, batch, event, hello

from ringwatch_proto.v1 import query_pb2, query_pb2_grpc
from ringwatch_proto.v1 import telemetry_pb2 as wire

PARTITIONS = 4


@dataclass(slots=True)
class Process:
    """One collector."""

    running: subprocess.Popen[str]
    address: str
    name: str

    def kill(self) -> None:
        """Kill -9."""
        self.running.kill()
        self.running.wait()


@dataclass(slots=True)
class Site:
    """Collectors of one fleet."""

    folder: Path
    bus: str
    database: str
    settings: str = ""
    processes: list[Process] = field(default_factory=list)

    def start(self, role: str) -> Process:
        """Start a collector and wait until it serves."""
        name = f"{role}{len(self.processes)}"
        folder = self.folder / name
        folder.mkdir()
        config = folder / "collector.toml"
        config.write_text(
            f'name = "{name}"\nlisten = "127.0.0.1:0"\ndata_dir = "{folder}"\nrole = "{role}"\n'
            f'database_url = "{self.database}"\nsilent_s = 3.0\n{self.settings}\n'
            f'[bus]\nurl = "{self.bus}"\npartitions = {PARTITIONS}\nlease_s = 3.0\nreplay_s = 60.0\n'
            "keep_gib = 0.25\n"
        )
        with (folder / "log").open("w") as log:
            running = subprocess.Popen(
                [sys.executable, "-m", "ringwatch_collector", "run", "--config", str(config)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, (folder / "log").read_text()
        process = Process(running, str(json.loads(line)["listening"]), name)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Stop every collector."""
        for process in self.processes:
            process.running.terminate()
        for process in self.processes:
            try:
                process.running.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            if process.running.stdout is not None:
                process.running.stdout.close()

    def logs(self) -> str:
        """Return what all of them said."""
        return "\n".join(f"{path}\n{path.read_text()}" for path in sorted(self.folder.glob("*/log")))


class SimulatedNode:
    """A node that keeps what is not acknowledged and dials the next collector when one is gone."""

    def __init__(
        self, name: str, addresses: Sequence[str], greeting: wire.Hello, every_s: float = 0.2
    ) -> None:
        self.name = name
        self.addresses = list(addresses)
        self.greeting = greeting
        self._every_s = every_s
        self._unacknowledged: dict[int, wire.Batch] = {}
        self._sequence = 0
        self.acknowledged = 0
        self.events_said: list[int] = []
        self.build: Callable[[int, Sequence[wire.Event]], wire.Batch] = _plain
        self._task: asyncio.Task[None] | None = None
        self._at = 0

    def start(self) -> None:
        """Begin to report."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Go away without a word."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def say(self, *events: wire.Event) -> None:
        """Send a batch now, with these events in it."""
        self._sequence += 1
        self._unacknowledged[self._sequence] = self.build(self._sequence, events)
        self.events_said += [each.id for each in events]

    @property
    def waiting(self) -> int:
        """Return how many batches are not acknowledged."""
        return len(self._unacknowledged)

    async def _run(self) -> None:
        while True:
            address = self.addresses[self._at % len(self.addresses)]
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(address, options=options) as channel:
                with contextlib.suppress(grpc.aio.AioRpcError, AssertionError, asyncio.InvalidStateError):
                    await self._report(Client(channel))
            self._at += 1
            await asyncio.sleep(0.1)

    async def _report(self, client: Client) -> None:
        await client.greet(self.greeting)
        reading = asyncio.create_task(self._acknowledge(client))
        sent, due_s = 0, time.monotonic()
        try:
            while not reading.done():
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + self._every_s
                    self.say()
                for sequence in [each for each in self._unacknowledged if each > sent]:
                    await client.send(self._unacknowledged[sequence])
                    sent = sequence
                await asyncio.sleep(0.02)
        finally:
            reading.cancel()
            await client.close()

    async def _acknowledge(self, client: Client) -> None:
        while await client.receive() is not None:
            self.acknowledged = max(self.acknowledged, client.acknowledged)
            for sequence in [each for each in self._unacknowledged if each <= client.acknowledged]:
                del self._unacknowledged[sequence]


def _plain(sequence: int, events: Sequence[wire.Event]) -> wire.Batch:
    return batch(sequence, events=events)


async def fleet_of(address: str) -> query_pb2.Fleet:
    """Ask a collector for the whole fleet."""
    async with grpc.aio.insecure_channel(address) as channel:
        query: Any = query_pb2_grpc.QueryStub(channel)
        fleet: query_pb2.Fleet = await query.GetFleet(query_pb2.GetFleetRequest(), timeout=10)
        return fleet


async def until(condition: Any, site: Site, timeout_s: float = 30.0) -> float:
    """Wait until an awaitable condition holds; return how long it took."""
    began_s = time.monotonic()
    while True:
        try:
            if await condition():
                return time.monotonic() - began_s
        except grpc.aio.AioRpcError:
            pass
        assert time.monotonic() - began_s < timeout_s, site.logs()[-6000:]
        await asyncio.sleep(0.1)


__all__ = ["Process", "SimulatedNode", "Site", "batch", "event", "fleet_of", "hello", "until"]
