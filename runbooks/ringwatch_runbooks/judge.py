"""Live readings against predicates: true, false, or not known. Changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from ringwatch_proto.records import Incident, Subject
from ringwatch_runbooks.base import Facts, Reading
from ringwatch_runbooks.fact_names import FACTS
from ringwatch_runbooks.model import Predicate, Value
from ringwatch_runbooks.record import FactRecord

# A reading older than this proves nothing about now: three reports of an agent at 1 Hz, and the loop.
FRESH_S: Final = 5.0


class Evidence:
    """Everything that a step can read at one moment."""

    def __init__(
        self, facts: Facts, target: Subject, incident: Incident | None, answered: Mapping[str, Reading]
    ) -> None:
        self._facts = facts
        self._target = target
        self._incident = incident
        self._answered = answered

    def read(self, name: str) -> Reading | None:
        """Return a reading, None when it is absent."""
        if name in self._answered:
            return self._answered[name]
        if name.startswith("incident."):
            return _of_incident(name, self._incident)
        return self._facts.read(name, self._target)

    def judge(self, predicate: Predicate) -> bool | None:
        """Return whether the predicate holds; None when its fact is absent or stale."""
        reading = self.read(predicate.fact)
        if reading is None or not reading.age_s <= FRESH_S:
            return None
        return holds(predicate, reading.value)

    def show(self, predicate: Predicate) -> FactRecord:
        """Return the fact of a condition that has to hold, as an operator sees it."""
        verdict = self.judge(predicate)
        shown = self.tell(predicate.fact)
        wanted = f"wanted {predicate.op} {_words(predicate.value)}"
        note = wanted if verdict is not None else f"{shown.note or 'not known'}; {wanted}"
        return FactRecord(
            name=shown.name,
            value=shown.value,
            unit=shown.unit,
            age_s=shown.age_s,
            holds=verdict is True,
            note=note,
        )

    def tell(self, name: str) -> FactRecord:
        """Return a fact as an operator sees it: absent and stale say so."""
        reading = self.read(name)
        unit = FACTS[name].unit if name in FACTS else ""
        if reading is None:
            return FactRecord(name=name, value="absent", holds=False, note="no reading")
        stale = not reading.age_s <= FRESH_S
        return FactRecord(
            name=name,
            value=reading.text or _words(reading.value),
            unit=reading.unit or unit,
            age_s=round(reading.age_s, 2),
            holds=not stale,
            note="stale" if stale else "",
        )

    def missing(self, predicates: Iterable[Predicate]) -> tuple[str, ...]:
        """Return the names of facts that are absent or stale."""
        return tuple(dict.fromkeys(each.fact for each in predicates if self.judge(each) is None))


def _words(value: Value | tuple[Value, ...]) -> str:
    if isinstance(value, tuple):
        return " or ".join(_words(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _of_incident(name: str, incident: Incident | None) -> Reading | None:
    if incident is None:
        return None
    values: dict[str, Value] = {
        "incident.active": incident.active,
        "incident.quiet_s": incident.quiet_s,
        "incident.cause": incident.cause,
        "incident.reopened": float(incident.reopened),
    }
    value = values.get(name)
    return None if value is None else Reading(name=name, value=value)


def holds(predicate: Predicate, value: Value) -> bool | None:
    """Return whether a value fulfils a predicate; None when the two cannot be compared."""
    wanted = predicate.value
    if predicate.op == "in":
        return value in (wanted if isinstance(wanted, tuple) else (wanted,))
    if isinstance(wanted, tuple):
        return None
    if predicate.op in ("==", "!="):
        if isinstance(value, str) is not isinstance(wanted, str):
            return None
        return (value == wanted) is (predicate.op == "==")
    if isinstance(value, str) or isinstance(wanted, str):
        return None
    return _ordered(predicate.op, value, wanted)


def _ordered(op: str, value: float, wanted: float) -> bool | None:
    if math.isnan(value):  # absent, not small
        return None
    if op == "has_any":
        return bool(int(value) & int(wanted))
    return {"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[op]
