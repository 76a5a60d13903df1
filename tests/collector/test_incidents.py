"""The book of incidents: one trouble is one incident, for as long as it lasts and as often as it returns."""

from dataclasses import replace
from typing import Any

import pytest

from ringwatch_collector.fusion import Fused
from ringwatch_collector.incident_life import ACTIONS, TRANSITIONS
from ringwatch_collector.incident_match import key_of
from ringwatch_collector.incidents import IncidentBook, IncidentPolicy
from ringwatch_collector.silences import Matcher, Silences
from ringwatch_proto.records import (
    Finding,
    Incident,
    IncidentKind,
    IncidentState,
    Severity,
    Subject,
    Verdict,
    Why,
)

T = 1_700_000_000.0
K = IncidentKind
RANK = Subject(kind="rank", node="n001", device="GPU-1", job="llm", rank=1)
OTHER = Subject(kind="rank", node="n002", device="GPU-2", job="llm", rank=2)
GPU = Subject(kind="gpu", node="n001", device="GPU-1")
NOBODY = Subject(kind="none", job="llm")


def finding(kind: IncidentKind = K.STRAGGLER_COMPUTE, culprit: Subject = RANK, **changed: Any) -> Finding:
    """Return a finding."""
    plain: dict[str, Any] = {
        "kind": kind, "detector": kind.value, "culprit": culprit, "cause": "cause",
        "verdict": Verdict.HARDWARE,
        "severity": Severity.WARNING, "confidence": 0.8, "onset_s": T - 5.0, "summary": "words",
        "why": Why(rule="", source=""),
    }  # fmt: skip
    return Finding(**(plain | changed))


def one(*findings: Finding) -> list[Fused]:
    """Return one cause: the first finding explains the others."""
    return [Fused(primary=findings[0], explained=findings[1:])]


def runbooks_for(incident: Incident) -> tuple[str, ...]:
    """Name a runbook after the kind."""
    return (incident.kind.value,)


def make(*stored: Incident, **policy: float) -> IncidentBook:
    """Return a book."""
    return IncidentBook(IncidentPolicy(**policy), runbooks_for, stored)


def quiet(book: IncidentBook, since_s: float, seconds: float) -> float:
    """Let the book look without seeing anything, every half second; return the time after."""
    at = since_s
    while at < since_s + seconds:
        at += 0.5
        book.update([], at)
    return at


def test_a_finding_opens_one_incident_and_goes_on_in_it() -> None:
    """Said at each look, it is one incident, and only what changed is to be stored."""
    book = make()
    (opened,) = book.update(one(finding()), T)
    assert (opened.id, opened.state, opened.culprit) == ("I-1", IncidentState.NEW, RANK)
    assert opened.runbooks == ("straggler.compute",)
    assert opened.pages
    for tick in range(1, 10):
        assert book.update(one(finding(summary=f"words {tick}")), T + tick / 2) == []
    assert book.get("I-1").summary == "words 9"
    assert len(book.all()) == 1


def test_cost_grows_with_the_time_seen_and_not_with_looks_or_gaps() -> None:
    """8 GPUs held for a minute are 8/60 GPU-hours; what passed while nobody looked is not counted."""
    book = make()
    for tick in range(121):
        book.update(one(finding(gpus_held=8.0)), T + tick / 2)
    assert book.get("I-1").gpu_hours_lost == pytest.approx(8.0 / 60.0)
    book.update(one(finding(gpus_held=8.0)), T + 10_000.0)
    assert book.get("I-1").gpu_hours_lost == pytest.approx(8.0 / 60.0 + 8.0 * 5.0 / 3600.0)


def test_cost_alone_is_stored_every_ten_seconds() -> None:
    """Not at every look."""
    book = make()
    book.update(one(finding(gpus_held=8.0)), T)
    stored = [tick for tick in range(1, 61) if book.update(one(finding(gpus_held=8.0)), T + tick / 2)]
    assert stored == [20, 40, 60]


def test_quiet_time_is_counted_and_the_incident_stays_visible() -> None:
    """Inactive after five seconds, closed by itself only after ten minutes."""
    book = make()
    book.update(one(finding()), T)
    at = quiet(book, T, 4.0)
    assert book.get("I-1").active
    at = quiet(book, at, 2.0)
    incident = book.get("I-1")
    assert (incident.active, incident.state) == (False, IncidentState.NEW)
    assert incident.quiet_s == pytest.approx(6.0)
    at = quiet(book, at, 600.0)
    assert book.get("I-1").state is IncidentState.RESOLVED
    assert book.get("I-1").closed_s is not None


