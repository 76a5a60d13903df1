"""``ringwatch record|replay|export``: windows of the past as files, and a console over them."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ringwatch_proto.dialling import credentials_from
from ringwatch_proto.errors import RingwatchError, UnreachableError
from ringwatch_proto.recording import written
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.client.replay import frames_of
from ringwatch_tui.recordings import bundle
from ringwatch_tui.state.format import iso, plural

OK, WRONG, USAGE, UNREACHABLE = 0, 1, 2, 3
_DEFAULT_ADDRESS: Final = "127.0.0.1:7701"
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _span_s(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a span like 90s, 30m, 2h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def _collector(parser: argparse.ArgumentParser) -> None:
    address = os.environ.get("RINGWATCH_COLLECTOR", _DEFAULT_ADDRESS)
    parser.add_argument("--collector", default=address, metavar="HOST:PORT", help="(default: %(default)s)")


def _parser(name: str) -> argparse.ArgumentParser:
    if name == "record":
        parser = argparse.ArgumentParser(
            prog="ringwatch record",
            description="Write what the collector recorded of the last minutes to a file.",
            epilog="example:\n  ringwatch record --last 30m -o morning.rwrec",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _collector(parser)
        parser.add_argument(
            "--last", type=_span_s, default=1800.0, help="how far back: 90s, 30m, 2h (default: 30m)"
        )
        parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
        return parser
    if name == "replay":
        parser = argparse.ArgumentParser(
            prog="ringwatch replay",
            description="Open the console over a recording: , and . step, space plays.",
        )
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--ascii", action="store_true", help="no blocks and bullets, ASCII only")
        parser.add_argument("--theme", default="", help="colours, as for ringwatch console")
        return parser
    parser = argparse.ArgumentParser(
        prog="ringwatch export",
        description="Write the evidence of an incident to one archive: texts, JSON, and the recording.",
        epilog="example:\n  ringwatch export I-3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _collector(parser)
    parser.add_argument("incident", metavar="INCIDENT")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)"
    )
    return parser


async def _record(client: LiveClient, last_s: float, output: Path) -> int:
    now_s = (await client.fleet()).wall_s
    frames = await client.recording(now_s - last_s, now_s)
    if not frames:
        print("ringwatch record: the collector kept no picture of that time", file=sys.stderr)
        return WRONG
    size = written(output, frames)
    span = f"{iso(frames[0].wall_ns / 1e9)} to {iso(frames[-1].wall_ns / 1e9)}"
    print(f"{output}: {plural(len(frames), 'picture')}, {span}, {size:,} bytes")
    return OK


async def _export(client: LiveClient, incident: str, output: Path) -> int:
    said, tone = await bundle.exported(client, incident, output)
    print(said, file=sys.stderr if tone == "fault" else sys.stdout)
    return WRONG if tone == "fault" else OK


async def _asked(name: str, options: argparse.Namespace) -> int:
    client = LiveClient(options.collector, credentials_from(os.environ))
    try:
        if name == "record":
            return await _record(client, options.last, options.output)
        return await _export(client, options.incident, options.output)
    finally:
        await client.close()


def _replay(options: argparse.Namespace) -> int:
    frames = frames_of(options.file)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("ringwatch replay: needs a terminal", file=sys.stderr)
        return USAGE
    from ringwatch_tui.start import run_replay

    return run_replay(frames, options.file.name, theme=options.theme, ascii_only=options.ascii)


def main(argv: Sequence[str]) -> int:
    """Run the command that argv begins with; return its exit code."""
    name, *rest = argv
    try:
        options = _parser(name).parse_args(rest)
        return _replay(options) if name == "replay" else asyncio.run(_asked(name, options))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    except UnreachableError as error:
        print(f"ringwatch {name}: {error}", file=sys.stderr)
        return UNREACHABLE
    except RingwatchError as error:
        print(f"ringwatch {name}: {error}", file=sys.stderr)
        return WRONG
