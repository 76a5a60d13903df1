"""What stands on every screen: whether the picture is live, how many alarms there are, and what wants you."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from ringwatch_proto.records import Severity
from ringwatch_tui.state.format import age, mmss
from ringwatch_tui.state.model import ReplayMark
from ringwatch_tui.state.reducer import CONNECTING, ConsoleState
from ringwatch_tui.views.fleet import waiting_runs
from ringwatch_tui.views.lines import DIM, DRILL, FAULT, INFO, STRONG, WARN, Line, Span

# A picture older than this shows its age beside LIVE.
_SHOW_AGE_S = 3.0
_SKEW_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who sits at the console, what they may do, and the wall clock of their machine."""

    user: str
    role: str
    wall_s: float


def mode_spans(state: ConsoleState, monotonic_s: float) -> Line:
    """Return the mode word: LIVE, SIMULATED, PAUSED, CONNECTING or DISCONNECTED with its age."""
    if state.connection.kind == CONNECTING:
        return (Span("CONNECTING", WARN),)
    if state.fleet is not None and state.fleet.replay is not None:
        return _replay_spans(state.fleet.replay)
    if state.frozen:
        gone = mmss(monotonic_s - state.connection.since_s)
        retry_s = max(0.0, state.connection.retry_at_s - monotonic_s)
        return (Span(f"DISCONNECTED {gone}", FAULT), Span(f" retry in {retry_s:.0f} s", DIM))
    if state.paused:
        return (Span(f"PAUSED, {state.missed} missed", WARN),)
    behind = state.behind_s(monotonic_s)
    old = Span(f" {age(behind)}", WARN) if behind > _SHOW_AGE_S else Span("")
    return (Span("SIMULATED", DRILL) if state.simulated else Span("LIVE", STRONG), old)


def _replay_spans(mark: ReplayMark) -> Line:
    """Return the instant that is shown, how fast it plays, and how far into the recording it is."""
    moment = datetime.fromtimestamp(mark.at_s, UTC)
    span_s = mark.last_s - mark.first_s
    share = 1.0 if span_s <= 0 else (mark.at_s - mark.first_s) / span_s
    pace = f" x{mark.speed:.0f}" if mark.speed else ""
    return (Span(f"REPLAY {moment:%d %b %H:%M:%S}Z{pace}", DRILL), Span(f" {share:.0%}", DIM))


def header_right(state: ConsoleState, monotonic_s: float, operator: Operator) -> Line:
    """Return the right end of the header."""
    bar = Span(" │ ", DIM)
    critical, warning = state.open_count(Severity.CRITICAL), state.open_count(Severity.WARNING)
    moment = datetime.fromtimestamp(operator.wall_s, UTC)
    extra: list[Span] = []
    if state.fleet is not None and state.fleet.health.plaintext_off_loopback:
        extra.extend([Span("PLAINTEXT", WARN), bar])
    skew = _skew(state)
    if skew:
        extra.extend([Span(skew, WARN), bar])
    if operator.role == "viewer":
        extra.extend([Span("READ-ONLY", INFO), bar])
    return (
        *extra,
        *mode_spans(state, monotonic_s),
        bar,
        Span(f"{critical} CRIT", FAULT if critical else DIM),
        Span(" "),
        Span(f"{warning} WARN", WARN if warning else DIM),
        *_left_out(state),
        bar,
        Span(f"{moment:%H:%M:%S}Z "),
    )


def _left_out(state: ConsoleState) -> Line:
    """Return how many open incidents are not among those counted; nothing when all are."""
    count = state.fleet.open_left_out if state.fleet is not None else 0
    return (Span(f" +{count:,} more", WARN),) if count else ()


def _skew(state: ConsoleState) -> str:
    if state.fleet is None:
        return ""
    offset = state.fleet.wall_s - state.received_wall_s
    if not math.isfinite(offset) or abs(offset) < _SKEW_S:
        return ""
    return f"collector clock {'+' if offset > 0 else '-'}{age(abs(offset))}"


def message_line(state: ConsoleState, monotonic_s: float) -> Line:
    """Return what was said last, else which run waits, else why there is no answer."""
    notice = state.notice
    if notice is not None and monotonic_s < notice.until_s:
        mark = {"fault": FAULT, "warn": WARN}.get(notice.tone, INFO)
        return (Span(" "), Span(notice.text, mark))
    if state.frozen:
        held = "the picture is held, changes are off" if state.fleet is not None else "nothing to show yet"
        return (Span(" "), Span(f"{state.connection.reason}: {held}", WARN))
    if state.fleet is not None:
        banner = waiting_runs(state.fleet)
        return (Span(" "), *banner) if banner else ()
    return ()
