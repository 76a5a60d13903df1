"""The data that an operator may edit is sound: known words, live anchors, no expression that can run away."""

from __future__ import annotations

from ringwatch_agent.evidence.all import STREAM_ANCHORS
from ringwatch_agent.evidence.sieve import Sieve, TextSieve
from ringwatch_agent.evidence.signs import ANCHORS
from ringwatch_knowledge import fault_classes, lint
from ringwatch_runbooks.load import load_library


def test_the_products_own_data_is_sound() -> None:
    """Keys are unique, words known, expressions bounded, both languages there."""
    assert list(lint.product()) == []


def test_sieve_lets_every_anchor_through() -> None:
    """What is thrown out first can be no sign."""
    sieve = TextSieve(ANCHORS)
    assert [anchor for anchor in ANCHORS if not sieve.may(f"12ab {anchor} 9f")] == []


def test_every_fault_names_a_runbook_that_exists() -> None:
    """An answer that points to a page that is not there helps nobody at night."""
    library = load_library()
    named = {fault_classes.lookup(name).runbook for name in fault_classes.names()} - {""}

    assert named <= set(library.runbooks)
    assert len(named) > 30


def test_ordinary_lines_of_training_do_not_pass_the_sieve() -> None:
    """One short anchor that is in every line makes a large log take minutes."""
    block = b"2026-01-01 10:00:00 step 7 loss 0.1 lr 1.0e-4 tokens/s 18233.1 rank 3\n"
    assert not list(Sieve(STREAM_ANCHORS).lines([block], [0]))
