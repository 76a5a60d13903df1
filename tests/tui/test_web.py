"""The console in a browser: behind its token, of its own origin, and unable to act."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar, WSServerHandshakeError
from tests.tui.browser import browsing
from tests.tui.server import serving

from ringwatch_proto.errors import UnreachableError
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.read_only import ReadOnlyClient
from ringwatch_tui.web import cli

pytestmark = pytest.mark.timeout(90)
TOKEN = "a-token-of-this-test"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def web(collector: str) -> AsyncIterator[str]:
    """Run ``ringwatch web``; yield its address without the token."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringwatch.main", "web", "--collector", collector, "--port", str(port),
        stdout=PIPE, env={**os.environ, "RINGWATCH_WEB_TOKEN": TOKEN},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line == f"http://127.0.0.1:{port}/?token={TOKEN}\n"
        await _until_open(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return


async def test_a_browser_sees_the_incident_and_cannot_act(tmp_path: Path) -> None:
    """The terminal shows it; the key that would acknowledge says that this console only looks."""
    async with serving() as (collector, query), web(collector) as address, browsing(tmp_path) as page:
        await page.ask("Page.navigate", url=f"{address}/?token={TOKEN}")
        await page.until("I-142")
        await page.until("READ-ONLY")
        await page.click(600, 300)
        await page.press("a")
        await page.until("needs the role operator")
        picture = await page.picture()

    assert query.actions == []
    assert len(picture) > 10_000


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 401),
        ("/?token=wrong", {}, 401),
        ("/ws", {}, 401),
        ("/static/js/textual.js", {}, 401),
        (f"/?token={TOKEN}", {"Origin": "http://evil.example"}, 403),
    ],
)
async def test_who_has_no_token_gets_nothing(path: str, headers: dict[str, str], status: int) -> None:
    """Neither page nor socket nor script, and no other site's page even with it."""
    async with (
        serving() as (collector, _),
        web(collector) as address,
        ClientSession() as http,
        http.get(address + path, headers=headers, allow_redirects=False) as answer,
    ):
        assert answer.status == status
        assert TOKEN not in await answer.text()


async def test_the_token_leaves_the_address_for_a_cookie() -> None:
    """Histories and logs of proxies keep addresses; the cookie is no script's to read."""
    jar = CookieJar(unsafe=True)
    async with serving() as (collector, _), web(collector) as address, ClientSession(cookie_jar=jar) as http:
        async with http.get(f"{address}/?token={TOKEN}", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/")
            assert "HttpOnly" in answer.headers["Set-Cookie"]
            assert "SameSite=Strict" in answer.headers["Set-Cookie"]
        async with http.get(address) as page:
            assert page.status == 200
            assert page.headers["X-Frame-Options"] == "DENY"
            assert "googleapis" not in await page.text()
        with pytest.raises(WSServerHandshakeError):
            await http.ws_connect(f"{address}/ws", origin="http://evil.example")


async def test_what_would_change_something_is_refused_before_it_is_sent() -> None:
    """Whatever the token of the machine that serves allows."""
    async with serving() as (collector, query):
        client = ReadOnlyClient(collector)
        for call in (
            client.act("I-142", "acknowledge", "ana", ""),
            client.start_run("I-142", "rb", "ana"),
            client.answer("r-1", "a", "approve", "n9", "ana"),
        ):
            with pytest.raises(RequestRefused, match="read-only"):
                await call
        await client.close()

    assert query.actions == []


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_it_listens_on_loopback_only(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From elsewhere one comes through a proxy that speaks TLS."""
    assert cli.main(["--host", host]) == 2
    assert "not on loopback" in capsys.readouterr().err


def test_a_short_token_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that can be guessed is none."""
    monkeypatch.setenv("RINGWATCH_WEB_TOKEN", "abc")
    assert cli.main([]) == 2
    assert "16 letters" in capsys.readouterr().err


async def test_nobody_answers_is_said_in_the_browser_too() -> None:
    """The read-only client tells a lost collector like the other."""
    client = ReadOnlyClient("127.0.0.1:1")
    with pytest.raises(UnreachableError):
        await client.fleet()
    await client.close()
