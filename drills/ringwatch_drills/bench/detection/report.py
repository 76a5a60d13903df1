"""Figures of a whole benchmark: tables in words, and one JSON object. Measures nothing itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ringwatch_drills.bench.detection.draw import MIX
from ringwatch_drills.bench.detection.flight import FlightResult
from ringwatch_drills.bench.detection.scenario import HANGS, HARD, SLOW
from ringwatch_drills.bench.detection.score import Found, Result
from ringwatch_drills.bench.detection.trace_score import TraceResult

# Faults of a tenth and more are what the figures are about; below it the curve says what is to be had.
_LEAST: Final = 0.0999
_BINS: Final = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)


@dataclass(slots=True)
class Outcome:
    """Everything that was run."""

    results: list[Result] = field(default_factory=list)
    traces: list[TraceResult] = field(default_factory=list)
    flights: list[FlightResult] = field(default_factory=list)
    baselines: dict[str, dict[str, float | None]] = field(default_factory=dict)
    seed: int = 0
    scale: str = "small"
    took_s: float = 0.0
    notes: list[str] = field(default_factory=list)


def as_object(outcome: Outcome) -> dict[str, Any]:
    """Return the JSON object."""
    found = _judged(outcome.results)
    right = sum(result.right_pages for result in outcome.results)
    false = sum(len(result.false_pages) for result in outcome.results)
    clean = [result for result in outcome.results if result.suite == "clean"]
    days = sum(result.rank_days for result in clean)
    clean_false = sum(len(result.false_pages) for result in clean)
    named = [each for each in found if each.named]
    return {
        "precision": _share(right, right + false),
        "recall": _mean([each.named for each in found]),
        "top1": _mean([each.top1 for each in found]),
        "cause_accuracy": _mean([each.cause_right for each in named]),
        "recall_weighted_by_mix": _weighted(found),
        "delay_steps_p50": _percentile([e.delay_steps for e in named if e.kind in SLOW], 50),
        "delay_steps_p95": _percentile([e.delay_steps for e in named if e.kind in SLOW], 95),
        "delay_s_p50": _percentile([e.delay_s for e in named], 50),
        "delay_s_p95": _percentile([e.delay_s for e in named], 95),
        "hard_delay_s_p95": _percentile([e.delay_s for e in named if e.kind in HARD], 95),
        "hang_delay_s_p95": _percentile([e.delay_s for e in named if e.kind in HANGS], 95),
        "false_pages_per_1000_rank_days": 1000.0 * clean_false / days if days else None,
        "false_pages_upper_95": 1000.0 * _poisson_upper(clean_false) / days if days else None,
        "clean_rank_days": round(days, 1),
        "rank_days": round(sum(result.rank_days for result in outcome.results), 1),
        "faults": len(found),
        "abstentions": sum(each.abstained for each in found),
        "by_kind": _by(found, lambda each: each.kind),
        "by_ranks": _by(found, _ranks_of),
        "curve": _by(_curve(outcome.results), lambda each: f"{each.size:.2f}"),
        "innocent": _innocent(outcome.results),
        "reliability": _reliability(outcome.results),
        "traces": _traces(outcome.traces),
        "flight_recorder": _flights(outcome.flights),
        "baselines": outcome.baselines,
        "seed": outcome.seed,
        "scale": outcome.scale,
        "took_s": round(outcome.took_s, 1),
        "notes": outcome.notes,
    }


def as_text(outcome: Outcome) -> str:
    """Return the tables."""
    told = as_object(outcome)
    lines = [_headline(told), ""]
    lines += _table("by kind (10 % and more)", told["by_kind"])
    lines += _table("by ranks", told["by_ranks"])
    lines += _table("slow ranks by size of the slowdown", told["curve"])
    lines += _table("nobody to blame", told["innocent"])
    lines += _table("stated confidence against share right", told["reliability"])
    lines += _table("slow ranks: ours beside published rules on the same runs", told["baselines"])
    lines += _table("public traces", told["traces"])
    lines += _table("flight-recorder cases", told["flight_recorder"])
    lines += ["false pages:"] + [f"  {r.suite} {r.name} (seed {r.seed}): {page}" for r in outcome.results
                                 for page in r.false_pages]  # fmt: skip
    return "\n".join([*lines, *(f"note: {note}" for note in outcome.notes)])


def _judged(results: Sequence[Result]) -> list[Found]:
    """Return the faults that count for the headline: of a tenth and more where a size means anything."""
    return [
        each for result in results if result.suite != "curve" for each in result.found
        if each.kind not in SLOW or each.size >= _LEAST
    ]  # fmt: skip


def _curve(results: Sequence[Result]) -> list[Found]:
    return [each for result in results if result.suite == "curve" for each in result.found]


def _ranks_of(found: Found) -> str:
    for most in (64, 512, 1024, 4096):
        if found.ranks <= most:
            return f"<={most}"
    return f"<={16384}"


def _by(found: Sequence[Found], key: Callable[[Found], str]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Found]] = {}
    for each in found:
        groups.setdefault(key(each), []).append(each)
    return {
        name: {
            "n": len(group),
            "recall": _mean([e.named for e in group]),
            "top1": _mean([e.top1 for e in group]),
            "cause": _mean([e.cause_right for e in group if e.named]),
            "abstained": sum(e.abstained for e in group),
            "delay_steps_p50": _percentile([e.delay_steps for e in group], 50),
            "delay_s_p50": _percentile([e.delay_s for e in group], 50),
            "delay_s_p95": _percentile([e.delay_s for e in group], 95),
        }
        for name, group in sorted(groups.items())
    }


def _weighted(found: Sequence[Found]) -> float | None:
    recalls = {kind: _mean([e.named for e in found if e.kind == kind]) for kind in MIX}
    known = {kind: value for kind, value in recalls.items() if value is not None}
    total = sum(MIX[kind] for kind in known)
    return _round(sum(MIX[kind] * value for kind, value in known.items()) / total) if total else None


def _innocent(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.suite in ("innocent", "clean"):
            groups.setdefault(result.name, []).append(result)
    return {
        name: {
            "runs": len(group),
            "false_pages": sum(len(each.false_pages) for each in group),
            "said_what_is_due": _mean([each.said for each in group if each.said is not None]),
            "rank_days": round(sum(each.rank_days for each in group), 1),
        }
        for name, group in sorted(groups.items())
    }


def _reliability(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    said = [each for result in results for each in result.confidences]
    rows = {}
    for low, high in itertools.pairwise(_BINS):
        here = [right for confidence, right in said if low <= confidence < high]
        if here:
            stated = float(np.mean([confidence for confidence, _ in said if low <= confidence < high]))
            rows[f"{low:.2f}-{min(high, 1.0):.2f}"] = {
                "n": len(here), "stated": round(stated, 3), "right": round(float(np.mean(here)), 3)
            }  # fmt: skip
    return rows


def _traces(traces: Sequence[TraceResult]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[TraceResult]] = {}
    for each in traces:
        groups.setdefault(each.name, []).append(each)
    return {
        name: {
            "runs": len(group),
            "right": _mean([each.right for each in group]),
            "top1": _mean([each.top1 for each in group if each.top1 is not None]),
            "false_pages": sum(each.false_pages for each in group),
            "delay_steps_p50": _percentile([each.delay_steps for each in group], 50),
            "said": ", ".join(sorted({each.said for each in group if each.said})) or None,
        }
        for name, group in groups.items()
    }


def _flights(flights: Sequence[FlightResult]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[FlightResult]] = {}
    for each in flights:
        groups.setdefault(each.case, []).append(each)
    return {
        name: {
            "runs": len(group),
            "injected": sum(len(each.injected) for each in group),
            "named": sum(len(each.injected & each.named) for each in group),
            "falsely": sum(len(each.named - each.injected) for each in group),
        }
        for name, group in groups.items()
    }


def _headline(told: dict[str, Any]) -> str:
    keys = (
        "faults", "precision", "recall", "top1", "cause_accuracy", "recall_weighted_by_mix", "abstentions",
        "delay_steps_p50", "delay_steps_p95", "hard_delay_s_p95", "hang_delay_s_p95", "delay_s_p95",
        "clean_rank_days", "false_pages_per_1000_rank_days", "false_pages_upper_95",
    )  # fmt: skip
    return "\n".join(f"{key:<32} {_cell(told[key])}" for key in keys)


def _table(title: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    columns = list(next(iter(rows.values())))
    widths = [max(len(column), 8) for column in columns]
    first = max(len(name) for name in rows) + 2
    lines = [title, " " * first + "  ".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True))]
    for name, row in rows.items():
        cells = (f"{_cell(row[c]):>{w}}" for c, w in zip(columns, widths, strict=True))
        lines.append(f"{name:<{first}}" + "  ".join(cells))
    return [*lines, ""]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _share(part: int, whole: int) -> float | None:
    return _round(part / whole) if whole else None


def _mean(values: Iterable[bool | float | None]) -> float | None:
    told = [float(value) for value in values if value is not None]
    return _round(float(np.mean(told))) if told else None


def _percentile(values: Iterable[float | None], percent: float) -> float | None:
    told = [value for value in values if value is not None]
    return round(float(np.percentile(told, percent)), 2) if told else None


def _round(value: float) -> float:
    return round(value, 4)


def _poisson_upper(count: int) -> float:
    """Return the upper end of the one-sided 95 % interval of a Poisson count."""
    low, high = float(count), float(count) + 20.0 + 4.0 * float(np.sqrt(count + 1))
    for _ in range(60):
        middle = (low + high) / 2
        terms = np.cumsum([0.0, *np.log(np.arange(1, count + 1))])
        below = float(np.exp(-middle + np.arange(count + 1) * np.log(middle) - terms).sum())
        low, high = (middle, high) if below > 0.05 else (low, middle)
    return high