def test_a_flicker_does_not_start_quiet_time_over_and_opens_nothing() -> None:
    """A finding that comes and goes is one active incident."""
    book = make()
    for tick in range(40):
        book.update(one(finding()) if tick % 4 == 0 else [], T + tick / 2)
    assert len(book.all()) == 1
    assert book.get("I-1").active


def test_a_latched_incident_waits_for_a_person() -> None:
    """An Xid does not unhappen by being silent."""
    book = make()
    book.update(one(finding(K.GPU_OFF_BUS, GPU, latched=True)), T)
    at = quiet(book, T, 2000.0)
    incident = book.get("I-1")
    assert (incident.state, incident.active) == (IncidentState.NEW, False)
    book.act("I-1", "resolve", "ada", "rebooted", at)
    assert book.get("I-1").state is IncidentState.RESOLVED


def test_the_same_event_said_again_does_not_reopen_and_a_new_one_does() -> None:
    """After a restart of the collector old events are told once more."""
    book = make()
    xid = finding(K.GPU_OFF_BUS, GPU, latched=True, onset_s=T)
    book.update(one(xid), T)
    at = quiet(book, T, 30.0)
    book.act("I-1", "resolve", "ada", "", at)
    book.update(one(xid), at + 1)
    assert book.get("I-1").state is IncidentState.RESOLVED
    assert len(book.all()) == 1
    book.update(one(replace(xid, onset_s=at + 5)), at + 6)
    assert (book.get("I-1").state, book.get("I-1").reopened) == (IncidentState.NEW, 1)


def test_trouble_that_returns_soon_continues_its_incident_and_later_is_a_new_one() -> None:
    """Within a quarter of an hour after the close it is the same."""
    book = make(resolve_after_s=10.0, reopen_s=100.0)
    book.update(one(finding()), T)
    at = quiet(book, T, 20.0)
    assert book.get("I-1").state is IncidentState.RESOLVED
    book.update(one(finding()), at + 50)
    assert (book.get("I-1").state, book.get("I-1").reopened) == (IncidentState.NEW, 1)
    at = quiet(book, at + 50, 60.0)
    assert book.get("I-1").state is IncidentState.RESOLVED
    book.update(one(finding()), at + 200)
    assert [incident.id for incident in book.all()] == ["I-1", "I-2"]


def test_what_keeps_coming_back_has_to_stay_away_longer() -> None:
    """Each return doubles the patience."""
    book = make(resolve_after_s=10.0)
    book.update(one(finding()), T)
    at = quiet(book, T, 11.0)
    book.update(one(finding()), at + 1)
    at = quiet(book, at + 1, 15.0)
    assert book.get("I-1").state is IncidentState.NEW
    quiet(book, at, 6.0)
    assert book.get("I-1").state is IncidentState.RESOLVED


def test_a_restarted_book_goes_on_with_the_same_incident() -> None:
    """Whatever was stored last: one incident after any crash, and ids go on."""
    before = make()
    (stored,) = before.update(one(finding()), T)
    after = make(stored)
    after.update(one(finding()), T + 60)
    assert [incident.id for incident in after.all()] == ["I-1"]
    after.update([*one(finding()), *one(finding(culprit=OTHER))], T + 61)
    assert [incident.id for incident in after.all()] == ["I-1", "I-2"]


def test_a_restart_does_not_count_as_quiet() -> None:
    """Nobody looked while the collector was down."""
    before = make()
    (stored,) = before.update(one(finding()), T)
    after = make(stored)
    after.update([], T + 10_000)
    assert after.get("I-1").quiet_s == 0.0
    assert after.get("I-1").state is IncidentState.NEW


def test_two_culprits_are_two_incidents() -> None:
    """And each lives its own life."""
    book = make()
    book.update([*one(finding()), *one(finding(culprit=OTHER))], T)
    assert {incident.culprit for incident in book.all()} == {RANK, OTHER}


