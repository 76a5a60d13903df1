"""The text twins as commands: what they print, in both forms, and their exit codes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from tests.tui import world
from tests.tui.server import Query, serving

from ringwatch_proto.v1 import query_pb2
from ringwatch_tui.cli import main
from ringwatch_tui.twins import machine, plain

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def served() -> Iterator[tuple[str, Query]]:
    """Serve in a thread of its own, as the commands run their own loop."""
    up, down = Event(), Event()
    found: list[tuple[str, Query]] = []

    async def run() -> None:
        async with serving() as (address, query):
            found.append((address, query))
            up.set()
            await asyncio.to_thread(down.wait)

    thread = Thread(target=lambda: asyncio.run(run()))
    thread.start()
    up.wait()
    yield found[0]
    down.set()
    thread.join()


GOLDENS = {
    "status": lambda: plain.status(world.fleet(), 120),
    "incidents": lambda: plain.incidents_with_health(world.fleet(), 120, include_closed=True),
    "incident": lambda: plain.incident(world.STRAGGLER, world.fleet(), (world.BOOK,), 100),
    "jobs": lambda: plain.jobs(world.fleet(), 120),
    "job": lambda: plain.job(world.job_detail(), world.fleet(), 120),
    "nodes": lambda: plain.nodes(world.fleet(), 120),
    "node": lambda: plain.node(world.node_detail(), 120),
    "quiet": lambda: plain.incidents_with_health(world.quiet_fleet(), 120, include_closed=False),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_text_is_as_agreed(name: str) -> None:
    """The text of each twin, letter by letter."""
    assert plain.printed(GOLDENS[name]()) + "\n" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


JSON_GOLDENS = {
    "status": lambda: machine.status(world.fleet()),
    "incidents": lambda: machine.incidents(world.fleet(), include_closed=False),
    "job": lambda: [machine.job(world.job_detail())],
    "node": lambda: [machine.node(world.node_detail())],
}


@pytest.mark.parametrize("name", JSON_GOLDENS)
def test_json_keys_are_stable(name: str) -> None:
    """Scripts depend on these keys; absent numbers are null."""
    text = "".join(machine.dumped(each) + "\n" for each in JSON_GOLDENS[name]())

    assert text == (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8")
    assert "NaN" not in text


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["status"], 1),
        (["incidents", "--all"], 1),
        (["incident", "I-142"], 1),
        (["incident", "I-9"], 1),
        (["jobs"], 0),
        (["job", "llm"], 0),
        (["nodes"], 0),
        (["node", "n9"], 0),
        (["gpu", "n9/gpu0"], 0),
        (["gpu", "n9/0"], 0),
        (["gpu", "n9/7"], 1),
        (["gpu", "n9"], 1),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_each_command_answers_and_says_whether_something_is_wrong(
    served: tuple[str, Query], capsys: pytest.CaptureFixture[str], argv: list[str], code: int, form: list[str]
) -> None:
    """0 is well, 1 is something to look at."""
    assert main([*argv, "--collector", served[0], *form]) == code
    out = capsys.readouterr()
    said = {"I-9": "no incident I-9", "n9/7": "n9 has no GPU '7'", "n9": "NODE/GPU"}.get(argv[-1], "")
    if said and argv[0] in ("incident", "gpu"):
        assert said in out.err
    elif form:
        assert all(isinstance(json.loads(row), dict) for row in out.out.splitlines())
    else:
        assert out.out.strip()


def test_no_open_critical_incident_is_success(
    served: tuple[str, Query], capsys: pytest.CaptureFixture[str]
) -> None:
    """A monitoring script may rely on 0."""
    del served[1].fleet.incidents[:]

    assert main(["status", "--collector", served[0]]) == 0
    assert "No open incidents; 13 rules on 100.0 % complete input" in capsys.readouterr().out


def test_no_terminal_means_text(served: tuple[str, Query], capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe the console prints what status prints."""
    assert main(["console", "--collector", served[0]]) == 1
    assert "rank 91 computes" in capsys.readouterr().out


def test_nobody_there_is_three(capsys: pytest.CaptureFixture[str]) -> None:
    """A script can tell a sick fleet from a collector that is gone."""
    assert main(["status", "--collector", "127.0.0.1:1"]) == 3
    out = capsys.readouterr()
    assert out.out == ""
    assert "127.0.0.1:1" in out.err


@pytest.mark.parametrize("argv", [["incident"], ["status", "--nonsense"], ["console", "--role", "root"]])
def test_a_wrong_call_is_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors go to stderr."""
    assert main(argv) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["console", "status", "incidents", "incident", "jobs", "job", "nodes", "node"]
)
def test_help_has_an_example_and_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command documents itself."""
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"ringwatch {name}" in text
    assert "exit codes:" in text


def test_ascii_text_is_ascii(served: tuple[str, Query], capsys: pytest.CaptureFixture[str]) -> None:
    """--ascii leaves only ASCII of ours."""
    served[1].fleet.nodes.extend([query_pb2.NodeSummary(node="n11", state="silent", last_seen_age_s=99)])

    main(["status", "--collector", served[0], "--ascii"])
    assert capsys.readouterr().out.isascii()
