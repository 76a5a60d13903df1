"""Silences by matcher: what is known to be ill, until when, and who said so. Changes no incident."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from ringwatch_proto.records import Incident, Subject

FIELDS: Final = ("node", "device", "job", "kind", "cause")
LONGEST_S: Final = 30 * 86400.0
_MOST_MATCHERS: Final = 8
_MOST_STANDING: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One field of an incident and the shell pattern that it has to match."""

    field: str
    pattern: str

    def matches(self, incident: Incident) -> bool:
        """Tell whether the incident is about this."""
        return any(fnmatchcase(value, self.pattern) for value in _values(incident, self.field))


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Incidents that every matcher matches are silent until then."""

    id: str
    matchers: tuple[Matcher, ...]
    author: str
    reason: str
    from_s: float
    until_s: float
    ended_s: float | None = None

    def holds(self, now_s: float) -> bool:
        """Tell whether it holds now."""
        return self.ended_s is None and self.from_s <= now_s < self.until_s

    def matches(self, incident: Incident) -> bool:
        """Tell whether an incident is meant."""
        return all(matcher.matches(incident) for matcher in self.matchers)

    def document(self) -> str:
        """Return the silence as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


def silence_of(document: str) -> Silence:
    """Return the silence of a stored document."""
    read = json.loads(document)
    return Silence(**{**read, "matchers": tuple(Matcher(**each) for each in read["matchers"])})


class Silences:
    """Every silence that holds or held lately. Not thread-safe: it lives on the collector's loop."""

    def __init__(self, stored: Iterable[Silence] = (), ids: Iterable[str] = ()) -> None:
        """Go on from what was stored; ``ids`` are all that were ever given."""
        self._silences = {silence.id: silence for silence in stored}
        given = [*ids, *self._silences]
        self._last_id = max((int(each.rpartition("-")[2]) for each in given), default=0)

    def all(self) -> Sequence[Silence]:
        """Return every silence, oldest first."""
        return tuple(self._silences.values())

    def over(self, incident: Incident, now_s: float) -> Silence | None:
        """Return the silence that holds an incident now, the one that holds longest first."""
        held = [each for each in self._silences.values() if each.holds(now_s) and each.matches(incident)]
        return max(held, key=lambda each: each.until_s, default=None)

    def put(
        self, matchers: Sequence[Matcher], author: str, reason: str, *, now_s: float, duration_s: float
    ) -> Silence:
        """Begin a silence; raise ValueError, with a sentence, when it cannot be."""
        refusal = _refusal(matchers, author, reason, duration_s)
        if not refusal and sum(each.holds(now_s) for each in self.all()) >= _MOST_STANDING:
            refusal = f"there are {_MOST_STANDING} silences already: end some"
        if refusal:
            raise ValueError(refusal)
        self._last_id += 1
        silence = Silence(
            id=f"S-{self._last_id}",
            matchers=tuple(matchers),
            author=author,
            reason=reason,
            from_s=now_s,
            until_s=now_s + duration_s,
        )
        self._silences[silence.id] = silence
        return silence

    def end(self, silence_id: str, now_s: float) -> Silence:
        """End a silence; raise KeyError when there is none of that id, ValueError when it is over."""
        silence = self._silences.get(silence_id)
        if silence is None:
            raise KeyError(f"there is no silence {silence_id[:40]}")
        if not silence.holds(now_s):
            raise ValueError(f"{silence.id} is over")
        self._silences[silence.id] = replace(silence, ended_s=now_s)
        return self._silences[silence.id]


def _refusal(matchers: Sequence[Matcher], author: str, reason: str, duration_s: float) -> str:
    """Return what is wrong with a silence, empty when nothing is."""
    if not author.strip() or not reason.strip():
        return "a silence needs its author and a reason"
    if not 0 < duration_s <= LONGEST_S:
        return "a silence lasts more than 0 s and at most 30 days"
    if not 0 < len(matchers) <= _MOST_MATCHERS:
        return f"a silence needs 1 to {_MOST_MATCHERS} matchers"
    for matcher in matchers:
        if refusal := _unfit(matcher):
            return refusal
    if all(not matcher.pattern.strip("*?") for matcher in matchers):
        return "that would silence everything: name a node, a device, a job, a kind or a cause"
    return ""


def _unfit(matcher: Matcher) -> str:
    if matcher.field not in FIELDS:
        return f"there is no field {matcher.field[:40]!r}; there are {', '.join(FIELDS)}"
    if not matcher.pattern or len(matcher.pattern) > 128:
        return f"the pattern of {matcher.field} has to have 1 to 128 characters"
    return ""


def _values(incident: Incident, field: str) -> Iterable[str]:
    """Return what an incident has in a field: that of its culprit, and both ends of a link."""
    if field == "kind":
        return (incident.kind.value,)
    if field == "cause":
        return (incident.cause,)
    culprit: Subject = incident.culprit
    if field == "node":
        return [each for each in (culprit.node, culprit.peer) if each]
    return [value] if (value := str(getattr(culprit, field))) else []
