"""The ``ringwatch runbook`` commands: reads argv, prints, returns exit codes."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from ringwatch_proto.errors import RingwatchError
from ringwatch_runbooks.cli_text import run_lines, runbook_lines, ways
from ringwatch_runbooks.fact_names import FACTS
from ringwatch_runbooks.lint import lint
from ringwatch_runbooks.load import load_library
from ringwatch_runbooks.model import Library, Runbook

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
_DEFAULT_ADDRESS: Final = "127.0.0.1:7701"
_EXIT_CODES: Final = """\
exit codes:
  0  done
  1  something is wrong: a problem was found (lint), there is no such runbook or run, the collector said no
  2  usage error
  3  the collector cannot be reached"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run_command
    try:
        return run(arguments)
    except RingwatchError as error:
        print(f"ringwatch runbook: {error}", file=sys.stderr)
        return WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch runbook",
        description="Runbooks: what there are, and walking them.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    library = argparse.ArgumentParser(add_help=False)
    library.add_argument(
        "--library", type=Path, action="append", default=[], help="a folder of more runbooks"
    )
    library.add_argument("--json", action="store_true", help="one JSON object a line")
    remote = argparse.ArgumentParser(add_help=False)
    address = os.environ.get("RINGWATCH_COLLECTOR", _DEFAULT_ADDRESS)
    remote.add_argument(
        "--collector",
        default=address,
        metavar="HOST:PORT",
        help="where the collector listens (default: RINGWATCH_COLLECTOR, else %(default)s)",
    )
    remote.add_argument("--as", dest="author", default=_user(), help="who says it (default: %(default)s)")
    remote.add_argument("--json", action="store_true", help="one JSON object a line")
    _add(commands, "list", "every runbook", _list, library)
    _add(commands, "show", "one runbook with all its steps", _show, library).add_argument("id")
    _add(commands, "facts", "what a runbook can read", _facts, library)
    lint_parser = _add(commands, "lint", "check runbooks: all of them, or one file or folder", _lint, library)
    lint_parser.add_argument("path", type=Path, nargs="?")
    start = _add(commands, "start", "start to walk a runbook for an incident", _start, remote)
    start.add_argument("incident")
    start.add_argument("runbook")
    _add(commands, "run", "show a run as it is now", _run, remote).add_argument("id")
    answer = _add(commands, "answer", "answer the open step of a run", _answer, remote)
    answer.add_argument("id", metavar="RUN")
    answer.add_argument("step", metavar="STEP")
    answer.add_argument("action", choices=("answer", "approve", "dry_run", "skip", "retry", "abort"))
    answer.add_argument("text", nargs="?", default="", help="the option, the typed target, or the reason")
    return parser


def _add(
    commands: Any,  # noqa: ANN401  (argparse has no public name for it)
    name: str,
    help: str,
    run: Callable[[argparse.Namespace], int],
    parent: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help, parents=[parent])
    parser.set_defaults(run_command=run)
    return parser


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _print(rows: Iterable[dict[str, object]]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))


def _list(arguments: argparse.Namespace) -> int:
    library = load_library(arguments.library)
    books = sorted(library.runbooks.values(), key=lambda book: book.id)
    if arguments.json:
        _print({**_head(book), "steps": len(book.steps)} for book in books)
    else:
        width = max((len(book.id) for book in books), default=0)
        for book in books:
            print(f"{book.id:<{width}}  {book.severity:<8}  {book.title.en}  ({book.title.zh})")
    return _said(library)


def _said(library: Library) -> int:
    for trouble in library.troubles:
        print(trouble, file=sys.stderr)
    return WRONG if library.troubles else OK


def _head(book: Runbook) -> dict[str, object]:
    return {
        "id": book.id,
        "revision": book.revision,
        "title": book.title.en,
        "title_zh": book.title.zh,
        "severity": book.severity,
        "triggers": [{"kind": each.kind, "causes": list(each.causes)} for each in book.triggers],
    }


