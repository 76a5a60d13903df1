"""``ringwatch collector``: exit codes, what it prints, and its documented examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ringwatch_collector.cli import main


def test_check_config_prints_every_setting_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it prints is what run would use."""
    file = tmp_path / "collector.toml"
    file.write_text("tick_s = 1.5\n")
    assert main(["check-config", "--config", str(file), "--data-dir", "here"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["tick_s"] == 1.5
    assert printed["data_dir"] == "here"


@pytest.mark.parametrize("command", ["run", "check-config"])
def test_a_setting_that_cannot_work_ends_with_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason is on stderr, and stdout is empty."""
    assert main([command, "--listen", "0.0.0.0:7701"]) == 2
    captured = capsys.readouterr()
    assert "off loopback" in captured.err
    assert not captured.out


def test_a_database_that_cannot_be_opened_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fail fast at the start."""
    (tmp_path / "ringwatch.db").mkdir()
    assert main(["run", "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path)]) == 3
    assert "cannot open the database" in capsys.readouterr().err


def test_a_certificate_that_is_not_there_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TLS that cannot be had is never plaintext instead."""
    flags = ["--tls-certificate", "no.pem", "--tls-key", "no.key", "--data-dir", str(tmp_path)]
    assert main(["run", "--listen", "127.0.0.1:0", *flags]) == 2
    assert "no.pem" in capsys.readouterr().err
