"""The ``ringwatch probe`` command: reads argv, prints, returns exit codes."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from ringwatch_agent.probe import keep
from ringwatch_agent.probe.plan import LEVELS, cpu_kind, devices_of, plan_of
from ringwatch_agent.probe.run import TESTS, probe
from ringwatch_proto.probe import Judged, Judgement, ProbeResult, judge

PASSED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NO_TORCH: Final = 3
# A disk, where /tmp is often memory; the file that is made there has no name.
_FOLDER: Final = Path("/var/tmp")  # noqa: S108
HUNG: Final = 4
_EXIT_CODES: Final = """\
exit codes:
  0  everything is right, and as fast as its peers and its own past
  1  something is wrong or too slow
  2  usage error
  3  torch is not installed
  4  a test did not come back in time: a device or its driver hangs"""


def main(argv: Sequence[str] | None = None) -> int:
    """Probe this node and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        import torch
    except ImportError as error:
        print(f"ringwatch probe: {error}; install ringwatch[train]", file=sys.stderr)
        return NO_TORCH
    timer = _watch(arguments.timeout_s)
    try:
        result = _probed(torch, arguments)
    finally:
        timer.cancel()
    return _told(result, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch probe",
        description="Prove this node under load: arithmetic, memory, copies, pairs, storage.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--level", choices=LEVELS, default="quick", help="quick: seconds; full: minutes")
    parser.add_argument("--only", choices=tuple(TESTS), action="append", default=[], help="this test alone")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where storage is tested")
    parser.add_argument(
        "--ranks", type=int, default=0, help="ranks of the pair test; 0: one a GPU, two on a CPU"
    )
    parser.add_argument(
        "--results", type=Path, default=None, help="file that keeps results (default: a state folder)"
    )
    parser.add_argument("--no-results", action="store_true", help="keep nothing and compare with nothing")
    parser.add_argument(
        "--peers", type=Path, action="append", default=[], help="results of other nodes to compare with"
    )
    parser.add_argument(
        "--timeout-s", type=float, default=900.0, help="give up after this (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _watch(timeout_s: float) -> threading.Timer:
    """Return a running timer that ends the process: a call that hangs in a driver cannot be interrupted."""

    def give_up() -> None:
        sys.stderr.write(f"ringwatch probe: a test has not come back for {timeout_s:.0f} s\n")
        sys.stderr.flush()
        os._exit(HUNG)

    timer = threading.Timer(timeout_s, give_up)
    timer.daemon = True
    timer.start()
    return timer


def _probed(torch: Any, arguments: argparse.Namespace) -> ProbeResult:  # noqa: ANN401  (loaded late, has no types)
    devices = devices_of(torch, cpu_kind)
    ranks = arguments.ranks or (len(devices) if devices[0].is_gpu else 2)
    plan = plan_of(arguments.level, devices, arguments.folder, ranks)
    return probe(torch, plan, socket.gethostname(), arguments.only)


def _told(result: ProbeResult, arguments: argparse.Namespace) -> int:
    file: Path | None = None if arguments.no_results else arguments.results or keep.default_file()
    earlier, bad = keep.load([file]) if file is not None else ([], 0)
    peers, bad_peers = keep.load(arguments.peers)
    judgement = judge(result, [*earlier, *peers])
    result = replace(result, passed=judgement.passed)
    if file is not None:
        keep.keep(file, earlier, result)
    if bad + bad_peers:
        print(f"ringwatch probe: {bad + bad_peers} lines of results cannot be read", file=sys.stderr)
    if arguments.json:
        print(json.dumps({**asdict(result), "reasons": judgement.reasons, "compared": judgement.compared}))
    else:
        print("\n".join(_lines(result, judgement)))
    return PASSED if judgement.passed else FAILED


def _lines(result: ProbeResult, judgement: Judgement) -> Iterable[str]:
    word = "passed" if judgement.passed else "FAILED"
    numbers = sum(each.measure.value is not None for each in judgement.judged)
    yield f"{result.node}: {word}, {result.level}, {result.seconds:.1f} s"
    yield f"  {judgement.compared} of {numbers} numbers had enough peers to be compared with"
    for each in judgement.judged:
        yield _line(each)
        if each.verdict:
            yield f"        {each.verdict}"
    yield from (f"  left out: {each}" for each in result.skipped)
    if judgement.judged:
        yield f"  devices: {', '.join(sorted({each.measure.kind for each in judgement.judged}))}"


def _line(each: Judged) -> str:
    found = each.measure
    head = f"  {'WRONG' if each.verdict else 'ok':<5} {found.device:<10} {found.name:<20}"
    if found.value is None:
        return f"{head} {'':10} {found.unit}".rstrip()
    peers = f"{each.of_peers:5.0%} of {each.peers} peers" if each.peers else "no peers"
    past = f"{each.of_past:5.0%} of its past" if each.past else "first time"
    return f"{head} {found.value:10.4g} {found.unit}  {peers}, {past}"


if __name__ == "__main__":
    sys.exit(main())
