"""Silences by matcher: they say what they mean, end, and never mean everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.collector.store.records import INCIDENT

from ringwatch_collector.silences import Matcher, Silence, Silences, silence_of
from ringwatch_proto.records import IncidentKind, Subject

T = 1_700_000_000.0
NODE = Matcher(field="node", pattern="n1")


def put(silences: Silences, *matchers: Matcher, duration_s: float = 100.0) -> Silence:
    """Begin a silence."""
    return silences.put(matchers, "kim", "new fans", now_s=T, duration_s=duration_s)


def test_every_matcher_has_to_match() -> None:
    """Each narrows the silence."""
    silences = Silences()
    put(silences, NODE, Matcher(field="kind", pattern="gpu.*"))
    assert silences.over(INCIDENT, T) is not None
    assert silences.over(replace(INCIDENT, kind=IncidentKind.AGENT_SILENT), T) is None
    assert silences.over(replace(INCIDENT, culprit=Subject(kind="node", node="n11")), T) is None


def test_a_link_is_on_both_of_its_nodes() -> None:
    """Maintenance of one end silences the link."""
    silences = Silences()
    put(silences, NODE)
    link = Subject(kind="link", node="n7", peer="n1")
    assert silences.over(replace(INCIDENT, culprit=link), T) is not None


def test_of_several_the_one_that_holds_longest_counts_and_none_beyond_its_end() -> None:
    """So that an incident does not come back between two."""
    silences = Silences()
    put(silences, NODE, duration_s=10.0)
    longer = put(silences, NODE, duration_s=20.0)
    assert silences.over(INCIDENT, T + 5) == longer
    assert silences.over(INCIDENT, T + 19.9) == longer
    assert silences.over(INCIDENT, T + 20) is None


@pytest.mark.parametrize(
    ("matchers", "duration_s", "says"),
    [
        ((), 10.0, "1 to 8 matchers"),
        ((Matcher(field="node", pattern="*"),), 10.0, "silence everything"),
        (
            (Matcher(field="node", pattern="**?"), Matcher(field="job", pattern="*")),
            10.0,
            "silence everything",
        ),
        ((Matcher(field="rack", pattern="r1"),), 10.0, "no field 'rack'"),
        ((Matcher(field="node", pattern=""),), 10.0, "1 to 128"),
        ((NODE,), 0.0, "30 days"),
        ((NODE,), 31 * 86400.0, "30 days"),
        ((NODE,), float("nan"), "30 days"),
    ],
)
def test_a_silence_that_cannot_be_meant_is_refused(
    matchers: tuple[Matcher, ...], duration_s: float, says: str
) -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match=says):
        put(Silences(), *matchers, duration_s=duration_s)


def test_a_silence_comes_back_from_its_document_and_its_number_is_not_given_again() -> None:
    """After a restart, also when only its number is left."""
    first = put(Silences(), NODE)
    again = Silences([silence_of(first.document())], ["S-4"])
    assert again.all() == (first,)
    assert put(again, NODE).id == "S-5"


def test_a_silence_that_is_over_cannot_be_ended() -> None:
    """Nor one that never was."""
    silences = Silences()
    put(silences, NODE)
    silences.end("S-1", T + 1)
    with pytest.raises(ValueError, match="S-1 is over"):
        silences.end("S-1", T + 2)
    with pytest.raises(KeyError, match="no silence S-9"):
        silences.end("S-9", T + 2)
