"""Runs a simulated fleet on the real wire: one process, one channel, one stream a node."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc.aio

from ringwatch_agent.channel import open_channel
from ringwatch_agent.encode import Encoder, NodeIdentity
from ringwatch_agent.spool import Spool
from ringwatch_agent.uplink import Uplink
from ringwatch_drills.fleet.faults import SimulatedFault, default_target
from ringwatch_drills.fleet.nodes import SimulatedNode
from ringwatch_drills.fleet.plan import FleetPlan
from ringwatch_drills.fleet.verbs import VERBS, answer
from ringwatch_drills.fleet.world import Moment, Target, World
from ringwatch_proto import __version__
from ringwatch_proto.v1 import telemetry_pb2 as pb

_TICK_S: Final = 1.0
# A node's memory of what the collector has not acknowledged; a real agent keeps far more, on disk.
_SPOOL_BYTES: Final = 4 << 20


class _Link:
    """The agent of one simulated node: encoder, spool and uplink as a real agent has them."""

    def __init__(self, world: World, node: int, channel: grpc.aio.Channel, address: str) -> None:
        self._world = world
        self._node = SimulatedNode(world, node)
        self._index = node
        self._encoder = Encoder(
            NodeIdentity(
                node=world.plan.node_name(node),
                boot_id=f"simulated-{world.plan.seed}-{node}",
                agent_version=__version__,
                labels={"rack": f"r{node // 8:02d}", "class": "simulated"},
                simulated=True,
                verbs=tuple(VERBS),
            )
        )
        self._channel, self._address = channel, address
        self._spool = Spool(limit_bytes=_SPOOL_BYTES)
        self._uplink: Uplink | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Return how many batches wait for their acknowledgement."""
        return len(self._spool)

    async def follow_silence(self) -> None:
        """Dial when the node speaks, hang up when it is silent."""
        silent = bool(self._world.silent[self._index])
        if silent and self._uplink is not None:
            await self.close()
        elif not silent and self._uplink is None:
            self._uplink = Uplink(
                self._address,
                self._spool,
                self._on_verb,
                channel=self._channel,
                dice=random.Random(self._index),  # noqa: S311 - jitter, not a secret
            )
            self._task = asyncio.create_task(self._uplink.run())

    def report(self, moment: Moment) -> None:
        """Put the node's part of a moment into the spool; a silent node measures nothing."""
        if self._uplink is None:
            return
        reading = self._node.reading(moment, self._world.take_events(self._index))
        encoded = self._encoder.encode(
            (reading,), wall_ns=round(self._world.now_s * 1e9), monotonic_ns=time.monotonic_ns()
        )
        self._spool.append(encoded.hello, encoded.batch)

    async def close(self) -> None:
        """Hang up."""
        if self._uplink is not None:
            await self._uplink.stop()
            if self._task is not None:
                await asyncio.gather(self._task, return_exceptions=True)
        self._uplink = self._task = None

    async def _on_verb(self, request: pb.VerbRequest) -> pb.VerbResult:
        await asyncio.sleep(0.15)  # a driver call takes its time
        return answer(self._world, self._index, request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fault that was begun: which, where, since when, and the rank that it hit."""

    fault: str
    node: str
    gpu: str
    job: str
    rank: int
    at_s: float


class SimulatedFleet:
    """The world, its nodes and their streams. Times come from ``clock``, Unix seconds."""

    def __init__(
        self,
        plan: FleetPlan,
        address: str,
        *,
        clock: Callable[[], float] = time.time,
        world: World | None = None,
    ) -> None:
        self._clock = clock
        self.world = world or World(plan, clock())
        self._channel = open_channel(address)
        self._links = [_Link(self.world, node, self._channel, address) for node in range(plan.nodes)]
        self._struck: list[tuple[SimulatedFault, Target]] = []

    async def run(self) -> None:
        """Tick once a second until cancelled, then hang up."""
        wake_s = time.monotonic()
        try:
            while True:
                wake_s = max(wake_s + _TICK_S, time.monotonic())
                await self.tick()
                await asyncio.sleep(max(0.0, wake_s - time.monotonic()))
        finally:
            await self.close()

    async def tick(self) -> None:
        """Show the world as it is now."""
        for link in self._links:
            await link.follow_silence()
        moment = self.world.advance(self._clock())
        for at, link in enumerate(self._links):
            link.report(moment)
            if at % 8 == 7:
                await asyncio.sleep(0)  # let the streams breathe

    def begin(self, fault: SimulatedFault, target: Target | None = None) -> Struck:
        """Begin a fault; return what it hit."""
        target = target or default_target(self.world, fault)
        fault.begin(self.world, target)
        self._struck.append((fault, target))
        plan = self.world.plan
        found = self.world.rank_at(target)
        return Struck(
            fault=fault.name,
            node=plan.node_name(target.node),
            gpu=plan.gpu_id(target.node, target.gpu) if fault.strikes in ("gpu", "rank") else "",
            job=found[0].plan.name if found else "",
            rank=found[1] if found and fault.strikes in ("gpu", "rank") else -1,
            at_s=self._clock(),
        )

    def undo_all(self) -> None:
        """Undo every fault that was begun."""
        while self._struck:
            fault, target = self._struck.pop()
            fault.undo(self.world, target)

    @property
    def waiting(self) -> int:
        """Return how many batches of all nodes wait for their acknowledgement."""
        return sum(link.waiting for link in self._links)

    async def close(self) -> None:
        """Hang up everywhere."""
        await asyncio.gather(*(link.close() for link in self._links))
        await self._channel.close(grace=None)
