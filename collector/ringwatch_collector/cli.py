"""``ringwatch collector``: reads argv, prints, returns an exit code. Everything else is elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringwatch_collector.access.cli import add_commands
from ringwatch_collector.app import Collector
from ringwatch_collector.bus.config import ROLES
from ringwatch_collector.config import CollectorConfig, load_config, shown
from ringwatch_proto.errors import ConfigError, RunbookError, StoreError

if TYPE_CHECKING:
    from ringwatch_collector.bus.app import BusCollector

_EXAMPLES = """\
exit codes: 0 ended by a signal, 2 a setting or a runbook cannot work, 3 the database cannot be opened

examples:
  ringwatch collector run
  ringwatch collector run --listen 127.0.0.1:7701 --data-dir /var/lib/ringwatch
  ringwatch collector check-config --config /etc/ringwatch/collector.toml
  ringwatch collector init /var/lib/ringwatch --name collector.example.org
  ringwatch collector run --config /var/lib/ringwatch/collector.toml
  ringwatch collector token add ada --role operator --config /var/lib/ringwatch/collector.toml

Every setting of check-config's output can stand in the TOML file, and in the environment as
RINGWATCH_COLLECTOR_<SETTING>; RINGWATCH_COLLECTOR=host:port sets listen.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if hasattr(arguments, "work"):
            return int(arguments.work(arguments))
        config = load_config(arguments.config, os.environ, _flags(arguments))
        if arguments.command == "check-config":
            print(json.dumps(shown(config), indent=2))
            return 0
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        return asyncio.run(_run(config))
    except (ConfigError, RunbookError) as error:
        print(f"ringwatch collector: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"ringwatch collector: {error}", file=sys.stderr)
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch collector",
        description="Takes agents' streams, finds faults, answers consoles.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "serve until a signal"), ("check-config", "print the settings and leave")):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, help="TOML file of settings")
        command.add_argument("--listen", help="address to serve on (127.0.0.1:7701)")
        command.add_argument("--data-dir", help="folder of the database (var/collector)")
        command.add_argument("--database-url", help="SQLAlchemy URL of another database")
        command.add_argument("--role", choices=ROLES, help="what this one of several collectors does (all)")
        command.add_argument("--bus", help="address of NATS, which collectors with a role work over")
        command.add_argument("--metrics-listen", help="loopback address of the Prometheus page")
        command.add_argument("--tls-certificate", help="PEM file of the server's certificate chain")
        command.add_argument("--tls-key", help="PEM file of its key")
        command.add_argument("--tls-client-ca", help="PEM file of the CA of clients (mutual TLS)")
        command.add_argument(
            "--insecure-plaintext",
            action="store_true",
            default=None,
            help="serve off loopback without TLS; every screen will say so",
        )
    add_commands(commands)
    return parser


def _flags(arguments: argparse.Namespace) -> dict[str, object]:
    flags = {key: value for key, value in vars(arguments).items() if key not in ("command", "config", "bus")}
    return flags | ({"bus": {"url": arguments.bus}} if arguments.bus else {})


def _on_the_bus(config: CollectorConfig) -> BusCollector:
    from ringwatch_collector.bus.app import bus_collector

    return bus_collector(config)


async def _run(config: CollectorConfig) -> int:
    collector = Collector(config) if config.role == "all" else _on_the_bus(config)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        port = await collector.start()
        host = config.listen.rpartition(":")[0]
        metrics = {"metrics_port": collector.metrics_port} if collector.metrics_port else {}
        second = collector.access.second_port
        tokens = {"listening_without_certificate": second} if second else {}
        print(json.dumps({"listening": f"{host}:{port}", **tokens, **metrics}), flush=True)
        await stop.wait()
    finally:
        await collector.stop()
    return 0
