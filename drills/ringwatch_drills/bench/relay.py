"""Stands between an agent and its collector: counts the bytes that cross, and can be closed and opened.

Closed, it refuses connections, as a collector that is away does. It looks into nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

_CHUNK: Final = 1 << 16


class Relay:
    """A TCP relay on a loopback port that stays the same for its whole life."""

    def __init__(self, target: str) -> None:
        """Forward to ``target``, HOST:PORT, which may change while the relay is closed."""
        self.target = target
        self.port = 0
        self.sent_bytes = 0
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        """Take connections; return the address."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{self.port}"

    async def close(self) -> None:
        """Cut every connection and refuse new ones. Safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        for pump in (self._pump(reader, far_writer, out=True), self._pump(far_reader, writer, out=False)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(_CHUNK):
                    self.sent_bytes += len(data) if out else 0
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
