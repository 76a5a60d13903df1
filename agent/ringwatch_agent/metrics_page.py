"""Serves one page over HTTP on the agent's own loop: no thread, no wake-up while nobody asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from ringwatch_agent.metrics_text import CONTENT_TYPE
from ringwatch_proto.errors import ConfigError

_PATHS: Final = frozenset({"/", "/metrics"})
_MAX_HEAD_BYTES: Final = 8192
_REQUEST_S: Final = 5.0
_MAX_AT_ONCE: Final = 16


class MetricsPage:
    """``GET /metrics``, and nothing else. ``render`` is called on the loop at each scrape."""

    def __init__(self, render: Callable[[], str]) -> None:
        self._render = render
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, address: str) -> int:
        """Serve on ``HOST:PORT``; return the port. Raise ConfigError when that is taken."""
        host, _, port = address.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._serve, host.strip("[]"), int(port), limit=_MAX_HEAD_BYTES
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"metrics: cannot serve on {address}: {error}") from error
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stop serving. Safe to call twice, and before ``start``."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            # Whoever sends nonsense, or nothing, is hung up on.
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                async with asyncio.timeout(_REQUEST_S):
                    writer.write(await self._answer(reader))
                    await writer.drain()
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        if self._open > _MAX_AT_ONCE:
            return _response("503 Service Unavailable", "too many at once\n")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response("431 Request Header Fields Too Large", "too long\n")
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "only GET\n")
        if rest.partition(" ")[0].partition("?")[0] not in _PATHS:
            return _response("404 Not Found", "the page is /metrics\n")
        return _response("200 OK", self._render(), with_body=method == "GET")


def _response(status: str, body: str, *, with_body: bool = True) -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + (data if with_body else b"")
