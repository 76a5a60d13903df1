"""The one filter language of every list: words, ``field:word``, ``!`` for not, ``sev:>=warn``.

``llm`` keeps rows that hold the word anywhere, ``state:new`` rows whose field holds it, ``!state:ok``
rows whose field does not. Terms are joined by and.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SEVERITY: Final = {"info": 1, "warn": 2, "warning": 2, "crit": 3, "critical": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition of a filter."""

    word: str
    field: str = ""
    negated: bool = False

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Say whether a row with these fields satisfies the condition."""
        return self._holds(fields) != self.negated

    def _holds(self, fields: Mapping[str, str]) -> bool:
        if not self.field:
            return any(self.word in value.lower() for value in fields.values())
        value = fields.get(self.field, "").lower()
        if self.field == "sev" and self.word.startswith(">="):
            wanted = _SEVERITY.get(self.word[2:])
            return wanted is not None and _SEVERITY.get(value, 0) >= wanted
        return self.word in value


def parse(text: str) -> tuple[Term, ...]:
    """Return the conditions of a filter; an unfinished ``field:`` is none."""
    terms = []
    for part in text.lower().split():
        negated = part.startswith("!") and len(part) > 1
        body = part[1:] if negated else part
        head, colon, tail = body.partition(":")
        if colon and head and tail.startswith("!"):
            negated, tail = not negated, tail[1:]
        if colon and head:
            if tail:
                terms.append(Term(word=tail, field=head, negated=negated))
            continue
        terms.append(Term(word=body, negated=negated))
    return tuple(terms)


def matches(terms: tuple[Term, ...], fields: Mapping[str, str]) -> bool:
    """Say whether a row with these fields satisfies every condition."""
    return all(term.matches(fields) for term in terms)
