"""``ringwatch lab``: real faults in a real job on this machine. Reads argv, prints, exits."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ringwatch_drills.interrupts import raise_on_signals, undisturbed
from ringwatch_drills.lab import matrix
from ringwatch_drills.lab.cluster import Lab, require_root_and_torch
from ringwatch_drills.lab.errors import LabError
from ringwatch_drills.lab.faults import BY_NAME, FAULTS, LabFault
from ringwatch_drills.lab.matrix import QUIET_RUNS, RUNS
from ringwatch_drills.lab.trial import Outcome, Trial
from ringwatch_drills.lab.undo import UndoRecord, only_lab
from ringwatch_drills.processes import console
from ringwatch_drills.truth import describe
from ringwatch_proto.v1 import query_pb2

_EPILOG: Final = "faults:\n" + "\n".join(f"  {fault.name:<15} {fault.help}" for fault in FAULTS)


def main(argv: Sequence[str]) -> int:
    """Run the lab; 0 all runs correct, 1 a run was not, 2 usage, 3 the lab cannot run here."""
    options = _parser().parse_args(argv)
    if not options.clean and options.fault is None and options.matrix is None:
        print("ringwatch lab: --fault, --matrix or --clean is needed", file=sys.stderr)
        return 2
    raise_on_signals()
    try:
        require_root_and_torch()
        with only_lab(wait_s=options.wait) as undo:
            if options.clean:
                return _clean(undo)
            return _run(options, undo) if options.matrix is None else _matrix(options, undo)
    except LabError as error:
        print(f"ringwatch lab: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("ringwatch lab: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch lab",
        description="A real PyTorch job over network namespaces, a real fault, and whether it was found.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fault", choices=list(BY_NAME), metavar="FAULT", help="what goes wrong (see below)")
    parser.add_argument("--runs", type=int, help="how often; each with a fresh collector (default 1)")
    parser.add_argument(
        "--matrix",
        type=Path,
        metavar="FILE",
        help=f"all faults in turn, --runs of each (default {RUNS}, of none {QUIET_RUNS}); runs go to FILE, "
        "and those in it are not done again; prints the confusion matrix",
    )
    parser.add_argument("--budget", type=float, metavar="S", help="begin no run of --matrix after so long")
    parser.add_argument("--nodes", type=int, default=4, help="nodes, and ranks: 2 to 16 (default 4)")
    parser.add_argument("--target", type=int, help="node to strike; unset: another one each run")
    parser.add_argument("--json", action="store_true", help="one JSON object a run on stdout")
    parser.add_argument("--console", action="store_true", help="open the console once the fault has begun")
    parser.add_argument("--keep-logs", metavar="FOLDER", help="copy the logs of all processes there")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="wait so long for another lab")
    parser.add_argument("--clean", action="store_true", help="remove what a killed lab left behind")
    return parser


def _clean(undo: UndoRecord) -> int:
    count = len(undo)
    troubles = undo.undo()
    for trouble in troubles:
        print(f"ringwatch lab: {trouble}", file=sys.stderr)
    print(f"ringwatch lab: {count} things undone", file=sys.stderr)
    return 3 if troubles else 0


def _run(options: argparse.Namespace, undo: UndoRecord) -> int:
    with _lab(options, undo) as lab:
        outcomes = [_one(options, lab, number, BY_NAME[options.fault]) for number in range(options.runs or 1)]
    return 0 if all(outcome is None or outcome.judgement.correct for outcome in outcomes) else 1


def _matrix(options: argparse.Namespace, undo: UndoRecord) -> int:
    """Do the runs that are still to do, until the budget is spent, and print what all of them concluded."""
    runs, quiet = (RUNS, QUIET_RUNS) if options.runs is None else (options.runs, 2 * options.runs)
    ends_s = time.monotonic() + (options.budget if options.budget is not None else math.inf)
    matrix.read(options.matrix)
    with _lab(options, undo) as lab:
        for name, number in list(matrix.still_to_do(matrix.read(options.matrix), runs, quiet)):
            if time.monotonic() >= ends_s:
                _say("the budget is spent; the same command goes on from here")
                break
            try:
                outcome = _one(options, lab, number, BY_NAME[name])
            except LabError as error:
                _say(f"{name}, run {number + 1}, was no run: {error}")
                continue
            if outcome is not None:
                matrix.append(options.matrix, line_of(outcome, number))
    done = matrix.read(options.matrix)
    print(json.dumps(matrix.as_object(done)) if options.json else matrix.table(done), flush=True)
    return 0 if done and all(line["correct"] for line in done) else 1


@contextlib.contextmanager
def _lab(options: argparse.Namespace, undo: UndoRecord) -> Iterator[Lab]:
    if len(undo):
        _say("a killed lab left things behind: removing them")
        undo.undo()
    lab: Lab | None = None
    try:
        lab = Lab(options.nodes, undo)
        yield lab
    finally:
        with undisturbed():
            if lab is not None:
                lab.close()
            for trouble in undo.undo():
                _say(f"not undone: {trouble}")


def _one(options: argparse.Namespace, lab: Lab, number: int, fault: LabFault) -> Outcome | None:
    """Do one run and print it; return None where a person watched it on the console."""
    at = options.target if options.target is not None else (number + 1) % len(lab.nodes)
    if not 0 <= at < len(lab.nodes):
        raise LabError(f"there is no node {at}")
    kept = len(lab.undo)
    trial: Trial | None = None
    try:
        trial = Trial(lab, fault, lab.nodes[at], _say)
        trial.warm_up()
        injected_s = trial.inject()
        if options.console:
            _console(trial)
            return None
        outcome = trial.watch(injected_s)
    finally:
        with undisturbed():
            if trial is not None:
                trial.close()
                _keep_logs(options.keep_logs, trial, number)
            for trouble in lab.undo.undo(keep=kept):
                _say(f"not undone: {trouble}")
    if options.matrix is None:
        _print(options.json, outcome, number, fault)
    else:
        _say(f"{fault.name}: {'correct' if outcome.judgement.correct else outcome.judgement.reason}")
    return outcome


def _console(trial: Trial) -> bool:
    return console(trial.cluster.address, getpass.getuser()) == 0


def _keep_logs(folder: str | None, trial: Trial, number: int) -> None:
    if folder is None:
        return
    to = Path(folder) / f"run{number + 1}"
    to.mkdir(parents=True, exist_ok=True)
    for log in trial.cluster.folder.glob("*.log"):
        (to / log.name).write_bytes(log.read_bytes())


def _print(as_json: bool, outcome: Outcome, number: int, fault: LabFault) -> None:
    line = line_of(outcome, number)
    if as_json:
        print(json.dumps(line), flush=True)
        return
    verdict = "correct" if line["correct"] else f"NOT CORRECT: {line['reason']}"
    incident = outcome.judgement.incident
    named = describe(incident) if incident is not None else "no incident"
    delay = "" if line["delay_s"] is None else f" after {line['delay_s']} s"
    print(f"run {number + 1}: {fault.name} on {outcome.target}: {named}{delay}: {verdict}", flush=True)


def line_of(outcome: Outcome, number: int) -> dict[str, Any]:
    """Return the JSON object of a run."""
    return {
        "run": number + 1,
        "fault": outcome.fault,
        "target": outcome.target,
        "injected_at": _time(outcome.injected_s),
        "incident": _incident(outcome.judgement.incident),
        "delay_s": None if outcome.delay_s is None else round(outcome.delay_s, 2),
        "correct": outcome.judgement.correct,
        "reason": outcome.judgement.reason,
    }


def _incident(incident: query_pb2.Incident | None) -> dict[str, Any] | None:
    if incident is None:
        return None
    culprit = incident.culprit
    return {
        "kind": incident.kind,
        "culprit": {
            "kind": culprit.kind,
            "node": culprit.node,
            "device": culprit.device,
            "rank": culprit.rank if culprit.kind == "rank" else None,
            "peer": culprit.peer,
        },
        "cause": incident.cause,
        "opened_at": _time(incident.opened_ns / 1e9),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _say(text: str) -> None:
    print(f"ringwatch lab: {text}", file=sys.stderr, flush=True)
