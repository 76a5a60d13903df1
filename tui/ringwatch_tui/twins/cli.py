"""The commands of the text twins: read argv, ask the collector, print, return exit codes."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ringwatch_proto.dialling import credentials_from
from ringwatch_proto.errors import UnreachableError
from ringwatch_proto.records import Severity
from ringwatch_tui.client.base import Client, RequestRefused
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.options import EXIT_CODES, OK, UNREACHABLE, WRONG, add_common
from ringwatch_tui.state.model import Fleet
from ringwatch_tui.state.reducer import is_open
from ringwatch_tui.twins import machine, plain
from ringwatch_tui.views.gpu import found_in
from ringwatch_tui.views.lines import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a twin says, in both forms, and whether something is wrong."""

    text: Callable[[int], list[Line]]
    objects: Sequence[dict[str, object]]
    wrong: bool


async def _status(client: Client, _arguments: argparse.Namespace) -> Answer:
    fleet = await client.fleet()
    return Answer(
        text=lambda cells: plain.status(fleet, cells), objects=machine.status(fleet), wrong=_critical(fleet)
    )


def _critical(fleet: Fleet) -> bool:
    return any(each.severity is Severity.CRITICAL and is_open(each) for each in fleet.incidents)


async def _incidents(client: Client, arguments: argparse.Namespace) -> Answer:
    fleet = await client.fleet()
    every = bool(arguments.all)
    return Answer(
        text=lambda cells: plain.incidents_with_health(fleet, cells, include_closed=every),
        objects=machine.incidents(fleet, include_closed=every),
        wrong=_critical(fleet),
    )


async def _incident(client: Client, arguments: argparse.Namespace) -> Answer:
    found, fleet = await client.incident(arguments.id), await client.fleet()
    try:
        books = await client.runbooks()
    except RequestRefused:
        books = ()
    return Answer(
        text=lambda cells: plain.incident(found, fleet, books, cells),
        objects=[machine.incident(found)],
        wrong=is_open(found),
    )


async def _jobs(client: Client, _arguments: argparse.Namespace) -> Answer:
    fleet = await client.fleet()
    wrong = any(each.state in _JOB_WRONG for each in fleet.jobs)
    return Answer(text=lambda cells: plain.jobs(fleet, cells), objects=machine.jobs(fleet), wrong=wrong)


async def _job(client: Client, arguments: argparse.Namespace) -> Answer:
    detail, fleet = await client.job(arguments.id, 120), await client.fleet()
    return Answer(
        text=lambda cells: plain.job(detail, fleet, cells),
        objects=[machine.job(detail)],
        wrong=detail.summary.state in _JOB_WRONG,
    )


async def _nodes(client: Client, _arguments: argparse.Namespace) -> Answer:
    fleet = await client.fleet()
    wrong = any(each.state != "ok" for each in fleet.nodes)
    return Answer(text=lambda cells: plain.nodes(fleet, cells), objects=machine.nodes(fleet), wrong=wrong)


async def _node(client: Client, arguments: argparse.Namespace) -> Answer:
    detail = await client.node(arguments.id, 300.0)
    return Answer(
        text=lambda cells: plain.node(detail, cells),
        objects=[machine.node(detail)],
        wrong=detail.summary.state != "ok",
    )


async def _gpu(client: Client, arguments: argparse.Namespace) -> Answer:
    node, _, name = str(arguments.id).rpartition("/")
    if not node:
        raise RequestRefused("say which GPU as NODE/GPU, for example n011/gpu3 or n011/3")
    detail = await client.node(node, 300.0)
    found = found_in(detail, name)
    if found is None:
        raise RequestRefused(f"{node} has no GPU {name!r}")
    readings = [each for each in detail.readings if each.device == found.id]
    return Answer(
        text=lambda cells: plain.gpu(detail, found, cells),
        objects=[machine.gpu(detail.summary, found, readings)],
        wrong=found.state != "ok",
    )


_JOB_WRONG: Final = ("stalled", "degraded", "silent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One text command."""

    name: str
    help: str
    example: str
    ask: Callable[[Client, argparse.Namespace], Awaitable[Answer]]
    takes: str = ""


TWINS: Final[tuple[Twin, ...]] = (
    Twin(name="status", help="The fleet in one screen of text.", example="ringwatch status", ask=_status),
    Twin(
        name="incidents",
        help="Open incidents, worst first.",
        example="ringwatch incidents --all --json",
        ask=_incidents,
    ),
    Twin(
        name="incident",
        help="One incident: cause, evidence, what was ruled out.",
        example="ringwatch incident I-1",
        ask=_incident,
        takes="id",
    ),
    Twin(name="jobs", help="Training jobs, those in trouble first.", example="ringwatch jobs", ask=_jobs),
    Twin(
        name="job",
        help="One job: step time, late ranks, waits.",
        example="ringwatch job llm-70b --json",
        ask=_job,
        takes="name",
    ),
    Twin(name="nodes", help="Nodes, the worst first.", example="ringwatch nodes", ask=_nodes),
    Twin(
        name="node",
        help="One node: GPUs, sources, events.",
        example="ringwatch node n011",
        ask=_node,
        takes="name",
    ),
    Twin(
        name="gpu",
        help="One GPU: every reading with its age, trends beside its peers, events.",
        example="ringwatch gpu n011/gpu3",
        ask=_gpu,
        takes="node/gpu",
    ),
)
_BY_NAME: Final = {twin.name: twin for twin in TWINS}


def _twin_parser(twin: Twin) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"ringwatch {twin.name}",
        description=twin.help,
        epilog=f"example:\n  {twin.example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if twin.takes:
        parser.add_argument("id", metavar=twin.takes.upper())
    add_common(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--width", type=int, default=0, metavar="CELLS", help="width of the text (default: the terminal's)"
    )
    if twin.name == "incidents":
        parser.add_argument("--all", action="store_true", help="also those closed in the last hour")
    return parser


def run(name: str, argv: Sequence[str]) -> int:
    """Run the twin of that name; return its exit code."""
    return _text(_BY_NAME[name], _twin_parser(_BY_NAME[name]).parse_args(argv))


def _text(twin: Twin, arguments: argparse.Namespace) -> int:
    client = LiveClient(arguments.collector, credentials_from(os.environ))
    return asyncio.run(_answered(twin, arguments, client))


async def _answered(twin: Twin, arguments: argparse.Namespace, client: Client) -> int:
    try:
        answer = await twin.ask(client, arguments)
    except UnreachableError as error:
        print(f"ringwatch {twin.name}: {error}", file=sys.stderr)
        return UNREACHABLE
    except RequestRefused as error:
        print(f"ringwatch {twin.name}: {plain.one_line(str(error))}", file=sys.stderr)
        return WRONG
    finally:
        await client.close()
    _print(answer, arguments)
    return WRONG if answer.wrong else OK


def _print(answer: Answer, arguments: argparse.Namespace) -> None:
    if arguments.json:
        for each in answer.objects:
            print(machine.dumped(each))
        return
    cells = arguments.width or max(60, shutil.get_terminal_size((120, 40)).columns)
    ascii_only = arguments.ascii or not _speaks_unicode()
    print(plain.printed(answer.text(cells), ascii_only=ascii_only))


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16")
