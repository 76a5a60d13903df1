"""Settings: order of precedence, unknown keys, values that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringwatch_collector.config import load_config, shown, split_address
from ringwatch_proto.errors import ConfigError


def test_flags_beat_environment_beats_file_beats_defaults(tmp_path: Path) -> None:
    """Each layer overrides the one before."""
    file = tmp_path / "collector.toml"
    file.write_text('listen = "127.0.0.1:1"\nname = "file"\ntick_s = 2\ndata_dir = "file"\n')
    environment = {
        "RINGWATCH_COLLECTOR": "127.0.0.1:2",
        "RINGWATCH_COLLECTOR_NAME": "environment",
        "HOME": "/",
    }
    config = load_config(file, environment, {"listen": "127.0.0.1:3", "data_dir": None})
    assert (config.listen, config.name, config.tick_s, config.data_dir) == (
        "127.0.0.1:3",
        "environment",
        2.0,
        "file",
    )
    assert config.history_s == 300


@pytest.mark.parametrize(
    "text",
    [
        'lisen = "127.0.0.1:1"',
        "listen = 5",
        'tick_s = "fast"',
        "tick_s = -1",
        "tick_s = inf",
        "job_slots = 1.5",
        "insecure_plaintext = 3",
        'listen = "7701"',
        'listen = "127.0.0.1:99999"',
        'listen = "0.0.0.0:7701"',
        'tls_key = "key.pem"',
        'tls_client_ca = "ca.pem"',
        'metrics_listen = "0.0.0.0:9100"',
        "= 3",
    ],
)
def test_a_setting_that_cannot_work_is_an_error(tmp_path: Path, text: str) -> None:
    """At the start, with a sentence, and never later."""
    file = tmp_path / "collector.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file, {}, {})


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It was named, so it was meant."""
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        load_config(tmp_path / "nothing.toml", {}, {})


def test_plaintext_off_loopback_needs_its_flag_and_is_told() -> None:
    """The flag is an acceptance, which every screen repeats."""
    config = load_config(None, {}, {"listen": "0.0.0.0:7701", "insecure_plaintext": True})
    assert config.plaintext_off_loopback
    assert not load_config(None, {"RINGWATCH_COLLECTOR_INSECURE_PLAINTEXT": "1"}, {}).plaintext_off_loopback


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:7701", ("127.0.0.1", 7701)), ("[::1]:0", ("::1", 0)), ("localhost:1", ("localhost", 1))],
)
def test_addresses_are_host_and_port(text: str, address: tuple[str, int]) -> None:
    """IPv6 stands in brackets."""
    assert split_address(text) == address


def test_settings_are_shown_without_the_password_of_the_database() -> None:
    """``check-config`` ends up in tickets."""
    url = "postgresql://watch:ge:h@im@db.example/ringwatch"
    settings = shown(load_config(None, {}, {"database_url": url}))
    assert settings["database_url"] == "postgresql://watch:***@db.example/ringwatch"
