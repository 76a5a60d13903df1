"""The simulated fleet as a process: ``python -m ringwatch_drills.fleet``. Reads argv, prints, exits.

It obeys JSON lines on stdin, ``{"begin": FAULT}`` and ``{"undo": true}``, answers each with a JSON line
on stdout, and ends when stdin does: it cannot outlive whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ringwatch_drills.fleet.app import SimulatedFleet
from ringwatch_drills.fleet.faults import BY_NAME
from ringwatch_drills.fleet.plan import plan_fleet


def main(argv: Sequence[str]) -> int:
    """Run a fleet until stdin ends."""
    parser = argparse.ArgumentParser(prog="ringwatch_drills.fleet", description="A simulated fleet.")
    parser.add_argument("--collector", required=True, help="HOST:PORT")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    asyncio.run(_run(options))
    return 0


async def _run(options: argparse.Namespace) -> None:
    fleet = SimulatedFleet(plan_fleet(options.nodes, options.gpus, options.seed), options.collector)
    running = asyncio.create_task(fleet.run())
    obeying = asyncio.create_task(_obey(fleet))
    _print({"ready": True, "nodes": options.nodes})
    done, _ = await asyncio.wait((running, obeying), return_when=asyncio.FIRST_COMPLETED)
    for task in (running, obeying):
        task.cancel()
    await asyncio.gather(running, obeying, return_exceptions=True)
    for task in done:
        task.result()


async def _obey(fleet: SimulatedFleet) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        _print(_answer(fleet, json.loads(line)))


def _answer(fleet: SimulatedFleet, order: dict[str, Any]) -> dict[str, Any]:
    if order.get("undo"):
        fleet.undo_all()
        return {"undone": True}
    fault = BY_NAME.get(str(order.get("begin")))
    if fault is None:
        return {"error": f"no fault {order.get('begin')!r}"}
    return {"begun": asdict(fleet.begin(fault))}


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)