def test_cannot_tell_becomes_clear_in_the_same_incident() -> None:
    """First "slow, cannot tell", then the straggler: the operator sees one incident."""
    book = make()
    slow = finding(K.JOB_SLOW, NOBODY, verdict=Verdict.CANNOT_TELL)
    book.update(one(slow), T)
    book.update(one(finding(cause="cpu_quota"), slow), T + 5)
    (incident,) = book.all()
    assert (incident.kind, incident.culprit, incident.cause) == (K.STRAGGLER_COMPUTE, RANK, "cpu_quota")


def test_a_named_culprit_is_not_forgotten_when_only_the_slowness_is_still_seen() -> None:
    """The straggler's finding flickers; the job is slow all the time."""
    book = make()
    slow = finding(K.JOB_SLOW, NOBODY, verdict=Verdict.CANNOT_TELL)
    book.update(one(finding(), slow), T)
    book.update(one(slow), T + 1)
    (incident,) = book.all()
    assert (incident.kind, incident.culprit) == (K.STRAGGLER_COMPUTE, RANK)
    assert incident.active


def test_slowness_after_a_culprit_went_quiet_is_a_trouble_of_its_own() -> None:
    """An old culprit is not accused of what happens later."""
    book = make()
    book.update(one(finding()), T)
    at = quiet(book, T, 60.0)
    book.update(one(finding(K.JOB_SLOW, NOBODY, verdict=Verdict.CANNOT_TELL)), at)
    assert len(book.all()) == 2
    assert not book.get("I-1").active


def test_two_incidents_that_turn_out_to_be_one_are_joined() -> None:
    """The hot GPU was seen first, the slow rank later; the older goes on and the other says where."""
    book = make()
    hot = finding(K.GPU_THERMAL, GPU)
    book.update(one(hot), T)
    book.update([*one(hot), *one(finding())], T + 1)
    assert len(book.all()) == 2
    changed = book.update(one(finding(), hot), T + 2)
    first, second = book.all()
    assert (first.kind, first.culprit, first.state) == (K.STRAGGLER_COMPUTE, RANK, IncidentState.NEW)
    assert second.state is IncidentState.RESOLVED
    assert "I-1" in second.notes[-1].text
    assert {incident.id for incident in changed} == {"I-1", "I-2"}


def test_a_member_that_recovers_does_not_close_the_group() -> None:
    """Its last words stay, and the incident stays open."""
    book = make()
    hot = finding(K.GPU_THERMAL, GPU)
    book.update(one(finding(), hot), T)
    book.update(one(finding()), T + 1)
    (incident,) = book.all()
    assert {each.kind for each in incident.findings} == {K.STRAGGLER_COMPUTE, K.GPU_THERMAL}
    assert incident.state is IncidentState.NEW


def test_the_first_death_of_a_job_may_become_clear_later() -> None:
    """Another rank turns out to have died first: the same incident, another culprit."""
    book = make()
    book.update(one(finding(K.RANK_DIED, OTHER, latched=True)), T)
    book.update(one(finding(K.RANK_DIED, RANK, latched=True)), T + 1)
    (incident,) = book.all()
    assert incident.culprit == RANK


@pytest.mark.parametrize("verdict", [Verdict.PAUSE, Verdict.WORKLOAD, Verdict.STRUCTURAL])
def test_nobody_is_woken_for_what_is_nobodys_fault(verdict: Verdict) -> None:
    """Such verdicts do not page, nor does information."""
    book = make()
    book.update(one(finding(verdict=verdict)), T)
    book.update(one(finding(K.AGENT_SILENT, Subject(kind="node", node="n9"), severity=Severity.INFO)), T)
    assert not any(incident.pages for incident in book.all())


def test_people_acknowledge_own_note_silence_and_resolve() -> None:
    """Each act leaves a note with its author."""
    book = make()
    book.update(one(finding()), T)
    book.act("I-1", "acknowledge", "ada", "", T + 1)
    book.act("I-1", "own", "bob", "on it", T + 2)
    book.act("I-1", "note", "bob", "waiting for parts", T + 3)
    book.act("I-1", "silence", "bob", "", T + 4, silence_s=60.0)
    incident = book.get("I-1")
    assert (incident.state, incident.owner, incident.silenced_until_s) == (
        IncidentState.SILENCED,
        "bob",
        T + 64,
    )
    assert [note.author for note in incident.notes] == ["ada", "bob", "bob", "bob"]
    book.act("I-1", "note", "bob", "still", T + 5)
    assert book.get("I-1").silenced_until_s == T + 64


