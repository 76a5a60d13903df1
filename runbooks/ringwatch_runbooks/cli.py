"""The ``ringwatch runbook`` commands: reads argv, prints, returns exit codes."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ringwatch_proto.errors import RingwatchError
from ringwatch_proto.records import IncidentKind
from ringwatch_runbooks import cli_remote
from ringwatch_runbooks.cli_text import runbook_lines, ways
from ringwatch_runbooks.exits import OK, USAGE, WRONG
from ringwatch_runbooks.fact_names import FACTS
from ringwatch_runbooks.lint import lint
from ringwatch_runbooks.load import load_library
from ringwatch_runbooks.model import Library, Runbook
from ringwatch_runbooks.starting import template
from ringwatch_runbooks.table import markdown, rows_of

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
    _add(commands, "table", "every kind of incident, its runbooks, and their proof", _table, library)
    _add(commands, "facts", "what a runbook can read", _facts, library)
    lint_parser = _add(commands, "lint", "check runbooks: all of them, or one file or folder", _lint, library)
    lint_parser.add_argument("path", type=Path, nargs="?")
    new = _add(commands, "new", "a runbook to begin with, which passes the linter", _new, library)
    new.add_argument("id", help="what it is to be called: letters, digits and -")
    new.add_argument("--kind", required=True, choices=sorted(IncidentKind), help="what it is for")
    _add_remote(commands, remote)
    return parser


def _add_remote(commands: Any, remote: argparse.ArgumentParser) -> None:  # noqa: ANN401  (as below)
    """Add what asks the collector."""
    start = _add(commands, "start", "start to walk a runbook for an incident", cli_remote.start, remote)
    plan = _add(
        commands, "plan", "what a runbook would do now: every dry run, no change", cli_remote.plan, remote
    )
    for parser in (start, plan):
        parser.add_argument("incident")
        parser.add_argument("runbook")
    run = _add(commands, "run", "show a run, or walk a runbook for an incident", cli_remote.run, remote)
    run.add_argument("id", metavar="RUN|INCIDENT", help="R-1 shows the run; I-1 starts or goes on")
    run.add_argument("runbook", nargs="?", default="", help="default: the one that fits the incident best")
    answer = _add(commands, "answer", "answer the open step of a run", cli_remote.answer, remote)
    answer.add_argument("id", metavar="RUN")
    answer.add_argument("step", metavar="STEP")
    answer.add_argument("action", choices=cli_remote.ANSWERS)
    answer.add_argument("text", nargs="?", default="", help="the option, the typed target, or the reason")
    breaker = _add(
        commands, "breaker", "show, open or close the circuit breaker of automatic actions",
        cli_remote.breaker, remote,
    )  # fmt: skip
    breaker.add_argument("do", choices=("show", "open", "close"), nargs="?", default="show")
    breaker.add_argument("--why", default="", help="the reason, which is kept")


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


def _table(arguments: argparse.Namespace) -> int:
    library = load_library(arguments.library)
    if arguments.json:
        _print(asdict(row) for row in rows_of(library))
    else:
        print("\n".join(markdown(rows_of(library))))
    return _said(library)


def _new(arguments: argparse.Namespace) -> int:
    print(template(arguments.id, arguments.kind), end="")
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


if __name__ == "__main__":
    sys.exit(main())
