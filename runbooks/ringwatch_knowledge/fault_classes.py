"""The classes of fault that an answer can name, with their urgency and first step. Recognises nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from ringwatch_knowledge import data_files


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClass:
    """One class of fault.

    ``order`` says what is told first when several are found: lower is more urgent or explains more.
    ``severity`` is 1 info, 2 warning, 3 critical; ``action`` is the usual first step;
    ``runbook`` is the id of the runbook of the library that covers it, empty when none does.
    """

    fault_class: str
    order: int
    severity: int
    action: str
    runbook: str
    title: str
    title_zh: str

    @property
    def component(self) -> str:
        """Return the part of the system that the class is about."""
        return self.fault_class.partition(".")[0]


@cache
def _table() -> dict[str, FaultClass]:
    rows = data_files.read("fault_classes.json")["classes"]
    return {row["fault_class"]: FaultClass(**row) for row in rows}


def names() -> tuple[str, ...]:
    """Return every class, most urgent first."""
    return tuple(sorted(_table(), key=lambda name: _table()[name].order))


def lookup(name: str) -> FaultClass:
    """Return the class; an unknown name is "needs more evidence" under its own name."""
    found = _table().get(name)
    return found or replace(_table()["unknown.needs_more_evidence"], fault_class=name)
