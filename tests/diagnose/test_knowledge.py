"""The data that an operator may edit is sound: known words, live anchors, no expression that can run away."""

from __future__ import annotations

import re

import pytest

from ringwatch_agent.evidence.sieve import TextSieve
from ringwatch_agent.evidence.signs import ANCHORS
from ringwatch_knowledge import fault_classes, line_signs
from ringwatch_knowledge.line_signs import Sign

ROLES = {"root", "effect", "mixed", "benign", "context"}
# Classes that a judge makes out of the sign and what stands beside it.
JUDGED_TOGETHER = {
    "sxid", "link.down", "link.up", "nccl.ib_completion", "nccl.ib_event", "torchrun.child_failed",
    "mpi.exited", "collective.unclear", "scheduler.allocatable",
}  # fmt: skip


@pytest.mark.parametrize("sign", line_signs.signs(), ids=lambda sign: sign.id)
def test_sign_is_sound(sign: Sign) -> None:
    """Its class and role are known, and every repeat in its expression has a bound."""
    assert sign.role in ROLES
    assert sign.fault_class in {*fault_classes.names(), *JUDGED_TOGETHER}
    assert all(len(anchor) > 2 for anchor in sign.anchors)
    if sign.regex is not None:
        assert not re.search(r"(?<!\\)\.[*+]|\\[wSd]\*|\\[wS]\+", sign.regex.pattern)


def test_sieve_lets_every_anchor_through() -> None:
    """What is thrown out first can be no sign."""
    sieve = TextSieve(ANCHORS)
    assert [anchor for anchor in ANCHORS if not sieve.may(f"12ab {anchor} 9f")] == []


def test_classes_are_ordered_and_named_in_both_languages() -> None:
    """The ranking and both languages need them."""
    for name in fault_classes.names():
        found = fault_classes.lookup(name)
        assert found.title
        assert found.title_zh
        assert 1 <= found.severity <= 3
