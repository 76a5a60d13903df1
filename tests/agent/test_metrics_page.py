"""The page over HTTP, on a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from ringwatch_agent.metrics_page import MetricsPage
from ringwatch_proto.errors import ConfigError


@pytest.fixture
async def page() -> AsyncIterator[MetricsPage]:
    """A page that says one thing."""
    made = MetricsPage(lambda: "ringwatch_up 1\n")
    yield made
    made.stop()


async def _send(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_scrape_gets_the_page_and_its_content_type(page: MetricsPage) -> None:
    """As Prometheus asks for it; the path may carry a query."""
    port = await page.start("127.0.0.1:0")
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics?x=1")
    assert (answer.status_code, answer.text) == (200, "ringwatch_up 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\x16\x03\x01\xff\r\n\r\n", b"405"),
        (b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_anything_else_is_refused_with_a_status(
    page: MetricsPage, request_: bytes, status: bytes
) -> None:
    """One page, one method, and no request longer than a scrape needs."""
    port = await page.start("127.0.0.1:0")
    assert status in (await _send(port, request_)).partition(b"\r\n")[0]


async def test_one_who_asks_and_leaves_harms_nobody(page: MetricsPage) -> None:
    """The next scrape gets its page."""
    port = await page.start("127.0.0.1:0")
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /met")
        writer.close()
        await writer.wait_closed()
    assert b"200 OK" in await _send(port, b"GET / HTTP/1.0\r\n\r\n")


async def test_a_taken_port_is_an_error_at_start(page: MetricsPage) -> None:
    """Said before anything else runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot serve"):
            await page.start(f"127.0.0.1:{taken.getsockname()[1]}")


async def test_stop_before_start_and_twice_is_safe(page: MetricsPage) -> None:
    """stop() is idempotent."""
    page.stop()
    page.stop()
