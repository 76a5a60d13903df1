"""``ringwatch exec -- COMMAND...``: runs a training command with telemetry and no change to its code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import ringwatch_agent
import ringwatch_proto

_BOOTSTRAP: Final = Path(__file__).parent / "bootstrap"
_DESCRIPTION: Final = """\
Runs COMMAND in place of this process, with the hook attached in every Python process in which
torch.distributed is imported. The exit code is the command's. Python options that ignore PYTHONPATH (-E,
-I) leave the hook out; so does a launcher that does not pass the environment on to other nodes.

example: ringwatch exec --job llm-7b -- torchrun --nproc-per-node 8 train.py
"""


def environment(base: Mapping[str, str], job: str | None, socket: str | None) -> dict[str, str]:
    """Return the environment of the command: ``base`` and what has Python attach."""
    changed = dict(base)
    packages = (ringwatch_agent, ringwatch_proto)
    changed["RINGWATCH_PACKAGES"] = os.pathsep.join(
        f"{package.__name__}={Path(str(package.__file__)).parent.parent}" for package in packages
    )
    before = [
        entry for entry in base.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != str(_BOOTSTRAP)
    ]
    changed["PYTHONPATH"] = os.pathsep.join([str(_BOOTSTRAP), *before])
    if job:
        changed["RINGWATCH_JOB"] = job
    if socket:
        changed["RINGWATCH_SOCKET"] = socket
    return changed


def main(argv: Sequence[str]) -> int:
    """Become the command; return 2 on a usage error, 127 when there is no such command."""
    parser = argparse.ArgumentParser(
        prog="ringwatch exec",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="ringwatch exec [--job NAME] [--socket PATH] -- COMMAND [ARGUMENT ...]",
    )
    parser.add_argument("--job", help="name of the job; unset: Slurm's or torchrun's, else user and address")
    parser.add_argument(
        "--socket", help="socket of this node's agent; unset: RINGWATCH_SOCKET or the default"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run")
    try:
        options = parser.parse_args(list(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.print_usage(sys.stderr)
        return 2
    try:
        os.execvpe(command[0], command, environment(os.environ, options.job, options.socket))  # noqa: S606
    except OSError as error:
        print(f"ringwatch exec: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
