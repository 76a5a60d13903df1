"""Conditions as events."""

from __future__ import annotations

from ringwatch_agent.sources.conditions import MOST_HELD, TOLD_AGAIN_S, Condition, Conditions
from ringwatch_proto import events
from ringwatch_proto.records import Severity

HUNG = Condition(name="mount_not_answering", where="/data", text="/data hangs", since_s=1000.0)


def test_a_condition_is_told_when_it_begins_and_when_it_ends() -> None:
    """And not in between."""
    conditions = Conditions("mounts")
    (begun,) = conditions.changes([HUNG], 0.0)
    assert (begun.kind, begun.device, begun.source) == (events.HOST_FAULT, "/data", "mounts")
    assert begun.fields["condition"] == "mount_not_answering"
    assert begun.fields["since"] == "1000"
    assert conditions.changes([HUNG], 10.0) == ()
    (ended,) = conditions.changes([], 20.0)
    assert (ended.kind, ended.severity) == (events.HOST_CLEARED, Severity.INFO)
    assert ended.fields["since"] == "1000"
    assert conditions.changes([], 30.0) == ()


def test_one_that_lasts_is_told_again_with_its_begin() -> None:
    """A collector that started later can name it."""
    conditions = Conditions("mounts")
    conditions.changes([HUNG], 0.0)
    (again,) = conditions.changes([HUNG], TOLD_AGAIN_S)
    assert again.fields["since"] == "1000"


def test_one_that_gets_worse_is_told_at_once() -> None:
    """A minute of silence is another severity than a moment."""
    conditions = Conditions("mounts")
    conditions.changes([HUNG], 0.0)
    worse = Condition(name=HUNG.name, where=HUNG.where, text=HUNG.text, severity=Severity.CRITICAL)
    (told,) = conditions.changes([worse], 1.0)
    assert (told.severity, told.fields["since"]) == (Severity.CRITICAL, "1000")


def test_what_happened_once_is_never_taken_back() -> None:
    """It says so, and is not held."""
    conditions = Conditions("hardware")
    event = conditions.happened(Condition(name="pcie_fatal", where="0000:41:00.0", text="fatal"))
    assert event.fields["once"] == "1"
    assert conditions.changes([], 0.0) == ()


def test_corrected_errors_are_one_event_an_hour_and_place() -> None:
    """With all that came since the last one."""
    conditions = Conditions("hardware")
    place = Condition(name="memory_corrected", where="mc0/dimm1", text="corrected", severity=Severity.INFO)
    first = conditions.corrected(place, 3, 0.0)
    assert first is not None
    assert (first.kind, first.code) == (events.HOST_CORRECTED, 3)
    assert conditions.corrected(place, 4, 60.0) is None
    assert conditions.corrected(place, 5, 3599.0) is None
    later = conditions.corrected(place, 1, 3600.0)
    assert later is not None
    assert later.code == 10


def test_too_many_at_once_are_bounded_and_counted() -> None:
    """A storm of mounts does not flood the fleet."""
    conditions = Conditions("mounts")
    many = [Condition(name="x", where=str(at), text="x") for at in range(MOST_HELD + 5)]
    assert len(conditions.changes(many, 0.0)) == MOST_HELD
    assert conditions.left_out == 5