def test_a_silence_ends_by_time_and_by_worse_news() -> None:
    """Silence is for what is known, not for what comes."""
    book = make()
    book.update(one(finding()), T)
    book.act("I-1", "silence", "ada", "", T, silence_s=10.0)
    book.update(one(finding()), T + 9)
    assert book.get("I-1").state is IncidentState.SILENCED
    book.update(one(finding()), T + 11)
    assert book.get("I-1").state is IncidentState.NEW
    book.act("I-1", "silence", "ada", "", T + 12, silence_s=100.0)
    book.update(one(finding(severity=Severity.CRITICAL)), T + 13)
    assert book.get("I-1").state is IncidentState.NEW


def test_an_acknowledgement_runs_out_while_the_trouble_is_seen_and_a_word_renews_it() -> None:
    """Whoever took it may have gone to bed; a note shows that they have not."""
    book = make(acknowledged_s=100.0)
    book.update(one(finding()), T)
    book.act("I-1", "acknowledge", "kim", "", T + 1)
    book.update(one(finding()), T + 90)
    book.act("I-1", "note", "kim", "still at it", T + 90)
    book.update(one(finding()), T + 180)
    assert book.get("I-1").state is IncidentState.ACKNOWLEDGED
    (changed,) = book.update(one(finding()), T + 190)
    assert changed.state is IncidentState.NEW
    assert changed.notes[-1].author == "ringwatch"
    assert "ran out" in changed.notes[-1].text


def test_an_acknowledgement_of_what_went_quiet_stays() -> None:
    """Nobody is asked again about what is not seen."""
    book = make(acknowledged_s=100.0)
    book.update(one(finding()), T)
    book.act("I-1", "acknowledge", "kim", "", T + 1)
    at = quiet(book, T + 1, 20.0)
    quiet(book, at + 100.0, 5.0)
    assert book.get("I-1").state is IncidentState.ACKNOWLEDGED


def test_a_run_renews_the_acknowledgement() -> None:
    """Someone works on it."""
    book = make(acknowledged_s=100.0)
    book.update(one(finding()), T)
    book.act("I-1", "acknowledge", "kim", "", T)
    book.attach_run("I-1", "R-1", T + 90)
    book.update(one(finding()), T + 150)
    assert book.get("I-1").state is IncidentState.ACKNOWLEDGED


def hushing(silences: Silences) -> IncidentBook:
    """Return a book that keeps to silences."""
    return IncidentBook(IncidentPolicy(), runbooks_for, silence_over=silences.over)


def test_an_incident_under_a_silence_is_silent_from_the_start_until_the_silence_ends() -> None:
    """And says by which one, whose and why."""
    silences = Silences()
    held = silences.put(
        [Matcher(field="node", pattern="n00?")], "kim", "new fans", now_s=T - 1, duration_s=100.0
    )
    book = hushing(silences)
    (incident,) = book.update(one(finding()), T)
    assert (incident.state, incident.silenced_by) == (IncidentState.SILENCED, held.id)
    assert incident.notes[-1].text == "Silenced by S-1: new fans"
    book.update(one(finding()), T + 98)
    assert book.get("I-1").state is IncidentState.SILENCED
    (incident,) = book.update(one(finding()), T + 100)
    assert (incident.state, incident.silenced_by) == (IncidentState.NEW, "")


def test_a_silence_that_is_ended_early_lets_go_at_once() -> None:
    """The maintenance is over sooner than thought."""
    silences = Silences()
    silences.put([Matcher(field="kind", pattern="straggler.*")], "kim", "known", now_s=T, duration_s=1000.0)
    book = hushing(silences)
    book.update(one(finding()), T)
    silences.end("S-1", T + 5)
    (incident,) = book.update(one(finding()), T + 6)
    assert incident.state is IncidentState.NEW


def test_what_a_person_has_taken_is_not_silenced_from_under_them() -> None:
    """An acknowledged incident stays where they left it, and worse news under a silence stays silent."""
    silences = Silences()
    book = hushing(silences)
    book.update(one(finding()), T)
    book.act("I-1", "acknowledge", "kim", "", T)
    silences.put([Matcher(field="job", pattern="llm")], "kim", "known", now_s=T, duration_s=1000.0)
    book.update(one(finding()), T + 1)
    assert book.get("I-1").state is IncidentState.ACKNOWLEDGED
    book.act("I-1", "unacknowledge", "kim", "", T + 2)
    book.update(one(finding()), T + 3)
    book.update(one(finding(severity=Severity.CRITICAL)), T + 4)
    assert book.get("I-1").state is IncidentState.SILENCED


