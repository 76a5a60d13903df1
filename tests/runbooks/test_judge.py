"""Tests of predicates: true, false, or not known."""

import math

import pytest

from ringwatch_runbooks.judge import holds
from ringwatch_runbooks.model import Predicate, Value


@pytest.mark.parametrize(
    ("op", "wanted", "value", "verdict"),
    [
        (">=", 85, 85.0, True),
        (">", 85, 85.0, False),
        ("<", 0.9, 0.5, True),
        ("<=", 1, 2.0, False),
        ("==", 0, 0.0, True),
        ("==", True, True, True),
        ("==", True, False, False),
        ("!=", "T", "R", True),
        ("==", "T", "T", True),
        ("in", ("R", "S"), "S", True),
        ("in", ("R", "S"), "T", False),
        ("has_any", 0x60, 64.0, True),
        ("has_any", 0x60, 5.0, False),
        (">=", 85, math.nan, None),
        ("has_any", 0x60, math.nan, None),
        (">=", 85, "hot", None),
        ("==", "T", 1.0, None),
        ("==", 1, "1", None),
    ],
)
def test_a_predicate_is_judged(
    op: str, wanted: Value | tuple[Value, ...], value: Value, verdict: bool | None
) -> None:
    """Values of different kinds are not compared: that would be a guess."""
    assert holds(Predicate(fact="gpu.state", op=op, value=wanted), value) is verdict
