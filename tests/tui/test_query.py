"""The filter language of the lists."""

import pytest

from ringwatch_tui.state.query import matches, parse

ROW = {"id": "I-1", "sev": "warn", "state": "new", "what": "thermal slowdown on n022", "owner": ""}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("thermal", True),
        ("THERMAL n022", True),
        ("network", False),
        ("!network", True),
        ("state:new", True),
        ("!state:new", False),
        ("state:!new", False),
        ("sev:>=warn", True),
        ("sev:>=crit", False),
        ("sev:>=nonsense", False),
        ("state:", True),
        ("nosuch:x", False),
    ],
)
def test_terms_are_joined_by_and(text: str, kept: bool) -> None:
    """Words match anywhere, fields where they say, ! turns a term around."""
    assert matches(parse(text), ROW) is kept
