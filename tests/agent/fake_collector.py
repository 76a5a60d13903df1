"""A collector that keeps what it was sent and answers what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from ringwatch_proto.v1 import telemetry_pb2 as pb
from ringwatch_proto.v1 import telemetry_pb2_grpc


class FakeCollector(telemetry_pb2_grpc.TelemetryServicer):  # type: ignore[misc] # generated, untyped
    """Real gRPC on a real port; ``streams`` holds the messages of each stream in order."""

    def __init__(self) -> None:
        self.streams: list[list[pb.AgentMessage]] = []
        self.refusals: list[pb.Refusal] = []
        self.requests: list[pb.VerbRequest] = []
        self.acknowledges = True
        self.poison = 0
        self.welcomes = True
        self.port = 0
        self.changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> str:
        """Listen on the same port as before, if there was one; return the address."""
        self._server = grpc.aio.server()
        telemetry_pb2_grpc.add_TelemetryServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return f"127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Go away as a killed process does."""
        if self._server is not None:
            await self._server.stop(grace=None)

    async def Report(  # noqa: N802 - the name of the method on the wire
        self,
        messages: AsyncIterator[pb.AgentMessage],
        context: Any,  # noqa: ARG002
    ) -> AsyncIterator[pb.CollectorMessage]:
        """Serve one stream."""
        mine: list[pb.AgentMessage] = []
        self.streams.append(mine)
        async for message in messages:
            mine.append(message)
            async with self.changed:
                self.changed.notify_all()
            for answer in self._answers(message, first=len(mine) == 1):
                yield answer
                if answer.HasField("refusal"):
                    return

    def _answers(self, message: pb.AgentMessage, *, first: bool) -> list[pb.CollectorMessage]:
        if first and self.refusals:
            return [pb.CollectorMessage(refusal=self.refusals.pop(0))]
        if first and self.welcomes:
            requests = [pb.CollectorMessage(verb_request=each) for each in self.requests]
            return [pb.CollectorMessage(welcome=pb.Welcome(collector="fake")), *requests]
        if message.HasField("batch") and message.batch.sequence == self.poison and message.batch.blocks:
            return [pb.CollectorMessage(refusal=pb.Refusal(reason="absurd", retry_after_s=0.001))]
        if message.HasField("batch") and self.acknowledges:
            return [pb.CollectorMessage(ack=pb.Ack(sequence=message.batch.sequence))]
        return []

    @property
    def batches(self) -> list[pb.Batch]:
        """Return every batch that came, on whatever stream."""
        return [each.batch for stream in self.streams for each in stream if each.HasField("batch")]

    @property
    def results(self) -> list[pb.VerbResult]:
        """Return every verb result that came."""
        return [
            each.verb_result for stream in self.streams for each in stream if each.HasField("verb_result")
        ]

    async def wait_until(self, holds: Any) -> None:
        """Wait until ``holds()`` is true after some message."""
        async with self.changed:
            await self.changed.wait_for(holds)
