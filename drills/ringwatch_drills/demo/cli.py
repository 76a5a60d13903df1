"""``ringwatch demo``: a simulated fleet, a fault, and the console. Reads argv, prints, exits."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import threading
from collections.abc import Sequence
from typing import Final

import grpc

from ringwatch_drills.demo.stage import DemoError, Stage
from ringwatch_drills.demo.story import Event, Story
from ringwatch_drills.fleet.faults import FAULTS
from ringwatch_drills.interrupts import raise_on_signals, undisturbed
from ringwatch_drills.processes import console

_EPILOG: Final = "faults (all simulated):\n" + "\n".join(
    f"  {fault.name:<13} {fault.help}" for fault in FAULTS
)
_NAMES: Final = [fault.name for fault in FAULTS if fault.name != "none"]


def main(argv: Sequence[str]) -> int:
    """Run the demo; 0 found (or the console was left), 1 not found in time, 3 the demo broke down."""
    options = _parser().parse_args(argv)
    raise_on_signals()
    headless = options.headless or not (sys.stdin.isatty() and sys.stdout.isatty())
    stage = Stage(options.nodes, options.seed)
    story = Story(stage, options.fault, options.after)
    try:
        return _headless(story, options.json or headless) if headless else _console(stage, story)
    except (DemoError, grpc.RpcError) as error:
        _say(str(error))
        return 3
    except KeyboardInterrupt:
        return 130
    finally:
        with undisturbed():
            story.close()
            stage.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch demo",
        description="A simulated fleet on the real wire, a fault, and the console to find it in.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nodes", type=int, default=64, help="simulated nodes of 8 GPUs (default 64)")
    parser.add_argument("--fault", choices=_NAMES, default="thermal", metavar="FAULT", help="see below")
    parser.add_argument("--seed", type=int, default=1, help="another fleet, another target")
    parser.add_argument(
        "--after", type=float, default=10.0, metavar="S", help="seconds before the fault begins, at least"
    )
    parser.add_argument("--headless", action="store_true", help="no console: print events, end by itself")
    parser.add_argument(
        "--json", action="store_true", help="events as JSON lines (always without a terminal)"
    )
    return parser


def _headless(story: Story, as_json: bool) -> int:
    for event in story.prepare():
        _print(event, as_json)
    struck, begun = story.strike()
    _print(begun, as_json)
    result: Event = {}
    for result in story.answer(struck):
        _print(result, as_json)
    if not result.get("correct"):
        _say(str(result.get("reason")))
        return 1
    return 0


def _console(stage: Stage, story: Story) -> int:
    preparing = story.prepare()
    for event in preparing:
        _say(str(event["phase"]))
        if event["phase"] == "nodes_report":
            break

    def strike_when_learned() -> None:
        try:
            for _ in preparing:
                pass
            story.strike()
        except (DemoError, grpc.RpcError, ValueError, OSError):
            return  # the console was left meanwhile; what broke is on its screen

    threading.Thread(target=strike_when_learned, name="fault", daemon=True).start()
    return console(stage.address, _user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _print(event: Event, as_json: bool) -> None:
    if as_json:
        print(json.dumps(event), flush=True)
        return
    name = event.get("phase") or event["event"]
    rest = {key: value for key, value in event.items() if key not in ("event", "phase", "at_s")}
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in rest.items()), flush=True)


def _say(text: str) -> None:
    print(f"ringwatch demo: {text}", file=sys.stderr, flush=True)
