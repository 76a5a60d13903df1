"""How a command learns of the agent that runs beside it."""

from __future__ import annotations

import asyncio

import pytest

from ringwatch_agent.cli import main
from ringwatch_agent.exporter import AgentNumbers, Exporter
from ringwatch_agent.metrics_page import MetricsPage
from ringwatch_agent.running import ask, parse

NUMBERS = AgentNumbers(
    uplink_connected=False,
    spool_batches=600,
    spool_bytes=3 << 20,
    spool_limit_bytes=32 << 20,
    spool_on_disk=False,
    beats_missed=0,
    dropped={"spool.blocks": 12, "kmsg.lines": 3},
)


async def test_the_page_of_a_running_agent_tells_its_delivery() -> None:
    """Stream, spool and losses by kind, in one line."""
    page = MetricsPage(Exporter("n1", lambda: NUMBERS).page)
    port = await page.start("127.0.0.1:0")
    running = await asyncio.to_thread(ask, f"127.0.0.1:{port}")
    page.stop()
    assert running is not None
    assert running.words == (
        "no stream to its collector; spool 3.0 of 32 MiB (600 batches), in memory only;"
        " dropped since it started: 3 kmsg.lines, 12 spool.blocks"
    )


def test_no_agent_is_no_answer() -> None:
    """Nobody there, another page there, or not on this node: nothing is made up."""
    assert ask("127.0.0.1:1") is None
    assert ask("192.0.2.1:9477") is None
    assert ask("off") is None
    assert parse("node_load1 0.5\n") is None


async def test_a_scan_tells_what_the_agent_beside_it_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """Through the command itself, by the page of the address that both are set to."""
    page = MetricsPage(Exporter("n1", lambda: NUMBERS).page)
    port = await page.start("127.0.0.1:0")
    await asyncio.to_thread(main, ["scan", "--metrics", f"127.0.0.1:{port}", "--interval-s", "0.1"])
    page.stop()
    assert "dropped since it started: 3 kmsg.lines, 12 spool.blocks" in capsys.readouterr().out
