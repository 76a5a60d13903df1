"""The commands of the console: reads argv, returns exit codes. The text twins are loaded when asked for."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from ringwatch_proto.errors import ConfigError
from ringwatch_tui.actions import ROLES
from ringwatch_tui.options import EXIT_CODES, USAGE, add_common
from ringwatch_tui.palettes import THEMES


def _console_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch console",
        description="The fleet, its incidents, and runbooks to walk. Read-only unless a role is given.",
        epilog="example:\n  ringwatch console --role operator\n\n"
        "Without a terminal it prints what `ringwatch status` prints.\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    parser.add_argument(
        "--role", choices=ROLES, default="viewer", help="what you may do (default: %(default)s)"
    )
    parser.add_argument(
        "--user", default=os.environ.get("USER", ""), help="your name in the log (default: $USER)"
    )
    parser.add_argument(
        "--theme",
        choices=[name.removeprefix("ringwatch-") for name in THEMES],
        default="",
        help="colours (default: dark; mono, which has none, under NO_COLOR)",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command that argv begins with; return its exit code."""
    name, *rest = argv
    try:
        if name == "console":
            return _console(_console_parser().parse_args(rest))
        return _twin(name, rest)
    except ConfigError as error:
        print(f"ringwatch {name}: {error}", file=sys.stderr)
        return USAGE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE


def _twin(name: str, argv: Sequence[str]) -> int:
    from ringwatch_tui.twins import cli

    return cli.run(name, argv)


def _console(arguments: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _twin(
            "status", ["--collector", arguments.collector, *(["--ascii"] if arguments.ascii else [])]
        )
    # Nothing that is loaded now becomes garbage: the console turns collection on again once it stands.
    gc.disable()
    from ringwatch_tui.start import run_console

    return run_console(
        arguments.collector, arguments.role, arguments.user, theme=arguments.theme, ascii_only=arguments.ascii
    )
