"""Settings: four layers, one result, unknown keys are errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringwatch_agent.config import SETTINGS, AgentConfig, load
from ringwatch_proto.errors import ConfigError


def test_defaults_report_to_this_machine() -> None:
    """Nothing leaves the machine unless somebody says so."""
    config = load({}, {}, None)
    assert config == AgentConfig()
    assert config.collector == "127.0.0.1:7701"
    assert config.metrics.startswith("127.0.0.1:")
    assert not config.insecure_plaintext
    assert config.node


def test_each_layer_goes_over_the_one_before(tmp_path: Path) -> None:
    """File < environment < flags."""
    file = tmp_path / "agent.toml"
    file.write_text('node = "file"\ninterval_s = 3\ndeadline_s = 7\n[labels]\nrack = "r1"\n')
    config = load({"node": "flag"}, {"RINGWATCH_AGENT_NODE": "env", "RINGWATCH_AGENT_INTERVAL_S": "2"}, file)
    assert (config.node, config.interval_s, config.deadline_s) == ("flag", 2, 7)
    assert config.labels == {"rack": "r1"}


def test_names_shared_with_other_parts_are_honoured() -> None:
    """One variable points agent, hook and console at the same place."""
    config = load(
        {}, {"RINGWATCH_COLLECTOR": "c:1", "RINGWATCH_SOCKET": "/tmp/h", "RINGWATCH_JOB": "x"}, None
    )
    assert (config.collector, config.hook_socket) == ("c:1", Path("/tmp/h"))


@pytest.mark.parametrize(
    ("flags", "environment", "text"),
    [
        ({}, {}, "nodename = 'x'"),
        ({}, {"RINGWATCH_AGENT_NODENAME": "x"}, ""),
        ({"interval_s": "0"}, {}, ""),
        ({"interval_s": "soon"}, {}, ""),
        ({"insecure_plaintext": "perhaps"}, {}, ""),
        ({"collector": "nohost"}, {}, ""),
        ({"labels": "rack"}, {}, ""),
        ({"node": "a\x1b[2J"}, {}, ""),
        ({"labels": "rack=" + "r" * 200}, {}, ""),
        ({"kmsg_pci": "41"}, {}, ""),
        ({"tls_ca": "/x"}, {}, ""),
        ({}, {}, "node = "),
        ({}, {}, "[[node]]"),
    ],
)
def test_what_cannot_work_is_an_error_at_start(
    tmp_path: Path, flags: dict[str, str], environment: dict[str, str], text: str
) -> None:
    """A typing error never becomes a default."""
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load(flags, environment, file)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A file that was named must be there."""
    with pytest.raises(ConfigError, match="No such file"):
        load({}, {}, tmp_path / "none.toml")


def test_pci_addresses_are_written_as_the_kernel_does() -> None:
    """Whatever form they were given in."""
    config = load({"kmsg_pci": "41:00,00000000:0A:00.0"}, {}, None)
    assert config.kmsg_pci == frozenset({"0000:41:00.0", "0000:0a:00.0"})


def test_every_setting_is_documented_and_has_its_own_flag() -> None:
    """The help text is the documentation."""
    assert all(setting.doc.help for setting in SETTINGS)
    assert len({setting.flag for setting in SETTINGS}) == len(SETTINGS)
