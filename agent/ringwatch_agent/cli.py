"""``ringwatch agent``: run the agent, or show once what it would see. Reads argv, prints, exits."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ringwatch_agent.app import Agent
from ringwatch_agent.config import SETTINGS, AgentConfig, load
from ringwatch_proto.errors import RingwatchError


def main(argv: Sequence[str]) -> int:
    """Run one sub-command; 0 done, 1 could not, 2 usage."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = load(_flags(arguments), os.environ, arguments.config)
        return {"run": _run}[arguments.command](config)
    except RingwatchError as error:
        print(f"ringwatch agent: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringwatch agent", description="The agent of a node.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="read this node once a second and report to the collector")
    _add_settings(run)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    for setting in SETTINGS:
        parser.add_argument(
            setting.flag,
            dest=setting.name,
            metavar="VALUE",
            help=f"{setting.doc.help} [{setting.environment}]",
        )


def _flags(arguments: argparse.Namespace) -> Mapping[str, str]:
    names = [setting.name for setting in SETTINGS]
    return {name: value for name in names if (value := getattr(arguments, name, None)) is not None}


def _run(config: AgentConfig) -> int:
    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await Agent(config).run(stop)

    asyncio.run(until_told())
    return 0
