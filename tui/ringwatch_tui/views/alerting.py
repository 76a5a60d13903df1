"""What is said about silences by matcher and about alerts: two lists."""

from __future__ import annotations

from collections.abc import Sequence

from ringwatch_tui.state.format import age, iso
from ringwatch_tui.state.model import Alert, Silence
from ringwatch_tui.state.query import Term, matches
from ringwatch_tui.views.lines import DIM, INFO, STRONG, TROUBLE, WARN, Build, Column, Row, Span, Table

_SILENCES = (
    Column(key="id", title="ID", cells=6),
    Column(key="state", title="STATE", cells=9),
    Column(key="matchers", title="HOLDS BACK", cells=24, flex=2),
    Column(key="left", title="LEFT", cells=7, align="right", priority=1),
    Column(key="incidents", title="INCIDENTS", cells=12, flex=1, priority=3),
    Column(key="author", title="BY", cells=10, priority=2),
    Column(key="reason", title="WHY", cells=16, flex=2, priority=4),
)
_ALERTS = (
    Column(key="at", title="TIME", cells=20, priority=3),
    Column(key="incident", title="INCIDENT", cells=8),
    Column(key="what", title="WHAT", cells=14),
    Column(key="channel", title="TO", cells=14, flex=1),
    Column(key="state", title="STATE", cells=8),
    Column(key="tries", title="TRIES", cells=5, align="right", priority=2),
    Column(key="due", title="NEXT", cells=7, align="right", priority=4),
    Column(key="error", title="LAST TROUBLE", cells=20, flex=2, priority=1),
)
_ALERT_MARK = {"waiting": INFO, "dead": TROUBLE, "obsolete": DIM}


def silence_state(silence: Silence, now_s: float) -> str:
    """Return holds, ended (by a person) or over (its time is)."""
    if silence.ended_s is not None:
        return "ended"
    return "over" if silence.until_s <= now_s else "holds"


def silence_table(
    silences: Sequence[Silence],
    now_s: float,
    *,
    terms: tuple[Term, ...] = (),
    empty: Build = lambda _cells: (),
) -> Table:
    """Return the silences, those that hold first, then the newest."""
    ordered = sorted(silences, key=lambda each: (silence_state(each, now_s) != "holds", -each.from_s))
    rows = (_silence_row(each, now_s) for each in ordered)
    return Table(
        columns=_SILENCES, rows=tuple(row for row in rows if matches(terms, row.fields)), empty=empty
    )


def _silence_row(silence: Silence, now_s: float) -> Row:
    state = silence_state(silence, now_s)
    matchers = " ".join(silence.matchers)
    held = " ".join(silence.incidents)
    return Row(
        id=silence.id,
        values={
            "id": Span(silence.id),
            "state": Span(state, STRONG if state == "holds" else DIM),
            "matchers": Span(matchers or "-", STRONG if state == "holds" else DIM),
            "left": Span(age(silence.until_s - now_s) if state == "holds" else "-"),
            "incidents": Span(held or "-", WARN if held else DIM),
            "author": Span(silence.author or "-"),
            "reason": Span(silence.reason or "-", DIM),
        },
        fields={
            "id": silence.id,
            "state": state,
            "holds": matchers,
            "incident": held,
            "by": silence.author,
            "why": silence.reason,
        },
    )


def alert_table(
    alerts: Sequence[Alert], now_s: float, *, terms: tuple[Term, ...] = (), empty: Build = lambda _cells: ()
) -> Table:
    """Return the alerts, the newest first."""
    rows = (_alert_row(each, now_s) for each in sorted(alerts, key=lambda each: -each.created_s))
    return Table(columns=_ALERTS, rows=tuple(row for row in rows if matches(terms, row.fields)), empty=empty)


def _alert_row(alert: Alert, now_s: float) -> Row:
    due = age(max(0.0, alert.due_s - now_s)) if alert.due_s is not None and alert.state == "waiting" else "-"
    return Row(
        id=f"{alert.key} {alert.channel} {alert.created_s}",
        values={
            "at": Span((iso(alert.created_s) or "-")[:19] + "Z", DIM),
            "incident": Span(alert.incident),
            "what": Span(alert.what),
            "channel": Span(alert.channel),
            "state": Span(alert.state, _ALERT_MARK.get(alert.state, "")),
            "tries": Span(str(alert.tries)),
            "due": Span(due),
            "error": Span(alert.error or "-", WARN if alert.error else DIM),
        },
        fields={
            "incident": alert.incident,
            "what": alert.what,
            "to": alert.channel,
            "state": alert.state,
            "trouble": alert.error,
        },
    )
