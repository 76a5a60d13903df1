"""What every command of the console has in common: where the collector is, ASCII, exit codes."""

from __future__ import annotations

import argparse
import os
from typing import Final

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
_DEFAULT_ADDRESS: Final = "127.0.0.1:7701"
EXIT_CODES: Final = """\
exit codes:
  0  done, nothing is wrong
  1  something is wrong: an open CRIT incident (status, incidents), a job that is stalled, degraded
     or silent (jobs, job), a node or GPU that is not ok (nodes, node, gpu), an incident that is
     open (incident), or no object of that name
  2  usage error
  3  the collector cannot be reached"""


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has."""
    address = os.environ.get("RINGWATCH_COLLECTOR", _DEFAULT_ADDRESS)
    parser.add_argument(
        "--collector",
        default=address,
        metavar="HOST:PORT",
        help="where the collector listens (default: RINGWATCH_COLLECTOR, else %(default)s)",
    )
    parser.add_argument("--ascii", action="store_true", help="no blocks and bullets, ASCII only")
