"""The states of an incident and what moves it between them, in one table. Knows no other incident."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ringwatch_proto.records import Incident, IncidentState, Note

NEW, ACKNOWLEDGED = IncidentState.NEW, IncidentState.ACKNOWLEDGED
SILENCED, RESOLVED = IncidentState.SILENCED, IncidentState.RESOLVED

# (state, what happened) -> state. What people do, and of itself: ``quieted`` for long enough,
# ``returned`` after it was resolved, ``expired`` silence, ``worsened`` to a higher severity. What is
# not here is refused to a person and changes nothing when it comes of itself.
TRANSITIONS: Final[dict[tuple[IncidentState, str], IncidentState]] = {
    (NEW, "acknowledge"): ACKNOWLEDGED,
    (NEW, "own"): ACKNOWLEDGED,
    (NEW, "note"): NEW,
    (NEW, "silence"): SILENCED,
    (NEW, "resolve"): RESOLVED,
    (NEW, "quieted"): RESOLVED,
    (ACKNOWLEDGED, "unacknowledge"): NEW,
    (ACKNOWLEDGED, "own"): ACKNOWLEDGED,
    (ACKNOWLEDGED, "note"): ACKNOWLEDGED,
    (ACKNOWLEDGED, "silence"): SILENCED,
    (ACKNOWLEDGED, "resolve"): RESOLVED,
    (ACKNOWLEDGED, "quieted"): RESOLVED,
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


def moved(incident: Incident, what: str, now_s: float) -> Incident:
    """Return the incident after something happened of itself; what the table lacks changes nothing."""
    state = TRANSITIONS.get((incident.state, what))
    if state is None:
        return incident
    return replace(incident, state=state, updated_s=now_s, silenced_until_s=None)


def expired(incident: Incident, now_s: float) -> Incident:
    """Return the incident with its silence taken off when its time has come."""
    until_s = incident.silenced_until_s
    return moved(incident, "expired", now_s) if until_s is not None and now_s >= until_s else incident


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
        notes=(*incident.notes, note),
    )
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
