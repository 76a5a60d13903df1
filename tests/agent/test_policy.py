"""What a node allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringwatch_agent.policy import load_policy
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.verbs import BY_NAME


def test_without_a_file_a_node_can_only_be_looked_at() -> None:
    """The default changes nothing on the node."""
    assert {BY_NAME[name].risk for name in load_policy(None)} == {"R0"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("p.toml", 'allow = ["process.continue"]'), ("p.json", '{"allow": ["process.continue"]}')],
)
def test_a_file_says_exactly_what_is_allowed(tmp_path: Path, name: str, text: str) -> None:
    """TOML or JSON; what it leaves out is not allowed."""
    (tmp_path / name).write_text(text)
    assert load_policy(tmp_path / name) == {"process.continue"}


@pytest.mark.parametrize(
    "text",
    ['allow = ["rm -rf"]', "allow = 1", 'alow = ["gpu.inspect"]', "=", "allow = []\nmore = 1", "allow = [1]"],
)
def test_a_file_that_says_something_else_stops_the_start(tmp_path: Path, text: str) -> None:
    """A typing error must not read as "nothing allowed" or "all allowed"."""
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError):
        load_policy(tmp_path / "p.toml")


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    """A policy that was named must be there."""
    with pytest.raises(ConfigError, match="No such file"):
        load_policy(tmp_path / "p.toml")
