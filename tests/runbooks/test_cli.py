"""Tests of the runbook commands that need no collector; the others are in tests/collector/test_runs.py."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runbooks.rig import packaged_library
from tests.runbooks.test_load import GOOD

from ringwatch_runbooks.cli import main


def test_list_names_every_runbook(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, and one object each."""
    assert main(["list"]) == 0
    plain = capsys.readouterr().out.splitlines()
    assert main(["list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert len(plain) == len(rows) == len(packaged_library().runbooks)
    assert {row["id"] for row in rows} == set(packaged_library().runbooks)


@pytest.mark.parametrize("id", ["hang", "thermal", "gpu-memory"])
def test_show_tells_all_of_a_runbook(id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules come before steps."""
    book = packaged_library().runbooks[id]

    assert main(["show", id]) == 0
    text = capsys.readouterr().out

    assert text.index(book.first_rule.zh) < text.index(f"  1  {book.steps[0].id}")
    assert all(rule in text for rule in book.never)
    assert all(step.id in text for step in book.steps)
    assert main(["show", id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["id"] == book.steps[0].id


def test_show_of_nothing_fails_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """And says how to find the right name."""
    assert main(["show", "nothing"]) == 1
    assert "runbook list" in capsys.readouterr().err


def test_lint_of_the_library_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is shipped is clean."""
    assert main(["lint"]) == 0
    assert capsys.readouterr().out == ""


def test_lint_of_a_file_tells_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As compilers do, so that editors can jump there."""
    path = tmp_path / "small.yaml"
    path.write_text(GOOD.replace("goto: over", "goto: nowhere", 1), encoding="utf-8")

    assert main(["lint", str(path)]) == 1
    assert capsys.readouterr().out.startswith(f"{path}:11: step look goes to nowhere")
    assert main(["lint", "--json", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out)["line"] == 11
    assert main(["lint", str(tmp_path / "none.yaml")]) == 2


def test_facts_lists_what_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes a runbook needs the names."""
    assert main(["facts", "--json"]) == 0
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]

    assert "gpu.sm_clock_ratio_to_peers" in names
    assert names == sorted(names)


def test_without_a_collector_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """3 stands for not reached, in all commands."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        assert main(["run", "R-1", "--collector", address]) == 3
    assert "no collector answers" in capsys.readouterr().err


def test_reading_runbooks_loads_no_grpc() -> None:
    """A laptop with the files is enough to read them."""
    program = (
        "import sys; from ringwatch_runbooks.cli import main; main(['list']); "
        "sys.exit(any(name.partition('.')[0] in ('grpc', 'google', 'numpy') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0
