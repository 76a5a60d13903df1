"""The registry of actions is sound."""

import re
from collections import Counter
from pathlib import Path

import pytest

from ringwatch_tui.actions import ACTIONS, BY_ID, actions_on, allowed
from ringwatch_tui.operations import ALL

SCREENS = (
    "overview",
    "jobs",
    "nodes",
    "incidents",
    "incident",
    "job",
    "node",
    "gpu",
    "run",
    "silences",
    "alerts",
    "settings",
    "audit",
)


@pytest.mark.parametrize("screen", SCREENS)
def test_a_key_means_one_thing_on_a_screen(screen: str) -> None:
    """No two actions share a key where both work."""
    keys = Counter(each.key for each in actions_on(screen))

    assert {key for key, count in keys.items() if count > 1} == set()


def test_no_key_needs_a_modifier() -> None:
    """Terminal multiplexers own ctrl and alt."""
    assert [each.key for each in ACTIONS if re.search(r"ctrl|alt|f\d+$", each.key)] == []


def test_everything_that_changes_something_needs_more_than_a_viewer() -> None:
    """Read-only is what a console is unless it was started otherwise."""
    changing = ALL - {"runbook"}

    assert all(not allowed(BY_ID[name], "viewer") for name in changing)
    assert all(allowed(BY_ID[name], "operator") for name in changing)


def test_every_operation_is_in_the_registry() -> None:
    """Nothing can be done that the help does not list."""
    assert set(BY_ID) >= ALL


def test_the_page_lists_every_key() -> None:
    """docs/console.md is checked against the registry."""
    page = (Path(__file__).parents[2] / "docs" / "console.md").read_text(encoding="utf-8")

    missing = [each.id for each in ACTIONS if f"| `{each.shown_key}` | {each.title} |" not in page]
    assert missing == []
