"""``ringwatch agent``: run the agent, or show once what it would see. Reads argv, prints, exits."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ringwatch_agent.app import Agent, enrollment_of, sources_to_look_at
from ringwatch_agent.config import SETTINGS, AgentConfig, load
from ringwatch_agent.heap import keep_small
from ringwatch_agent.look import Look, look, rows
from ringwatch_agent.source_health import SourceHealth
from ringwatch_agent.sources.all import ALL
from ringwatch_proto.errors import ConfigError, RingwatchError
from ringwatch_proto.records import Severity
from ringwatch_proto.signals import BY_NAME

# How long the end may take once it was asked for; threads stuck in a driver are left behind then.
_LEAVE_S: Final = 2.0
_EXIT_OF: Final = {Severity.WARNING: 10, Severity.CRITICAL: 20}


def main(argv: Sequence[str]) -> int:
    """Run one sub-command; 0 done, 1 could not, 2 usage. ``scan``: 10 for a warning, 20 for worse."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    commands: dict[str, Callable[[AgentConfig, bool], int]] = {
        "run": _run,
        "scan": _scan,
        "readings": _readings,
        "sources": _sources,
        "enroll": _enroll,
    }
    try:
        config = load(_flags(arguments), os.environ, arguments.config)
        return commands[arguments.command](config, getattr(arguments, "json", False))
    except RingwatchError as error:
        print(f"ringwatch agent: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringwatch agent", description="The agent of a node.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="read this node once a second and report to the collector")
    scan = commands.add_parser(
        "scan",
        help="say what is wrong with this node and what to do; exit code 0, 10 (warning), 20 (critical)",
    )
    readings = commands.add_parser("readings", help="read this node for a moment and print every reading")
    sources = commands.add_parser("sources", help="say what is read on this node, what is not, and why")
    enroll = commands.add_parser("enroll", help="get this node its certificate with a join token, and end")
    for parser_of in (scan, readings, sources):
        parser_of.add_argument("--json", action="store_true", help="one object a line")
    for each in (run, scan, readings, sources, enroll):
        _add_settings(each)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    for setting in SETTINGS:
        switch: dict[str, str] = {"nargs": "?", "const": "true"} if setting.doc.is_switch else {}
        parser.add_argument(
            setting.flag,
            dest=setting.name,
            metavar="VALUE",
            help=f"{setting.doc.help} [{setting.environment}]",
            **switch,  # type: ignore[arg-type] # argparse's overloads do not see through a dict
        )


def _flags(arguments: argparse.Namespace) -> Mapping[str, str]:
    names = [setting.name for setting in SETTINGS]
    return {name: value for name in names if (value := getattr(arguments, name, None)) is not None}


def _run(config: AgentConfig, _: bool) -> int:
    keep_small()

    async def until_told() -> None:
        stop = asyncio.Event()

        def leave() -> None:
            stop.set()
            timer = threading.Timer(_LEAVE_S, os._exit, (0,))
            timer.daemon = True
            timer.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, leave)
        agent = Agent(config)
        # What is there now stays to the end: the collector of cycles need not walk it again.
        gc.collect()
        gc.freeze()
        await agent.run(stop)

    asyncio.run(until_told())
    return 0


def _enroll(config: AgentConfig, _: bool) -> int:
    enrollment = enrollment_of(config)
    if enrollment is None:
        raise ConfigError("a node joins with --join, --join-token-file and --tls-ca")
    asyncio.run(enrollment.join())
    return 0


# What only a look needs is loaded by it: an agent that runs for months need not hold two MB of it.
def _scan(config: AgentConfig, as_json: bool) -> int:
    from ringwatch_agent.running import ask
    from ringwatch_agent.scan import judge
    from ringwatch_agent.scan_words import objects, screen

    seen = _look(config)
    scan = judge(seen, sysfs=config.sysfs)
    running = ask(config.metrics)
    dropped = running.dropped if running else {}
    write = objects if as_json else screen
    print(write(config.node, seen, scan, dropped))
    return _EXIT_OF.get(scan.worst, 0)


def _readings(config: AgentConfig, as_json: bool) -> int:
    seen = _look(config)
    for table in seen.tables.values():
        for device, readings in rows(table):
            if as_json:
                print(json.dumps({"table": table.table.name.lower(), "device": device.id, **readings}))
            else:
                print(f"{table.table.name.lower()} {device.name}  {_line(readings)}")
    for event in seen.events:
        if as_json:
            told = {"event": event.kind, "source": event.source, "device": event.device, "code": event.code}
            print(json.dumps({**told, "text": event.text, "backfill": event.backfill}))
        else:
            old = " (older than this look)" if event.backfill else ""
            print(f"event {Severity(event.severity).word} {event.kind}  {event.source}: {event.text}{old}")
    return 0


def _line(readings: Mapping[str, float]) -> str:
    return "  ".join(
        f"{name.partition('.')[2]}={value:g}{BY_NAME[name].unit.strip('1')}"
        for name, value in readings.items()
    )


def _sources(config: AgentConfig, as_json: bool) -> int:
    from ringwatch_agent.running import ask
    from ringwatch_agent.scan_words import gaps

    seen = _look(config)
    width = max(len(entry.name) for entry in ALL)
    running = ask(config.metrics)
    state, reason = ("running", running.words) if running else ("no answer", f"no agent at {config.metrics}")
    if as_json:
        numbers = asdict(running) if running else {}
        print(json.dumps({"source": "agent", "state": state, "reason": reason, **numbers}))
    else:
        print(f"{'agent':<{width}} {state:<12} {reason}")
    for entry in ALL:
        state, reason = _state(seen.health.get(entry.name), off=entry.name in config.sources_off)
        if as_json:
            print(json.dumps({"source": entry.name, "state": state, "reason": reason, "reads": entry.help}))
        else:
            print(f"{entry.name:<{width}} {state:<12} {reason or entry.help}")
    for signals, why, devices in gaps(seen):
        if as_json:
            print(json.dumps({"not_read": signals, "reason": why, "devices": devices}))
        else:
            where = f"{len(devices)} GPUs" if len(devices) > 2 else ", ".join(devices)
            print(f"not read on {where} ({why}): {', '.join(signals)}")
    return 0


def _state(health: SourceHealth | None, *, off: bool) -> tuple[str, str]:
    if off:
        return "off", "turned off by sources_off"
    if health is None:
        return "not tried", "only a running agent opens it"
    if health.up:
        return "up", ""
    if health.up is None:
        return "no answer", "its first read has not come back"
    return "unsupported" if health.unsupported else "down", health.reason


def _look(config: AgentConfig) -> Look:
    return asyncio.run(
        look(sources_to_look_at(config), interval_s=config.interval_s, deadline_s=config.deadline_s)
    )
