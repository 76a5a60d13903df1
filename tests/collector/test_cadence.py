"""Which rules are asked when: cheap ones always, costly ones as often as their share of a core allows."""

from __future__ import annotations

from ringwatch_collector.cadence import CHEAP_S, LONGEST_S, Cadence

RULES = ["hard", "slow"]


def _cadence(hard_s: float, slow_s: float) -> Cadence:
    cadence = Cadence(share=0.1)
    cadence.due(RULES, 0.0)
    cadence.note("hard", hard_s)
    cadence.note("slow", slow_s)
    return cadence


def test_cheap_rules_are_asked_at_every_look() -> None:
    """A small fleet is looked at by every rule twice a second."""
    cadence = _cadence(0.0001, CHEAP_S)
    assert [cadence.due(RULES, 0.5 * look) for look in range(1, 5)] == [set(RULES)] * 4


def test_a_costly_rule_is_asked_less_often_and_a_hard_fault_never_waits_for_it() -> None:
    """A rule of 100 ms at a tenth of a core is asked once a second."""
    cadence = _cadence(0.0001, 0.1)
    asked = [cadence.due(RULES, 0.5 * look) for look in range(1, 7)]
    assert asked == [{"hard"}, set(RULES)] * 3


def test_the_costliest_rule_is_still_asked_within_its_bound() -> None:
    """A slow rank has to be named within seven steps, whatever the fleet's size."""
    cadence = _cadence(0.0001, 60.0)
    assert cadence.period_s == LONGEST_S
    assert cadence.due(RULES, LONGEST_S) == set(RULES)


def test_a_rule_that_became_cheap_is_asked_at_every_look_again() -> None:
    """What it costs is learned from each look."""
    cadence = _cadence(0.0001, 0.1)
    for _ in range(20):
        cadence.note("slow", 0.0001)
    assert cadence.period_s == 0.0
