"""The states of an incident and what moves it between them, in one table. Knows no other incident."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ringwatch_collector.silences import Silence
from ringwatch_proto.records import Incident, IncidentState, Note

NEW, ACKNOWLEDGED = IncidentState.NEW, IncidentState.ACKNOWLEDGED
SILENCED, RESOLVED = IncidentState.SILENCED, IncidentState.RESOLVED

# (state, what happened) -> state. What people do, and of itself: ``quieted`` for long enough,
# ``returned`` after it was resolved, ``expired`` silence, ``muted`` by a silence that matches, an
# acknowledgement that ``timed_out``, ``worsened`` to a higher severity. What is not here is refused to a
# person and changes nothing when it comes of itself.
TRANSITIONS: Final[dict[tuple[IncidentState, str], IncidentState]] = {
    (NEW, "acknowledge"): ACKNOWLEDGED,
    (NEW, "own"): ACKNOWLEDGED,
    (NEW, "note"): NEW,
    (NEW, "silence"): SILENCED,
    (NEW, "resolve"): RESOLVED,
    (NEW, "quieted"): RESOLVED,
    (NEW, "muted"): SILENCED,
    (ACKNOWLEDGED, "unacknowledge"): NEW,
    (ACKNOWLEDGED, "own"): ACKNOWLEDGED,
    (ACKNOWLEDGED, "note"): ACKNOWLEDGED,
    (ACKNOWLEDGED, "silence"): SILENCED,
    (ACKNOWLEDGED, "resolve"): RESOLVED,
    (ACKNOWLEDGED, "quieted"): RESOLVED,
    (ACKNOWLEDGED, "timed_out"): NEW,
    (SILENCED, "acknowledge"): ACKNOWLEDGED,
    (SILENCED, "own"): ACKNOWLEDGED,
    (SILENCED, "note"): SILENCED,
    (SILENCED, "silence"): SILENCED,
    (SILENCED, "resolve"): RESOLVED,
    (SILENCED, "quieted"): RESOLVED,
    (SILENCED, "expired"): NEW,
    (SILENCED, "worsened"): NEW,
    (RESOLVED, "note"): RESOLVED,
    (RESOLVED, "returned"): NEW,
}

# What a person can do, and what the note says when they write nothing.
ACTIONS: Final[dict[str, str]] = {
    "acknowledge": "Acknowledged.",
    "unacknowledge": "No longer acknowledged.",
    "own": "Took it over.",
    "note": "",
    "silence": "Silenced for {silence_s:.0f} s.",
    "resolve": "Resolved.",
}
LONGEST_SILENCE_S: Final = 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person asks of an incident."""

    action: str
    author: str
    text: str
    at_s: float
    silence_s: float = 0.0
    # How long an acknowledgement lasts without a further word.
    acknowledged_s: float = 4 * 3600.0


def moved(incident: Incident, what: str, now_s: float) -> Incident:
    """Return the incident after something happened of itself; what the table lacks changes nothing."""
    state = TRANSITIONS.get((incident.state, what))
    if state is None:
        return incident
    return replace(
        incident,
        state=state,
        updated_s=now_s,
        silenced_until_s=None,
        silenced_by="",
        acknowledged_until_s=None,
    )


def expired(incident: Incident, now_s: float) -> Incident:
    """Return the incident without a silence or an acknowledgement whose time has come.

    An acknowledgement holds for as long as nothing is seen: nobody is asked again about what is quiet.
    """
    until_s = incident.silenced_until_s
    if until_s is not None and now_s >= until_s:
        return moved(incident, "expired", now_s)
    until_s = incident.acknowledged_until_s
    still = incident.active or any(finding.latched for finding in incident.findings)
    if until_s is None or now_s < until_s or not still:
        return incident
    text = "The acknowledgement ran out: it is still seen, and nobody said a further word."
    timed_out = moved(incident, "timed_out", now_s)
    return replace(timed_out, notes=(*incident.notes, Note(at_s=now_s, author="ringwatch", text=text)))


def hushed(incident: Incident, silence: Silence | None, now_s: float) -> Incident:
    """Return the incident as the silence that matches it leaves it: muted, or free when there is none."""
    if silence is None:
        return moved(incident, "expired", now_s) if incident.silenced_by else incident
    if incident.state is not NEW:
        return incident
    text = f"Silenced by {silence.id}: {silence.reason}"
    muted = moved(incident, "muted", now_s)
    return replace(
        muted,
        silenced_until_s=silence.until_s,
        silenced_by=silence.id,
        notes=(*incident.notes, Note(at_s=now_s, author=silence.author, text=text)),
    )


def acted(incident: Incident, act: Act) -> Incident:
    """Return the incident after a person's act; raise ValueError with a sentence when it cannot be."""
    refusal = _unfit(act) or _untimely(incident, act)
    if refusal:
        raise ValueError(refusal)
    words = act.text.strip() or ACTIONS[act.action].format(silence_s=act.silence_s)
    note = Note(at_s=act.at_s, author=act.author, text=words)
    changed = replace(
        incident,
        state=TRANSITIONS[incident.state, act.action],
        updated_s=act.at_s,
        silenced_until_s=_silenced_until(incident, act),
        silenced_by=incident.silenced_by if act.action == "note" else "",
        acknowledged_until_s=None,
        notes=(*incident.notes, note),
    )
    if changed.state is ACKNOWLEDGED:
        # Any word of a person shows that someone has it.
        changed = replace(changed, acknowledged_until_s=act.at_s + act.acknowledged_s)
    if act.action == "own":
        changed = replace(changed, owner=act.author)
    return replace(changed, closed_s=act.at_s) if act.action == "resolve" else changed


def _silenced_until(incident: Incident, act: Act) -> float | None:
    if act.action == "note":
        return incident.silenced_until_s
    return act.at_s + act.silence_s if act.action == "silence" else None


def _unfit(act: Act) -> str:
    """Return what is wrong with the act itself, empty when nothing is."""
    if act.action not in ACTIONS:
        return f"there is no action {act.action[:40]!r}; there are {', '.join(ACTIONS)}"
    if not act.author.strip():
        return f"who wants to {act.action}? An act needs a name"
    if act.action == "note" and not act.text.strip():
        return "a note needs words"
    if act.action == "silence" and not 0 < act.silence_s <= LONGEST_SILENCE_S:
        return "a silence lasts more than 0 s and at most 7 days"
    return ""


def _untimely(incident: Incident, act: Act) -> str:
    """Return why the incident does not allow the act now, empty when it does."""
    if (incident.state, act.action) not in TRANSITIONS:
        return f"{incident.id} is {incident.state.value}: {act.action} is not possible"
    if act.action == "resolve" and incident.active and incident.pages:
        return f"{incident.id} is still seen: repair it and see it go quiet, or silence it"
    return ""
