"""The letters and words of states, and what they mean: letter first, colour second.

``.`` ok (a ramp where there is a number), ``s`` slow, ``W`` warn, ``F`` fault, ``D`` drained,
``M`` maintenance, ``?`` no data, ``x`` lost.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from ringwatch_proto.records import IncidentState, Severity
from ringwatch_tui.views.lines import DIM, FAULT, INFO, PLAIN, STRONG, TROUBLE, WARN, Span

# State -> letter, mark, rank; the worst rank of a group is what its cell shows.
STATES: Final[dict[str, tuple[str, str, int]]] = {
    "ok": (".", PLAIN, 0),
    "drained": ("D", DIM, 1),
    "maintenance": ("M", DIM, 1),
    "slow": ("s", WARN, 2),
    "warn": ("W", WARN, 3),
    "silent": ("?", WARN, 4),
    "unknown": ("?", DIM, 4),
    "fault": ("F", FAULT, 5),
    "lost": ("x", FAULT, 6),
}
LEGEND: Final = (
    ("s", "slow", WARN),
    ("W", "warn", WARN),
    ("F", "fault", FAULT),
    ("x", "lost", FAULT),
    ("D", "drained", DIM),
    ("?", "no data > 30 s", WARN),
)
# The full block is left out: lines of it would run into each other.
RAMP: Final = "▁▂▃▄▅▆▇"
ASCII_RAMP: Final = "_.:-=+#"
BEARING: Final[dict[str, tuple[str, str, str]]] = {
    "supports": ("●", PLAIN, "supports"),
    "rules_out": ("○", INFO, "rules out a rival"),
    "change": ("▲", WARN, "change"),
    "context": ("·", DIM, "context"),
}
STEP_STATE: Final[dict[str, tuple[str, str]]] = {
    "done": ("ok", PLAIN),
    "running": ("..", INFO),
    "waiting": (">>", WARN),
    "failed": ("!!", FAULT),
    "skipped": ("--", DIM),
    "pending": ("  ", DIM),
}
SEVERITY_MARK: Final[dict[Severity, str]] = {
    Severity.CRITICAL: FAULT,
    Severity.WARNING: WARN,
    Severity.INFO: INFO,
}
_JOB_MARK: Final[dict[str, str]] = {
    "stalled": TROUBLE,
    "degraded": WARN,
    "silent": WARN,
    "ended": DIM,
    "starting": INFO,
}


def state_of(word: str) -> tuple[str, str, int]:
    """Return letter, mark and rank of a state; a word from a newer collector counts as unknown."""
    return STATES.get(word, STATES["unknown"])


def state_span(word: str) -> Span:
    """Return the state as a word."""
    _, mark, _ = state_of(word)
    return Span(word or "unknown", mark)


def job_mark(state: str) -> str:
    """Return the mark of a job's state."""
    return _JOB_MARK.get(state, PLAIN)


def severity_span(severity: Severity) -> Span:
    """Return CRIT, WARN or INFO."""
    return Span(severity.word, SEVERITY_MARK[severity])


def incident_state_span(state: IncidentState) -> Span:
    """Return the short word of an incident's state; what nobody has seen yet stands out."""
    words = {
        IncidentState.NEW: ("new", STRONG),
        IncidentState.ACKNOWLEDGED: ("ack", PLAIN),
        IncidentState.SILENCED: ("silenced", DIM),
        IncidentState.RESOLVED: ("resolved", DIM),
    }
    return Span(*words[state])


def ramp(value: float, low: float, high: float) -> str:
    """Return the block whose height says where the value lies between low and high."""
    if not math.isfinite(value) or high <= low:
        return " "
    place = int((value - low) / (high - low) * len(RAMP))
    return RAMP[min(len(RAMP) - 1, max(0, place))]


def spark(values: tuple[float, ...], cells: int, *, floor: float | None = None, squeeze: bool = False) -> str:
    """Return the newest values as blocks, or with ``squeeze`` all of them; a gap stays a gap."""
    tail = _squeezed(values, cells) if squeeze else values[-cells:]
    known = [value for value in tail if math.isfinite(value)]
    if not known:
        return ""
    low = min(known) if floor is None else floor
    # Noise of a few percent must not look like a mountain range.
    high = max(*known, low + abs(max(known)) * 0.2, low + 1e-12)
    return "".join(ramp(value, low, high) for value in tail)


def _squeezed(values: tuple[float, ...], cells: int) -> tuple[float, ...]:
    """Return the means of as many equal parts as there are cells."""
    if len(values) <= cells:
        return values
    edges = [index * len(values) // cells for index in range(cells + 1)]
    return tuple(_mean(values[start:end]) for start, end in pairwise(edges))


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def to_ascii(text: str) -> str:
    """Return the text with blocks, rules and bullets replaced by ASCII; other letters stay."""
    return text.translate(_ASCII)


_ASCII: Final = str.maketrans(
    {
        **dict(zip(RAMP, ASCII_RAMP, strict=True)),
        "█": "#",
        "░": ".",
        "●": "*",
        "○": "o",
        "▲": "^",
        "·": "-",
        "…": "~",
        "─": "-",
        "│": "|",
        "›": ">",
        "→": ">",
        "\N{REPLACEMENT CHARACTER}": "?",
        "▸": ">",
    }
)
