"""The streams that are up: one a node, the newest wins. It moves messages and reads none."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from ringwatch_proto.v1 import telemetry_pb2 as wire

_MOST_QUEUED: Final = 256


class Outbox:
    """What waits to be sent on one stream. Acknowledgements replace each other, so that it stays small."""

    def __init__(self) -> None:
        self._messages: deque[wire.CollectorMessage] = deque()
        self._acknowledged = 0
        self._ack_waits = False
        self._filled = asyncio.Event()
        self.ended = False

    def put(self, message: wire.CollectorMessage) -> bool:
        """Queue a message; return False when the other end has not read for too long."""
        if len(self._messages) >= _MOST_QUEUED or self.ended:
            return False
        self._messages.append(message)
        self._filled.set()
        return True

    def acknowledge(self, sequence: int) -> None:
        """Say that everything up to ``sequence`` is durable."""
        self._acknowledged = max(self._acknowledged, sequence)
        self._ack_waits = True
        self._filled.set()

    def refuse(self, reason: str, retry_after_s: float = 0.0) -> None:
        """End the stream with a reason after what is queued; the first reason stands."""
        if not self.ended:
            refusal = wire.Refusal(reason=reason, retry_after_s=retry_after_s)
            self._messages.append(wire.CollectorMessage(refusal=refusal))
        self.end()

    def end(self) -> None:
        """End the stream after what is queued."""
        self.ended = True
        self._filled.set()

    async def next(self) -> wire.CollectorMessage | None:
        """Return the next message, None after the last."""
        while True:
            if self._ack_waits:
                self._ack_waits = False
                return wire.CollectorMessage(ack=wire.Ack(sequence=self._acknowledged))
            if self._messages:
                return self._messages.popleft()
            if self.ended:
                return None
            self._filled.clear()
            await self._filled.wait()


class Sessions:
    """The outbox of each connected node."""

    def __init__(self) -> None:
        self._outboxes: dict[str, Outbox] = {}

    def __len__(self) -> int:
        return len(self._outboxes)

    def open(self, node: str, outbox: Outbox) -> bool:
        """Make this the stream of the node; return whether another one had to go."""
        other = self._outboxes.get(node)
        self._outboxes[node] = outbox
        if other is None or other is outbox:
            return False
        other.refuse(f"another stream speaks for node {node!r} now: is its name used twice?", 30.0)
        return True

    def close(self, node: str, outbox: Outbox) -> bool:
        """Forget the stream; return False when another one had taken its place."""
        if self._outboxes.get(node) is not outbox:
            return False
        del self._outboxes[node]
        return True

    def is_current(self, node: str, outbox: Outbox) -> bool:
        """Return whether this is the stream that speaks for the node."""
        return self._outboxes.get(node) is outbox

    def send(self, node: str, message: wire.CollectorMessage) -> bool:
        """Send a message to a node; return False when it cannot be reached."""
        outbox = self._outboxes.get(node)
        return outbox is not None and outbox.put(message)

    def refuse_all(self, reason: str, retry_after_s: float) -> None:
        """End every stream."""
        for outbox in self._outboxes.values():
            outbox.refuse(reason, retry_after_s)
