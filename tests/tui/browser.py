"""Debian's Chromium without a window, driven over its debugging protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType


class Page:
    """One page, and all that its sockets have received."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.received = b""

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give the browser a command and return its answer."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while number not in self._answers:
            await self._take()
        return self._answers.pop(number)

    async def _take(self) -> None:
        message = await self._socket.receive(timeout=30)
        assert message.type is WSMsgType.TEXT, message
        found = json.loads(message.data)
        if "id" in found:
            self._answers[found["id"]] = found
        elif found.get("method") == "Network.webSocketFrameReceived":
            frame = found["params"]["response"]
            data = frame["payloadData"]
            self.received += base64.b64decode(data) if frame["opcode"] == 2 else data.encode()

    async def until(self, text: str) -> None:
        """Wait until the page's terminal was sent a text."""
        while text.encode() not in self.received:
            await self._take()

    async def click(self, x: int, y: int) -> None:
        """Click a place of the page, as one does before typing."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def press(self, key: str) -> None:
        """Type one letter."""
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """Return the page as a PNG."""
        answer = await self.ask("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["result"]["data"])


async def _address(process: Process) -> str:
    """Return where the browser listens, which it says on stderr."""
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode("utf-8", "replace"):
        if "DevTools listening on ws://" in line:
            return line.split("ws://")[1].split("/")[0]
    raise AssertionError("chromium ended before it listened")


@asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Page]:
    """Run Chromium and yield an empty page."""
    program = shutil.which("chromium")
    assert program is not None, "chromium is not installed: apt-get install chromium"
    process = await asyncio.create_subprocess_exec(
        program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
        f"--user-data-dir={profile}", "--window-size=1400,800", "about:blank",
        stdout=DEVNULL, stderr=PIPE,
    )  # fmt: skip
    try:
        address = await _address(process)
        async with ClientSession() as http:
            async with http.get(f"http://{address}/json/list") as answer:
                pages = await answer.json()
            target = next(each for each in pages if each["type"] == "page")
            async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=1 << 26) as socket:
                page = Page(socket)
                await page.ask("Network.enable")
                await page.ask("Page.enable")
                yield page
    finally:
        process.terminate()
        await process.wait()
