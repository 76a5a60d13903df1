"""Tests of shell completion: what may follow, asked of the commands themselves and of a real collector."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tui.server import serving

from ringwatch.commands import COMMANDS
from ringwatch.completion import SCRIPTS, main, words


def test_a_command_is_completed() -> None:
    """Every command of the table, and those that begin so."""
    assert words([""]) == [each.name for each in COMMANDS]
    assert words(["incid"]) == ["incidents", "incident"]


def test_options_are_those_that_help_lists() -> None:
    """Nothing is written down twice."""
    assert words(["incidents", "--a"]) == ["--all", "--ascii"]
    assert "--theme" in words(["console", "--"])
    assert words(["no-such-command", "--"]) == []


def test_sub_commands_are_completed() -> None:
    """As argparse knows them."""
    assert words(["kb", "l"]) == ["list", "lint"]
    assert words(["completion", ""]) == list(SCRIPTS)


async def test_names_come_from_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator types I- and tab."""
    async with serving() as (address, _):
        for typed, found in (
            (["incident", "I-"], "I-142\n"),
            (["node", "n"], "n10\nn9\n"),
            (["gpu", "n9/"], "n9/gpu0\n"),
            (["job", ""], "llm\n"),
        ):
            said = await _asked(address, *typed)
            assert said == found
    monkeypatch.setenv("RINGWATCH_COLLECTOR", "127.0.0.1:1")
    assert await _asked("127.0.0.1:1", "incident", "I-") == "\n"


async def _asked(address: str, *typed: str) -> str:
    """Ask as a shell does: in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringwatch.main", "completion", "words", *typed,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "RINGWATCH_COLLECTOR": address},
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


def test_bash_takes_the_script_and_completes(tmp_path: Path) -> None:
    """The script runs in a real shell."""
    (tmp_path / "ringwatch").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ringwatch.main "$@"\n')
    (tmp_path / "ringwatch").chmod(0o755)
    program = (
        f'PATH="{tmp_path}:$PATH"; eval "$(ringwatch completion bash)"; '
        'COMP_WORDS=(ringwatch incid); COMP_CWORD=1; _ringwatch; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["incidents", "incident"]


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the line that helps."""
    assert main(["tcsh"]) == 2
    assert "ringwatch completion bash" in capsys.readouterr().err
