"""``ringwatch silence|alerts|history`` against a real collector."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.collector.rig import Rig, batch, gpu_block, running

from ringwatch.notify import main


async def ask(rig: Rig, *argv: str) -> int:
    """Run a command beside the collector's loop."""
    return await asyncio.to_thread(main, [*argv, "--collector", rig.address])


async def test_a_silence_is_put_listed_and_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its matchers, its author and its reason."""
    async with running(tmp_path) as rig:
        put = (
            "silence",
            "put",
            "--for",
            "2h",
            "--reason",
            "new fans",
            "--as",
            "kim",
            "node=n01?",
            "kind=gpu.*",
        )
        assert await ask(rig, *put) == 0
        assert await ask(rig, "silence", "list", "--json") == 0
        assert await ask(rig, "silence", "end", "S-1", "--as", "kim") == 0
        assert await ask(rig, "silence", "end", "S-1", "--as", "kim") == 1
    said, wrong = capsys.readouterr()
    first, second, third = said.splitlines()
    assert first.startswith("S-1    node=n01? kind=gpu.*  until 2")
    assert json.loads(second)["matchers"] == {"node": "n01?", "kind": "gpu.*"}
    assert "ended 2" in third
    assert "S-1 is over" in wrong


async def test_history_says_where_its_points_come_from_and_gaps_are_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, so that stdout is data."""
    async with running(tmp_path) as rig:
        agent = await rig.agent()
        await agent.send(batch(1, blocks=[gpu_block(2, 300.0)]))
        await agent.until_acknowledged(1)
        query = ("history", "gpu.power_watts", "--node", "n1", "--last", "20s", "--step", "1s")
        assert await ask(rig, *query, "--json") == 0
        assert await ask(rig, *query) == 0
    said, talk = capsys.readouterr()
    values = json.loads(said.splitlines()[0])["values"]
    assert [value for value in values if value is not None] == [300.0]
    assert "n1 GPU-n1-0  300 to 300 W, last 300" in said
    assert "memory, a point every 1 s" in talk


async def test_alerts_are_none_where_nobody_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty list is an answer."""
    async with running(tmp_path) as rig:
        assert await ask(rig, "alerts", "--state", "dead") == 0
    assert capsys.readouterr().out == ""


def test_a_collector_that_is_not_there_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    """And says which."""
    assert main(["alerts", "--collector", "127.0.0.1:1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["silence", "put", "n1", "--for", "1h", "--reason", "x"]])
def test_a_matcher_without_a_field_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked."""
    assert main(argv) == 2
    assert "FIELD=PATTERN" in capsys.readouterr().err
