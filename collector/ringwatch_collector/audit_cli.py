"""``ringwatch audit``: reads the audit log on disk, beside a running collector. It changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import RowMapping, select
from sqlalchemy.exc import SQLAlchemyError

from ringwatch_collector.audit import GENESIS, Verifier
from ringwatch_collector.config import load_config
from ringwatch_collector.ground import database_url
from ringwatch_collector.store.engine import open_engine, sqlite_file
from ringwatch_collector.store.tables import AUDIT
from ringwatch_proto.errors import ConfigError, StoreError

_EPILOG = """\
exit codes: 0 every record is as it was written, 1 one is not, 2 a setting cannot work,
3 the database cannot be read

examples:
  ringwatch audit verify
  ringwatch audit verify --expect 4711:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  ringwatch audit show --incident I-7 --json

A chain alone does not show records that were cut off at its end, nor one that was forged from some
record on. Note what verify prints, on another machine, and hold a later verify to it with --expect.
The collector's own log has the digest of every record too.
"""


def main(argv: Sequence[str]) -> int:
    """Run one sub-command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        flags = {"data_dir": arguments.data_dir, "database_url": arguments.database_url}
        url = database_url(load_config(arguments.config, os.environ, flags))
        return _verify(url, arguments) if arguments.command == "verify" else _show(url, arguments)
    except ConfigError as error:
        print(f"ringwatch audit: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"ringwatch audit: {error}", file=sys.stderr)
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch audit",
        description="Who did what, where, why, with which result.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", help="check that no record was changed, taken out or put in")
    verify.add_argument(
        "--expect", default="", metavar="SEQUENCE:DIGEST", help="what an earlier verify printed"
    )
    show = commands.add_parser("show", help="print records, oldest first")
    show.add_argument("--incident", default="", help="only those of one incident")
    show.add_argument("--actor", default="", help="only those of one person or node")
    show.add_argument("--last", type=int, default=0, metavar="N", help="only the newest N")
    for each in (verify, show):
        each.add_argument("--config", type=Path, help="TOML file of the collector's settings")
        each.add_argument("--data-dir", help="folder of the database (var/collector)")
        each.add_argument("--database-url", help="SQLAlchemy URL of another database")
        each.add_argument("--json", action="store_true", help="one object a line")
    return parser


def _records(url: str) -> Iterator[RowMapping]:
    engine = open_engine(url)
    try:
        file = sqlite_file(engine)
        if file is not None and not file.exists():
            raise StoreError(f"there is no database {file}")
        with engine.connect().execution_options(yield_per=1000) as connection:
            yield from connection.execute(select(AUDIT).order_by(AUDIT.c.sequence)).mappings()
    except SQLAlchemyError as error:
        raise StoreError(f"cannot read the audit log: {error}") from error
    finally:
        engine.dispose()


def _verify(url: str, arguments: argparse.Namespace) -> int:
    verifier = Verifier(_expected(arguments.expect))
    for row in _records(url):
        if not verifier.take(row):
            break
    fault = verifier.fault()
    if arguments.json:
        told = {"intact": fault is None, "records": verifier.sequence, "digest": verifier.digest}
        print(
            json.dumps(
                {**told, "fault": fault.sentence if fault else None, "at": fault.sequence if fault else None}
            )
        )
    elif fault is None:
        newest = f"{verifier.sequence}:{verifier.digest}"
        print(f"{verifier.sequence} records, each as it was written; the newest is {newest}")
    if fault is not None:
        print(f"ringwatch audit: {fault.sentence}", file=sys.stderr)
    return 0 if fault is None else 1


def _expected(text: str) -> tuple[int, str]:
    if not text:
        return 0, GENESIS
    sequence, _, digest = text.partition(":")
    if not sequence.isdecimal() or len(digest) != len(GENESIS):
        raise ConfigError(f"--expect {text[:80]!r} is not SEQUENCE:DIGEST")
    return int(sequence), digest


def _show(url: str, arguments: argparse.Namespace) -> int:
    wanted = [
        row
        for row in _records(url)
        if arguments.incident in ("", row["incident"]) and arguments.actor in ("", row["actor"])
    ]
    for row in wanted[-arguments.last :]:
        at = datetime.fromtimestamp(row["wall_ns"] / 1e9, UTC).isoformat(timespec="milliseconds")
        if arguments.json:
            print(json.dumps({"at": at, **row}))
        else:
            about = " ".join(each for each in (row["target"], row["incident"]) if each)
            why = f" because {row['reason']!r}" if row["reason"] else ""
            print(f"{row['sequence']:>6} {at} {row['actor']} {row['action']} {about}{why}: {row['result']}")
    return 0
