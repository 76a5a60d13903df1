"""Runs the whole benchmark: simulated fleets, public traces, flight-recorder cases. Prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection import flight
from ringwatch_drills.bench.detection.compare import Comparison, summaries
from ringwatch_drills.bench.detection.draw import PLANS, SIZES, runs
from ringwatch_drills.bench.detection.report import Outcome
from ringwatch_drills.bench.detection.run import Run
from ringwatch_drills.bench.detection.score import score
from ringwatch_drills.bench.detection.trace_runs import Splice, TraceRun
from ringwatch_drills.bench.detection.trace_score import score_trace
from ringwatch_drills.bench.detection.traces import load

TRACES: Final = ("AR", "SE", "ST")
# Splices of one size and trace, and permutations of a flight-recorder case, by scale.
_SPLICES: Final = {"smoke": 0, "small": 2, "full": 8}
_PERMUTATIONS: Final = {"smoke": 1, "small": 4, "full": 20}
_SPLICED_STEPS, _ONSET = 100, 60

Say = Callable[[str], None]


def run(scale: str, seed: int, datasets: Path | None, say: Say) -> Outcome:
    """Run everything and return what came of it; what cannot be run is a note."""
    began_s = time.monotonic()
    outcome = Outcome(seed=seed, scale=scale)
    if datasets is None:
        outcome.notes.append("no --datasets: public traces and flight-recorder cases were not run")
    else:
        _public(outcome, scale, seed, datasets, say)
    comparison = Comparison()
    for suite, scenario in runs(PLANS[scale], seed):
        ran = Run(scenario).go()
        comparison.add(suite, ran)
        result = score(suite, ran)
        outcome.results.append(result)
        say(
            f"{suite} {scenario.name} {scenario.shape.ranks} ranks: "
            f"{_in_short(result.found, result.false_pages)}"
        )
    outcome.baselines = {"ringwatch": _ours(outcome), **summaries(comparison)}
    outcome.took_s = time.monotonic() - began_s
    return outcome


def _in_short(found: tuple[object, ...], false: tuple[str, ...]) -> str:
    named = sum(bool(getattr(each, "named", False)) for each in found)
    return f"{named} of {len(found)} named" + (f"; FALSE: {'; '.join(false)}" if false else "")


def _ours(outcome: Outcome) -> dict[str, float | None]:
    """Return our figures over the runs that the published rules are scored on."""
    from ringwatch_drills.bench.detection.compare import BY_RANK

    mine = [r for r in outcome.results if all(each.kind in BY_RANK for each in r.found)]
    found = [each for result in mine for each in result.found]
    right, false = sum(r.right_pages for r in mine), sum(len(r.false_pages) for r in mine)
    clean = [r for r in mine if r.suite == "clean"]
    days = sum(r.rank_days for r in clean)
    delays = [each.delay_steps for each in found if each.delay_steps is not None]
    return {
        "precision": right / (right + false) if right + false else None,
        "recall": float(np.mean([each.named for each in found])) if found else None,
        "top1": float(np.mean([each.top1 for each in found])) if found else None,
        "delay_steps_p50": float(np.median(delays)) if delays else None,
        "false_pages_per_1000_rank_days": 1000.0 * sum(len(r.false_pages) for r in clean) / days
        if days
        else None,
    }


def _public(outcome: Outcome, scale: str, seed: int, datasets: Path, say: Say) -> None:
    folder = datasets / "bytedance_straggler" / "data"
    try:
        traces = {name: load(folder, name) for name in TRACES}
    except (FileNotFoundError, ModuleNotFoundError) as error:
        outcome.notes.append(f"public traces were not run: {error}")
        traces = {}
    for name, trace in traces.items():
        outcome.traces.append(score_trace(TraceRun(trace, steps=0, seed=seed).go()))
        say(f"trace {name}: {outcome.traces[-1]}")
    for name in ("SE", "ST") if traces else ():
        for size in SIZES:
            for number in range(_SPLICES[scale]):
                dice = np.random.default_rng([seed, number, round(1000 * size)])
                trace = traces[name]
                # Of the slowest stage: elsewhere a pipeline hides what is slow.
                worker = (trace.stages - 1) * trace.data + int(dice.integers(trace.data))
                splice = Splice(worker=worker, size=size, at=_ONSET)
                ran = TraceRun(trace, steps=_SPLICED_STEPS, seed=seed + number, splice=splice).go()
                outcome.traces.append(score_trace(ran))
        say(f"trace {name}: slowdowns spliced in")
    cases = datasets / "flight_recorder"
    if cases.is_dir():
        outcome.flights = list(flight.results(cases, _PERMUTATIONS[scale], seed))
        say(f"flight recorder: {len(outcome.flights)} cases and permutations")
    else:
        outcome.notes.append(f"flight-recorder cases were not run: {cases} is not there")
