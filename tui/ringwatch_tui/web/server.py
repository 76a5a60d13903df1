"""Serves a read-only console a browser session, each in a process of its own, through textual-serve."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from ringwatch_tui.web.gate import gate

# Each session is a process of some 80 MB.
MOST_SESSIONS: Final = 8


class ConsoleService(AppService):
    """One session. The console is started without a shell, whatever its collector is called."""

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringwatch_tui.web.session",
            self.command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self._build_environment(width=width, height=height),
        )
        assert process.stdin is not None
        self._process, self._stdin = process, process.stdin
        return process


class ConsoleServer(Server):
    """The server. ``collector`` is handed to each session as it is."""

    def __init__(self, collector: str, *, token: str, host: str, port: int) -> None:
        templates = Path(__file__).parent / "templates"
        super().__init__(collector, host=host, port=port, title="Ringwatch", templates_path=str(templates))
        self._token = token
        self._sessions = 0

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(gate(self._token))
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the command prints the address, and the log must not hold it."""

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run one console for one browser, as many as there may be at once."""
        if self._sessions >= MOST_SESSIONS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_SESSIONS} browsers are open already")
        self._sessions += 1
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=1 << 16)
        service = ConsoleService(
            self.command,
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=_closing(socket),
            download_manager=self.download_manager,
        )
        try:
            await socket.prepare(request)
            await service.start(_cells(request, "width", 80), _cells(request, "height", 24))
            await self._process_messages(socket, service)
        finally:
            self._sessions -= 1
            await service.stop()
        return socket


def _closing(socket: web.WebSocketResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await socket.close()

    return close


def _cells(request: web.Request, name: str, otherwise: int) -> int:
    return min(500, max(10, to_int(request.query.get(name, ""), otherwise)))
