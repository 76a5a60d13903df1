"""The lab's management network: what a node sends to 127.0.0.1:7701 reaches the collector.

The collector stays on the machine's loopback, in plain text and out of reach of anybody else, and
telemetry does not cross the links that a fault slows down.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Final

from ringwatch_drills.lab.enter import enter_network
from ringwatch_drills.lab.network import LabNode

PORT: Final = 7701


def listen_in(namespace: str) -> socket.socket:
    """Return a listening socket of another network namespace; the calling thread stays where it is."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter_network(namespace)
            made.append(socket.create_server(("127.0.0.1", PORT)))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name=f"listen in {namespace}")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Relay:
    """Copies bytes between the nodes and the collector; a thread of its own with its own loop."""

    def __init__(self, nodes: tuple[LabNode, ...]) -> None:
        self._sockets = [listen_in(node.namespace) for node in nodes]
        self._to: tuple[str, int] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._servers = [
            asyncio.run_coroutine_threadsafe(
                asyncio.start_server(self._serve, sock=each), self._loop
            ).result()
            for each in self._sockets
        ]

    def lead_to(self, host: str, port: int) -> None:
        """Let new connections go to another collector."""
        self._to = (host, port)

    def close(self) -> None:
        """Stop copying. Safe to call twice."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._to is None:
                return
            there_reader, there_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.close()
            return
        ways = (_copy(reader, there_writer), _copy(there_reader, writer))
        with contextlib.suppress(OSError):
            await asyncio.gather(*ways)
        for end in (writer, there_writer):
            end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        # One direction may end while the other still talks.
        writer.write_eof()
