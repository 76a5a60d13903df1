"""What is said about what people did, and about runbooks as written: two lists."""

from __future__ import annotations

from collections.abc import Sequence

from ringwatch_tui.state.format import iso
from ringwatch_tui.state.model import AuditRecord, Runbook
from ringwatch_tui.state.query import Term, matches
from ringwatch_tui.views.lines import DIM, STRONG, WARN, Build, Column, Row, Span, Table

_AUDIT = (
    Column(key="at", title="TIME", cells=20),
    Column(key="actor", title="WHO", cells=12, priority=1),
    Column(key="action", title="ACTION", cells=16),
    Column(key="target", title="ON", cells=16, flex=1),
    Column(key="result", title="RESULT", cells=20, flex=2, priority=2),
    Column(key="reason", title="WHY", cells=16, flex=1, priority=3),
    Column(key="incident", title="INCIDENT", cells=8, priority=4),
)
_BOOKS = (
    Column(key="id", title="RUNBOOK", cells=24, flex=1),
    Column(key="title", title="WHAT FOR", cells=30, flex=2),
    Column(key="severity", title="SEV", cells=5, priority=2),
    Column(key="triggers", title="TRIGGERS", cells=24, flex=1, priority=1),
    Column(key="steps", title="STEPS", cells=5, align="right", priority=3),
    Column(key="revision", title="REV", cells=3, align="right", priority=4),
)


def audit_table(
    records: Sequence[AuditRecord], *, terms: tuple[Term, ...] = (), empty: Build = lambda _cells: ()
) -> Table:
    """Return what was done, the newest first."""
    rows = (_audit_row(each) for each in sorted(records, key=lambda each: -each.sequence))
    return Table(columns=_AUDIT, rows=tuple(row for row in rows if matches(terms, row.fields)), empty=empty)


def _audit_row(record: AuditRecord) -> Row:
    fields = {
        "who": record.actor,
        "action": record.action,
        "on": record.target,
        "incident": record.incident,
        "why": record.reason,
        "result": record.result,
    }
    refused = record.result.startswith(("refused", "failed"))
    return Row(
        id=str(record.sequence),
        values={
            "at": Span((iso(record.at_s) or "-")[:19] + "Z", DIM),
            "actor": Span(record.actor or "-", STRONG),
            "action": Span(record.action),
            "target": Span(record.target or "-"),
            "incident": Span(record.incident or "-"),
            "reason": Span(record.reason or "-", DIM),
            "result": Span(record.result or "-", WARN if refused else DIM),
        },
        fields=fields,
    )


def runbook_table(
    books: Sequence[Runbook], *, terms: tuple[Term, ...] = (), empty: Build = lambda _cells: ()
) -> Table:
    """Return the runbooks by name."""
    rows = (_book_row(each) for each in sorted(books, key=lambda each: each.id))
    return Table(columns=_BOOKS, rows=tuple(row for row in rows if matches(terms, row.fields)), empty=empty)


def _book_row(book: Runbook) -> Row:
    triggers = ", ".join(book.triggers)
    return Row(
        id=book.id,
        values={
            "id": Span(book.id, STRONG),
            "title": Span(book.title),
            "severity": Span(book.severity or "-"),
            "triggers": Span(triggers or "-", DIM),
            "steps": Span(str(len(book.steps))),
            "revision": Span(str(book.revision), DIM),
        },
        fields={"id": book.id, "title": f"{book.title} {book.title_zh}", "trigger": triggers},
    )
