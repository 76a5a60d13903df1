"""``ringwatch kb list|show|lint|override``: reads argv, prints what the catalogues say, writes overrides.

Exit codes: 0 done, 1 lint found something or there is no such row, 2 usage, 3 the override cannot be written.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringwatch_knowledge import data_files, editing, lint, overrides
from ringwatch_knowledge.overrides import SHAPES, Shape
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.signals import SIGNALS

FOUND, NOT_FOUND, NOT_WRITTEN = 0, 1, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ringwatch kb", description="What faults, lines and signals mean.")
    parser.add_argument(
        "--folder", type=Path, default=overrides.folder(), help="overrides (default: %(default)s)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the catalogues, their age and what is overridden")
    show = commands.add_parser("show", help="rows of a catalogue: ringwatch kb show xid 79")
    show.add_argument("catalogue", choices=[*(shape.name for shape in SHAPES), "signals"])
    show.add_argument("key", nargs="?", help="one row, or a part of its key")
    show.add_argument("--json", action="store_true", help="one object a line")
    commands.add_parser("lint", help="what is unsound in the product's data and in the overrides")
    change = commands.add_parser(
        "override", help="ringwatch kb override xid 63 first_action=drain_and_reset --reason ..."
    )
    change.add_argument("catalogue", choices=[shape.name for shape in SHAPES])
    change.add_argument("key", help="the row")
    change.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="a list is written as JSON")
    change.add_argument("--reason", default="", help="why; kept beside it")
    change.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")
    change.add_argument("--remove", action="store_true", help="take the override back")
    return parser


def _shape(name: str) -> Shape:
    shape = overrides.shape_of(name)
    if shape is None:
        raise ConfigError(f"no catalogue {name!r}")
    return shape


def _list(folder: Path) -> int:
    for shape in SHAPES:
        document = data_files.product(shape.file)
        overrides.laid_over(shape, document, folder)
        changed = len(overrides.applied(shape.name))
        said = f", {changed} overridden in {folder}" if changed else ""
        print(f"{shape.name:<14} {len(document[shape.rows]):>4} rows, {document['as_of']}{said}")
    print(f"{'signals':<14} {len(SIGNALS):>4} rows")
    return FOUND


def _rows(catalogue: str, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    if catalogue == "signals":
        return [
            (each.name, {"id": each.id, "unit": each.unit, "kind": each.kind, "help": each.help})
            for each in SIGNALS
        ]
    shape = _shape(catalogue)
    document = overrides.laid_over(shape, data_files.product(shape.file), folder)
    return [(shape.key_of(row), row) for row in document[shape.rows]]


def _show(catalogue: str, key: str | None, folder: Path, *, as_json: bool) -> int:
    rows = _rows(catalogue, folder)
    chosen = [row for row in rows if key is None or row[0] == key]
    chosen = chosen or [row for row in rows if key is not None and key.lower() in row[0].lower()]
    ours = {each.key: each for each in overrides.applied(catalogue)}
    for name, row in chosen:
        if as_json:
            print(json.dumps(row, ensure_ascii=False))
            continue
        print(name)
        for field, value in row.items():
            override = ours.get(name)
            said = ""
            if override is not None and field in override.product and override.product[field] != value:
                said = f"   (the product says {override.product[field]}; {override.by}: {override.reason})"
            print(f"  {field}: {_written(value)}{said}")
    if not chosen:
        print(f"ringwatch kb: no {catalogue} {key!r}", file=sys.stderr)
    return FOUND if chosen else NOT_FOUND


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lint(folder: Path) -> int:
    wrong = [*lint.product(), *(lint.folder(folder) if folder.is_dir() else ())]
    for what in wrong:
        print(what)
    rows = sum(len(data_files.product(shape.file)[shape.rows]) for shape in SHAPES)
    print(f"{rows} rows in {len(SHAPES)} catalogues: {len(wrong) or 'nothing'} wrong", file=sys.stderr)
    return NOT_FOUND if wrong else FOUND


def _override(options: argparse.Namespace) -> int:
    shape = _shape(options.catalogue)
    try:
        if options.remove:
            path = editing.remove(shape, options.key, options.folder)
        else:
            path = editing.put(
                shape,
                options.key,
                options.fields,
                folder=options.folder,
                by=options.by,
                reason=options.reason,
            )
    except (ConfigError, OSError) as error:
        print(f"ringwatch kb: {error}", file=sys.stderr)
        return NOT_WRITTEN
    print(f"{path}: written; agents and collectors read it when they start", file=sys.stderr)
    return _show(options.catalogue, options.key, options.folder, as_json=False)


def main(argv: Sequence[str]) -> int:
    """Run one sub-command and return its exit code."""
    options = _parser().parse_args(list(argv))
    if options.command == "list":
        return _list(options.folder)
    if options.command == "show":
        return _show(options.catalogue, options.key, options.folder, as_json=options.json)
    return _lint(options.folder) if options.command == "lint" else _override(options)
