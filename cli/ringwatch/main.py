"""The ``ringwatch`` command: finds the sub-command in the table, loads it, runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ringwatch.commands import COMMANDS, Command
from ringwatch_proto import __version__


def _usage() -> str:
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"  {command.name:<{width}}  {command.help}" for command in COMMANDS]
    return "usage: ringwatch [COMMAND] [ARGUMENTS]\n\n" + "\n".join(lines)


def _load(command: Command) -> Callable[[Sequence[str]], int] | None:
    module, _, function = command.target.partition(":")
    try:
        loaded: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ringwatch"):
            raise
        print(
            f"ringwatch {command.name}: needs {error.name}; install ringwatch[{command.extra}]",
            file=sys.stderr,
        )
        return None
    return loaded


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code; 2 stands for a usage error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else ""
    if not name and arguments in (["-h"], ["--help"]):
        print(_usage())
        return 0
    if not name and arguments == ["--version"]:
        print(f"ringwatch {__version__}")
        return 0
    command = next((each for each in COMMANDS if each.name == (name or "console")), None)
    if command is None:
        print(f"ringwatch: no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    function = _load(command)
    return 3 if function is None else function([*command.prefix, *arguments])


if __name__ == "__main__":
    sys.exit(main())
