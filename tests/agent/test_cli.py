"""The command: a whole agent as a process, against a real port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.agent.fake_collector import FakeCollector

from ringwatch_agent.cli import main
from ringwatch_proto import events
from ringwatch_proto.v1 import telemetry_pb2 as pb

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(tmp_path: Path, collector: FakeCollector) -> AsyncIterator[Start]:
    """Start agents that report to the fake collector; kill what is left of them."""
    running: list[Process] = []
    await collector.start()

    async def begin(*flags: str) -> Process:
        command = [
            *(sys.executable, "-m", "ringwatch_agent", "run", "--node", "n1", "--metrics", "off"),
            *("--collector", f"127.0.0.1:{collector.port}", "--interval-s", "0.1"),
            *("--state-dir", str(tmp_path / "state"), "--hook-socket", str(tmp_path / "hook.sock")),
            *("--kmsg", str(tmp_path / "kmsg")),
        ]
        running.append(await create_subprocess_exec(*command, *flags, stderr=subprocess.DEVNULL))
        return running[-1]

    yield begin
    for process in running:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _events(collector: FakeCollector) -> list[pb.Event]:
    return [event for batch in collector.batches for event in batch.events]


def _tables(collector: FakeCollector) -> set[int]:
    hellos = [each.hello for stream in collector.streams for each in stream if each.HasField("hello")]
    return {table.table for hello in hellos for table in hello.tables}


async def test_an_agent_reports_its_node_and_ends_when_told(collector: FakeCollector, start: Start) -> None:
    """Hello, readings of the host, what is missing, and exit code 0 on SIGTERM."""
    agent = await start("--labels", "rack=r1")
    await collector.wait_until(
        lambda: {"agent.started", "source.down"} <= {event.kind for event in _events(collector)}
    )
    hello = collector.streams[0][0].hello
    assert (hello.node, dict(hello.labels), hello.simulated) == ("n1", {"rack": "r1"}, False)
    # On a busy machine the first beat is over before the host was read: a later Hello names it then.
    await collector.wait_until(lambda: pb.TABLE_HOST in _tables(collector))
    assert "gpu.inspect" in hello.verbs
    assert "process.terminate" not in hello.verbs
    down = [event for event in _events(collector) if event.kind == events.SOURCE_DOWN]
    assert "kmsg" in {event.source for event in down}
    agent.send_signal(signal.SIGTERM)
    assert await agent.wait() == 0


async def test_a_killed_agent_and_an_absent_collector_lose_no_event(
    collector: FakeCollector, start: Start
) -> None:
    """What was written while nobody listened arrives after both are back, under the same spool."""
    collector.acknowledges = False
    agent = await start()
    await collector.wait_until(lambda: len(collector.batches) >= 3)
    first = collector.streams[0][0].hello
    agent.kill()
    await agent.wait()
    collector.acknowledges = True
    seen = len(collector.streams)
    await start()
    await collector.wait_until(lambda: len(collector.streams) > seen and len(collector.streams[-1]) > 4)
    again = collector.streams[-1]
    assert again[0].hello.spool_id == first.spool_id
    assert again[1].batch.sequence == 1
    assert any(event.kind == events.AGENT_STARTED for event in again[1].batch.events)
    sequences = [each.batch.sequence for each in again if each.HasField("batch")]
    assert sequences == sorted(set(sequences))


async def test_a_collector_off_loopback_without_tls_is_refused_at_start(start: Start) -> None:
    """Exit code 1 before anything is dialled."""
    agent = await start("--collector", "192.0.2.1:7701")
    assert await agent.wait() == 1


def test_sources_says_what_this_node_has(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line a source, with the reason where there is none."""
    assert main(["sources", "--json", "--interval-s", "0.1", "--kmsg", str(tmp_path / "none")]) == 0
    rows = {row["source"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["host"]["state"] == "up"
    assert rows["kmsg"]["state"] == "unsupported"
    assert "No such file" in rows["kmsg"]["reason"]
    assert rows["steps"]["state"] == "not tried"
    assert rows["agent"]["state"] in ("running", "no answer")


def test_readings_prints_every_reading(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One object a device, NaN left out."""
    assert main(["readings", "--json", "--interval-s", "0.1", "--kmsg", str(tmp_path / "none")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    host = next(row for row in rows if row.get("table") == "host")
    assert host["host.cpus"] >= 1


@pytest.mark.parametrize("argv", [["run", "--interval-s", "0"], ["scan", "--config", "/none.toml"]])
def test_a_setting_that_cannot_work_is_code_1_and_a_sentence(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with nothing on stdout."""
    assert main(argv) == 1
    told = capsys.readouterr()
    assert told.err.startswith("ringwatch agent: ")
    assert not told.out
