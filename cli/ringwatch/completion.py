"""``ringwatch completion bash|zsh|fish``: a script for the shell, which asks ``completion words`` at a tab.

Completed are commands, the options that a command's own help lists, and the names of incidents, jobs,
nodes and GPUs. Those are asked of the collector that RINGWATCH_COLLECTOR names, for a second at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Final

from ringwatch.commands import COMMANDS
from ringwatch_proto.errors import RingwatchError
from ringwatch_tui.client.base import RequestRefused
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.state.model import Fleet

_DEFAULT_ADDRESS: Final = "127.0.0.1:7701"
_PATIENCE_S: Final = 1.0
SCRIPTS: Final[dict[str, str]] = {
    "bash": """\
_ringwatch() {
  local IFS=$'\\n'
  COMPREPLY=($(ringwatch completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _ringwatch ringwatch
""",
    "zsh": """\
#compdef ringwatch
_ringwatch() {
  local -a found
  found=("${(@f)$(ringwatch completion words "${words[@]:1:$CURRENT-1}" 2>/dev/null)}")
  compadd -a found || _files
}
compdef _ringwatch ringwatch
""",
    "fish": """\
function __ringwatch
  set -l words (commandline -opc) (commandline -ct)
  ringwatch completion words $words[2..] 2>/dev/null
end
complete -c ringwatch -a '(__ringwatch)'
""",
}


def _gpus(fleet: Fleet) -> Iterable[str]:
    return (f"{node.name}/{gpu.name}" for node in fleet.nodes for gpu in node.gpus)


_NAMES: Final[dict[str, Callable[[Fleet], Iterable[str]]]] = {
    "incident": lambda fleet: (each.id for each in fleet.incidents),
    "export": lambda fleet: (each.id for each in fleet.incidents),
    "job": lambda fleet: (each.name for each in fleet.jobs),
    "node": lambda fleet: (each.name for each in fleet.nodes),
    "gpu": _gpus,
}


def words(typed: Sequence[str]) -> list[str]:
    """Return what the last of the typed words may become; the first is the command."""
    *before, begun = typed or [""]
    if not before:
        return [each.name for each in COMMANDS if each.name.startswith(begun)]
    command = before[0]
    if begun.startswith("-"):
        return [each for each in _options(before) if each.startswith(begun)]
    if command == "completion":
        return [each for each in SCRIPTS if each.startswith(begun)]
    if command in _NAMES and len(before) == 1:
        return _named(command, begun)
    return [each for each in _sub_commands(before) if each.startswith(begun)] if len(before) == 1 else []


def _help(before: Sequence[str]) -> str:
    """Return what a command says to --help; nothing for one that cannot be loaded here."""
    command = next((each for each in COMMANDS if each.name == before[0]), None)
    if command is None:
        return ""
    module, _, function = command.target.partition(":")
    said = io.StringIO()
    sub = [each for each in before[1:2] if not each.startswith("-")]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        try:
            getattr(import_module(module), function)([*command.prefix, *sub, "--help"])
        except (SystemExit, ImportError):
            return said.getvalue()
    return said.getvalue()


def _options(before: Sequence[str]) -> list[str]:
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", _help(before))))


def _sub_commands(before: Sequence[str]) -> list[str]:
    """Return the choices in braces of the usage line, which is how argparse writes sub-commands."""
    found = re.search(r"\{([\w,-]+)\}(?: \.\.\.|\s)", _help(before))
    return found[1].split(",") if found else []


def _named(command: str, begun: str) -> list[str]:
    async def ask() -> Fleet:
        client = LiveClient(os.environ.get("RINGWATCH_COLLECTOR", _DEFAULT_ADDRESS))
        try:
            return await asyncio.wait_for(client.fleet(), _PATIENCE_S)
        finally:
            await client.close()

    try:
        fleet = asyncio.run(ask())
    except (RingwatchError, RequestRefused, TimeoutError):
        return []
    return sorted(each for each in _NAMES[command](fleet) if each.startswith(begun))


def main(argv: Sequence[str]) -> int:
    """Print a script, or the words that the script asks for; return 0, or 2 for another shell."""
    if argv and argv[0] == "words":
        print("\n".join(words(list(argv[1:]))))
        return 0
    if len(argv) != 1 or argv[0] not in SCRIPTS:
        print("usage: ringwatch completion bash|zsh|fish\n", file=sys.stderr)
        print('  eval "$(ringwatch completion bash)"', file=sys.stderr)
        return 2
    print(SCRIPTS[argv[0]], end="")
    return 0
