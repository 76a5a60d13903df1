"""The command prints data on stdout, talk on stderr, and ends with the documented code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringwatch.diagnose import app, cli


def _file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "some.log"
    path.write_text(text)
    return str(path)


def test_fault_ends_with_one_and_quotes_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The evidence can be looked up."""
    path = _file(tmp_path, "hello\n[1.0] NVRM: Xid (PCI:0000:0a:00): 79, GPU has fallen off the bus.\n")
    assert cli.main([path]) == cli.FAULT
    assert f"{path}:2: " in capsys.readouterr().out


def test_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read the same answer."""
    assert cli.main(["--json", _file(tmp_path, "CA 'm'\n Port 1:\n  Physical state: Polling\n")]) == cli.FAULT
    assert json.loads(capsys.readouterr().out)["findings"][0]["fault"] == "ib_link.down"


def test_unknown_text_ends_with_three(tmp_path: Path) -> None:
    """Not to be taken for healthy."""
    assert cli.main([_file(tmp_path, "nothing of a kind\n")]) == cli.CANNOT_TELL


def test_missing_file_ends_with_four_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What could not be read is named on stderr."""
    assert cli.main([str(tmp_path / "absent")]) == cli.NOT_READ
    assert "absent" in capsys.readouterr().err


def test_chinese_findings_are_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Titles and words follow --lang."""
    cli.main(["--lang", "zh", _file(tmp_path, "CA 'm'\n Port 1:\n  Physical state: Polling\n")])
    assert "断开" in capsys.readouterr().out


def test_quote_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hostile log does not write to the operator's terminal."""
    cli.main([_file(tmp_path, "[1.0] NVRM: Xid (PCI:0000:0a:00): 79, \x1b[2J GPU has fallen off the bus.\n")])
    assert "\x1b" not in capsys.readouterr().out


def test_a_pasted_text_is_judged_like_a_file() -> None:
    """The console hands over text, not a path."""
    answer = app.of_text("[1.0] NVRM: Xid (PCI:0000:0a:00): 79, GPU has fallen off the bus.\n").answer
    assert [each.fault_class for each in answer.conclusions] == ["gpu.off_bus"]


def test_a_complaint_nobody_knows_is_shown_and_not_called_healthy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence about a line that complains would read as health."""
    path = _file(tmp_path, "2026-01-01 10:00:00 ERROR quuxd: fatal error: the zorble failed\n")
    assert cli.main([path]) == cli.CANNOT_TELL
    assert "zorble" in capsys.readouterr().out
