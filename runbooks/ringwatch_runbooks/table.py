"""Which runbooks there are for each kind of incident, and what proves the repair. Reads the library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ringwatch_proto.records import IncidentKind
from ringwatch_runbooks.model import Act, End, Library, Runbook, Verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One runbook for one kind of incident; ``causes`` is empty where it takes any."""

    kind: str
    causes: tuple[str, ...]
    runbook: str
    healthy_s: float
    proof: str


def rows_of(library: Library) -> Iterator[Row]:
    """Yield the rows, kind by kind, what takes any cause first."""
    for kind in sorted(IncidentKind):
        found = [
            (trigger.causes, book)
            for book in library.runbooks.values()
            for trigger in book.triggers
            if trigger.kind == kind
        ]
        for causes, book in sorted(found, key=lambda each: (bool(each[0]), each[1].id)):
            yield Row(
                kind=kind, causes=causes, runbook=book.id, healthy_s=_healthy_s(book),
                proof=_proof(book, library),
            )  # fmt: skip


def _verifies(book: Runbook) -> list[Verify]:
    return [step for step in book.steps if isinstance(step, Verify)]


def _healthy_s(book: Runbook) -> float:
    return min((step.healthy_s for step in _verifies(book)), default=0.0)


def _proof(book: Runbook, library: Library) -> str:
    """Return what has to hold, in words: the readings of its verify steps, and the probe after a repair."""
    words = [str(predicate) for step in _verifies(book) for predicate in step.predicates]
    roles = {library.actions[step.uses].role for step in book.steps if isinstance(step, Act)}
    if "proof" in roles:
        words.append("after a repair the probe under load")
    if not any(isinstance(step, End) and step.outcome == "resolved" for step in book.steps):
        words.append("closed by hand, after the part was replaced and proved")
    return "; ".join(dict.fromkeys(words)) or "the signal alone"


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the rows as a table for the page."""
    yield "| incident | cause | runbook | signal gone for | and proved by |"
    yield "|---|---|---|---|---|"
    for row in rows:
        causes = ", ".join(f"`{cause}`" for cause in row.causes) or "any"
        healthy = f"{row.healthy_s:.0f} s" if row.healthy_s else "until replaced"
        yield f"| `{row.kind}` | {causes} | `{row.runbook}` | {healthy} | {row.proof} |"