def test_one_of_many_neither_narrows_nor_closes_the_whole() -> None:
    """Ten nodes of a rack are one incident; when nine recovered it is still that one."""
    gpus = [Subject(kind="gpu", node=f"n{at:03}", device="GPU") for at in range(10)]
    members = [finding(K.GPU_FAULT, gpu) for gpu in gpus]
    whole = finding(K.GPU_FAULT, Subject(kind="fleet", device="rack r7"), summary="10 nodes at once")
    book = make()
    book.update(one(members[0]), T)
    (incident,) = book.update(one(whole, *members), T + 1)
    assert (incident.id, str(incident.culprit)) == ("I-1", "rack r7")
    book.update(one(members[3]), T + 2)
    assert [str(each.culprit) for each in book.all()] == ["rack r7"]
    assert book.get("I-1").active
    assert len(book.get("I-1").findings) == 11


def test_what_is_still_seen_cannot_be_called_resolved() -> None:
    """A wrong all-clear is worse than an open incident; a pause may be put away."""
    book = make()
    book.update([*one(finding()), *one(finding(K.JOB_PAUSE, NOBODY, verdict=Verdict.PAUSE))], T)
    with pytest.raises(ValueError, match="still seen"):
        book.act("I-1", "resolve", "ada", "", T + 1)
    book.act("I-2", "resolve", "ada", "", T + 1)
    book.update([*one(finding()), *one(finding(K.JOB_PAUSE, NOBODY, verdict=Verdict.PAUSE))], T + 2)
    assert book.get("I-2").state is IncidentState.RESOLVED


@pytest.mark.parametrize(
    ("action", "author", "text", "silence_s", "words"),
    [
        ("explode", "ada", "", 0.0, "there is no action"),
        ("acknowledge", " ", "", 0.0, "needs a name"),
        ("note", "ada", "  ", 0.0, "needs words"),
        ("silence", "ada", "", 0.0, "lasts more"),
        ("silence", "ada", "", 1e9, "lasts more"),
        ("silence", "ada", "", float("nan"), "lasts more"),
        ("unacknowledge", "ada", "", 0.0, "not possible"),
        ("quieted", "ada", "", 0.0, "there is no action"),
    ],
)
def test_acts_that_cannot_be_are_refused_with_a_sentence(
    action: str, author: str, text: str, silence_s: float, words: str
) -> None:
    """And change nothing."""
    book = make()
    book.update(one(finding()), T)
    before = book.get("I-1")
    with pytest.raises(ValueError, match=words):
        book.act("I-1", action, author, text, T + 1, silence_s=silence_s)
    assert book.get("I-1") is before


def test_an_unknown_incident_is_refused() -> None:
    """With its id, cut to a sane length."""
    with pytest.raises(KeyError, match="no incident"):
        make().act("I-9", "note", "ada", "x", T)


def test_a_run_is_attached() -> None:
    """The incident shows which runbook run works on it."""
    book = make()
    book.update(one(finding()), T)
    assert book.attach_run("I-1", "R-7", T + 1).run == "R-7"
    book.update(one(finding()), T + 2)
    assert book.get("I-1").run == "R-7"


def test_every_action_starts_somewhere_and_resolved_can_only_be_noted_or_return() -> None:
    """The table is whole: no state is a trap but by intent."""
    for action in ACTIONS:
        assert any(what == action for _, what in TRANSITIONS)
    ways_out = {what for state, what in TRANSITIONS if state is IncidentState.RESOLVED}
    assert ways_out == {"note", "returned"}
    for state in IncidentState:
        assert any(target is state for target in TRANSITIONS.values())


def test_keys_hold_culprits_apart_and_kinds_of_one_trouble_together() -> None:
    """A slow rank is one trouble however it shows; a hot GPU is another until fusion says otherwise."""
    assert key_of(finding()) == key_of(finding(K.STRAGGLER_DATALOADER))
    assert key_of(finding()) != key_of(finding(culprit=OTHER))
    assert key_of(finding()) != key_of(finding(K.GPU_THERMAL, GPU))
    assert key_of(finding(K.GPU_OFF_BUS, GPU)) == key_of(finding(K.GPU_NOT_ANSWERING, GPU))