def _show(arguments: argparse.Namespace) -> int:
    library = load_library(arguments.library)
    book = library.runbooks.get(arguments.id)
    if book is None:
        print(f"there is no runbook {arguments.id!r}; `ringwatch runbook list` names them", file=sys.stderr)
        return WRONG
    if arguments.json:
        head = {
            **_head(book),
            "first_rule": book.first_rule.en,
            "first_rule_zh": book.first_rule.zh,
            "never": list(book.never),
            "sources": list(book.sources),
            "steps": [{"id": s.id, "kind": s.kind, "title": s.title, "then": ways(s)} for s in book.steps],
        }
        _print([head])
    else:
        print("\n".join(runbook_lines(book, library)))
    return OK


def _facts(arguments: argparse.Namespace) -> int:
    rows = sorted(FACTS.values(), key=lambda fact: fact.name)
    if arguments.json:
        _print({"name": f.name, "unit": f.unit, "source": f.source, "help": f.help} for f in rows)
    else:
        for fact in rows:
            print(f"{fact.name:<34} {fact.unit:<7} {fact.source:<9} {fact.help}")
    return OK


def _lint(arguments: argparse.Namespace) -> int:
    path: Path | None = arguments.path
    if path is not None and not path.exists():
        print(f"{path}: there is no such file or folder", file=sys.stderr)
        return USAGE
    folder = path.parent if path is not None and path.is_file() else path
    library = load_library([*arguments.library, *([folder] if folder is not None else [])])
    problems = lint(library)
    if path is not None:
        problems = [problem for problem in problems if problem.path.startswith(str(path))]
    if arguments.json:
        _print({"path": p.path, "line": p.line, "problem": p.text} for p in problems)
    else:
        for problem in problems:
            print(problem)
        books = library.runbooks.values()
        print(
            f"{len(books)} runbooks, {sum(len(book.steps) for book in books)} steps, "
            f"{len(library.actions)} actions: {len(problems) or 'no'} problems",
            file=sys.stderr,
        )
    return WRONG if problems else OK


def _start(arguments: argparse.Namespace) -> int:
    from ringwatch_proto.v1 import runs_pb2

    request = runs_pb2.StartRunRequest(
        incident=arguments.incident, runbook=arguments.runbook, author=arguments.author
    )
    return _asked(arguments, "StartRun", request)


def _run(arguments: argparse.Namespace) -> int:
    from ringwatch_proto.v1 import runs_pb2

    return _asked(arguments, "GetRun", runs_pb2.GetRunRequest(id=arguments.id))


def _answer(arguments: argparse.Namespace) -> int:
    from ringwatch_proto.v1 import runs_pb2

    request = runs_pb2.AnswerRequest(
        run=arguments.id,
        step=arguments.step,
        action=arguments.action,
        text=arguments.text,
        author=arguments.author,
    )
    return _asked(arguments, "Answer", request)


def _asked(arguments: argparse.Namespace, method: str, request: object) -> int:
    """Ask the collector; gRPC is loaded only here, so that reading runbooks needs none."""
    import grpc
    from google.protobuf import json_format

    from ringwatch_proto.dialling import credentials_from, open_blocking_channel
    from ringwatch_proto.v1 import runs_pb2_grpc

    with open_blocking_channel(arguments.collector, credentials_from(os.environ)) as channel:
        try:
            run = getattr(runs_pb2_grpc.RunsStub(channel), method)(request, timeout=30.0)
        except grpc.RpcError as error:
            return _refused(error, arguments.collector)
    if arguments.json:
        print(json.dumps(json_format.MessageToDict(run, preserving_proto_field_name=True)))
    else:
        print("\n".join(run_lines(run)))
    return OK


def _refused(error: Any, address: str) -> int:  # noqa: ANN401  (grpc.RpcError has no typed methods)
    if error.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        print(f"ringwatch runbook: no collector answers at {address}: {error.details()}", file=sys.stderr)
        return UNREACHABLE
    print(f"ringwatch runbook: {error.details()}", file=sys.stderr)
    return WRONG


if __name__ == "__main__":
    sys.exit(main())
