"""Tests of the command and of the agent's way to it: real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringwatch_agent.probe import cli, keep
from ringwatch_agent.probe.node import RESULT, ProbeFailed, read_result
from ringwatch_proto.errors import VerbError
from ringwatch_proto.probe import Measure, ProbeResult, from_json, to_json

pytestmark = pytest.mark.torch


def result(speed: float, node: str = "other", wrong: str = "") -> ProbeResult:
    """Return a probe of a CPU's storage."""
    measure = Measure(
        name="storage.write", device="storage", kind="storage /x", value=speed, unit="GB/s", wrong=wrong
    )
    return ProbeResult(node=node, at_s=1.0, level="quick", seconds=1.0, measures=(measure,))


def test_the_command_prints_one_object_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the next one is compared with it."""
    file = tmp_path / "state" / "probe.jsonl"
    arguments = ["--only", "storage", "--folder", str(tmp_path), "--results", str(file)]

    assert cli.main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {each["name"] for each in printed["measures"]} == {"storage.write", "storage.read"}
    assert printed["reasons"] == []
    assert len(keep.load([file])[0]) == 1

    assert cli.main(arguments) == 0
    assert "of its past" in capsys.readouterr().out
    assert len(keep.load([file])[0]) == 2


def test_a_node_slower_than_its_peers_fails_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peers are files of other nodes' results."""
    peers = tmp_path / "peers.jsonl"
    kind = f"storage {tmp_path}"[:120]
    lines = []
    for at in range(4):
        measure = Measure(name="storage.write", device="storage", kind=kind, value=1e6, unit="GB/s")
        lines.append(
            to_json(ProbeResult(node=f"p{at}", at_s=1.0, level="quick", seconds=1.0, measures=(measure,)))
        )
    peers.write_text("\n".join([*lines, "{damaged"]) + "\n")

    code = cli.main(["--only", "storage", "--folder", str(tmp_path), "--no-results", "--peers", str(peers)])

    out, error = capsys.readouterr()
    assert code == 1
    assert "FAILED" in out
    assert "of the median of 4 peers" in out
    assert "1 lines of results cannot be read" in error


def test_a_test_that_hangs_ends_the_command_with_its_own_code(tmp_path: Path) -> None:
    """A call that hangs in a driver cannot be interrupted: the process ends."""
    fifo = tmp_path / "hangs.py"
    fifo.write_text(
        "import sys, time\nfrom ringwatch_agent.probe import cli\n"
        "cli._probed = lambda torch, arguments: time.sleep(600)\n"
        "sys.exit(cli.main(['--timeout-s', '0.5', '--no-results']))\n"
    )

    done = subprocess.run(
        [sys.executable, str(fifo)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == cli.HUNG
    assert "has not come back" in done.stderr


def test_the_agent_reads_what_the_command_printed() -> None:
    """The whole result goes on as one line."""
    good = json.dumps({**json.loads(to_json(result(1.0))), "reasons": [], "compared": 0})

    text, facts = read_result(f"a word before\n{good}\n", "")

    assert text == "1 checks passed in 1 s"
    assert from_json(facts[RESULT]) == result(1.0)


def test_what_is_wrong_is_a_failure_that_carries_its_result() -> None:
    """The collector keeps it, and tells the operator."""
    bad = json.dumps(
        {**json.loads(to_json(result(1.0, wrong="broken"))), "reasons": ["storage: broken"], "compared": 0}
    )

    with pytest.raises(ProbeFailed, match="storage: broken") as error:
        read_result(bad, "")

    assert from_json(error.value.facts[RESULT]).wrong


@pytest.mark.parametrize("out", ["", "nothing", "[]", "{}", '{"reasons": [], "compared": 0}'])
def test_a_command_that_prints_no_result_proves_nothing(out: str) -> None:
    """Its last words are told."""
    with pytest.raises(VerbError, match="out of memory"):
        read_result(out, "out of memory")
