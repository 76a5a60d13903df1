"""``ringwatch silence|alerts|history``: what is silent, who was told, what was. Reads argv, prints."""

from __future__ import annotations

import argparse
import getpass
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import grpc

from ringwatch_proto.dialling import credentials_from, open_blocking_channel
from ringwatch_proto.errors import ConfigError
from ringwatch_proto.v1 import query_pb2, query_pb2_grpc

_EXAMPLES: Final = """\
exit codes: 0 done, 1 refused, 2 usage error, 3 the collector cannot be reached

examples:
  ringwatch silence put --for 2h --reason "new fans" node=n01? kind=gpu.*
  ringwatch silence list
  ringwatch silence end S-3 --reason "done early"
  ringwatch alerts --state dead
  ringwatch history gpu.power_watts --node n011 --last 6h --json
  ringwatch history job.step_s --job llm-70b --last 1d
"""
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIMEOUT_S: Final = 30.0
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"

Row = dict[str, Any]
# A command: what it asks, and how an object of its answer reads as a line.
Ask = Callable[[Any, argparse.Namespace], list[Row]]


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    address = arguments.collector or os.environ.get("RINGWATCH_COLLECTOR", "127.0.0.1:7701")
    try:
        with open_blocking_channel(address, credentials_from(os.environ)) as channel:
            rows = arguments.ask(query_pb2_grpc.QueryStub(channel), arguments)
    except (ConfigError, ValueError) as error:
        print(f"ringwatch: {error}", file=sys.stderr)
        return 2
    except grpc.RpcError as error:
        print(f"ringwatch: {address}: {error.details()}", file=sys.stderr)
        return 3 if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED) else 1
    for row in rows:
        print(json.dumps(row, ensure_ascii=False) if arguments.json else arguments.line(row))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringwatch", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    silence = commands.add_parser("silence", help="silences by what an incident is about").add_subparsers(
        dest="order", required=True
    )
    _command(silence, "list", "those that hold", _silences, _silence_line).add_argument(
        "--all", action="store_true", help="those of the last month too"
    )
    put = _command(silence, "put", "begin one, from now on", _put, _silence_line)
    put.add_argument("matchers", nargs="+", metavar="FIELD=PATTERN", help="all have to match")
    put.add_argument("--for", dest="duration_s", type=_seconds, required=True, metavar="2h")
    put.add_argument("--reason", required=True)
    end = _command(silence, "end", "end one early", _end, _silence_line)
    end.add_argument("id")
    end.add_argument("--reason", default="")
    alerts = _command(commands, "alerts", "what was told to whom, newest first", _alerts, _alert_line)
    alerts.add_argument("--state", default="", choices=("", "waiting", "sent", "dead", "obsolete"))
    alerts.add_argument("--limit", type=int, default=50)
    history = _command(commands, "history", "one series over a window", _history, _history_line)
    history.add_argument("series", help="a signal (gpu.power_watts) or job.step_s, job.ranks")
    for name in ("node", "device", "job"):
        history.add_argument(f"--{name}", default="")
    history.add_argument("--last", type=_seconds, default=3600.0, metavar="1h")
    history.add_argument("--step", type=_seconds, default=0.0, metavar="1m")
    return parser


def _command(
    commands: Any,  # noqa: ANN401  (argparse does not name its type)
    name: str,
    text: str,
    ask: Ask,
    line: Callable[[Row], str],
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.add_argument("--collector", help="host:port (default: $RINGWATCH_COLLECTOR, 127.0.0.1:7701)")
    command.add_argument("--json", action="store_true", help="one object a line")
    command.add_argument("--as", dest="author", default=_user(), help="who says it (default: %(default)s)")
    command.set_defaults(ask=ask, line=line)
    return command


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:
        return ""


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90s, 15m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def _silences(query: Any, arguments: argparse.Namespace) -> list[Row]:  # noqa: ANN401  (a stub has no types)
    request = query_pb2.ListSilencesRequest(include_ended=arguments.all)
    return [_silence(each) for each in query.ListSilences(request, timeout=_TIMEOUT_S).silences]


def _put(query: Any, arguments: argparse.Namespace) -> list[Row]:  # noqa: ANN401  (a stub has no types)
    pairs = [each.partition("=") for each in arguments.matchers]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError("a matcher is FIELD=PATTERN, for example node=n01?")
    request = query_pb2.PutSilenceRequest(
        matchers=[query_pb2.Matcher(field=field, pattern=pattern) for field, _, pattern in pairs],
        author=arguments.author,
        reason=arguments.reason,
        duration_s=arguments.duration_s,
    )
    return [_silence(query.PutSilence(request, timeout=_TIMEOUT_S))]


def _end(query: Any, arguments: argparse.Namespace) -> list[Row]:  # noqa: ANN401  (a stub has no types)
    request = query_pb2.EndSilenceRequest(id=arguments.id, author=arguments.author, reason=arguments.reason)
    return [_silence(query.EndSilence(request, timeout=_TIMEOUT_S))]


def _silence(message: query_pb2.Silence) -> Row:
    return {
        "id": message.id,
        "matchers": {each.field: each.pattern for each in message.matchers},
        "author": message.author,
        "reason": message.reason,
        "from": _time(message.from_ns),
        "until": _time(message.until_ns),
        "ended": _time(message.ended_ns),
        "incidents": list(message.incidents),
    }


def _silence_line(row: Row) -> str:
    meant = " ".join(f"{field}={pattern}" for field, pattern in row["matchers"].items())
    end = f"ended {row['ended']}" if row["ended"] else f"until {row['until']}"
    return f"{row['id']:<6} {meant}  {end}  {row['author']}: {row['reason']}{_held(row['incidents'])}"


def _held(incidents: Sequence[str]) -> str:
    return f"  holds {', '.join(incidents)}" if incidents else ""


def _alerts(query: Any, arguments: argparse.Namespace) -> list[Row]:  # noqa: ANN401  (a stub has no types)
    request = query_pb2.ListAlertsRequest(limit=arguments.limit, state=arguments.state)
    return [
        {
            "created": _time(each.created_ns),
            "channel": each.channel,
            "incident": each.incident,
            "what": each.what,
            "state": each.state,
            "tries": each.tries,
            "error": each.error,
            "due": _time(each.due_ns) if each.state == "waiting" else None,
        }
        for each in query.ListAlerts(request, timeout=_TIMEOUT_S).alerts
    ]


def _alert_line(row: Row) -> str:
    tries = f"  {row['tries']} tries: {row['error']}" if row["error"] else ""
    return (
        f"{row['created']}  {row['channel']:<14} {row['incident']:<8} {row['what']:<14} {row['state']}{tries}"
    )


def _history(query: Any, arguments: argparse.Namespace) -> list[Row]:  # noqa: ANN401  (a stub has no types)
    request = query_pb2.HistoryRequest(
        series=arguments.series,
        node=arguments.node,
        device=arguments.device,
        job=arguments.job,
        from_ns=int((time.time() - arguments.last) * 1e9),
        step_s=arguments.step,
    )
    reply = query.History(request, timeout=_TIMEOUT_S)
    said = f"{reply.source}, a point every {reply.step_s:g} s of readings every {reply.resolution_s:g} s"
    print(said + (f"; {reply.note}" if reply.note else ""), file=sys.stderr)
    return [
        {
            "series": reply.series,
            "unit": reply.unit,
            "source": reply.source,
            "node": line.node,
            "device": line.device,
            "job": line.job,
            "first": _time(reply.first_ns),
            "step_s": reply.step_s,
            "values": [None if math.isnan(value) else round(value, 6) for value in line.values],
        }
        for line in reply.lines
    ]


def _history_line(row: Row) -> str:
    who = " ".join(part for part in (row["node"], row["device"], row["job"]) if part)
    known = [value for value in row["values"] if value is not None]
    if not known:
        return f"{who}  no readings"
    span = f"{min(known):g} to {max(known):g} {row['unit']}, last {known[-1]:g}"
    return f"{who}  {span}\n  {_spark(row['values'])}"


def _spark(values: Sequence[float | None], cells: int = 100) -> str:
    """Return a line of blocks, a blank for a gap."""
    size = max(1, math.ceil(len(values) / cells))
    known = [value for value in values if value is not None]
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(_block(values[at : at + size], low, span) for at in range(0, len(values), size))


def _block(values: Iterable[float | None], low: float, span: float) -> str:
    known = [value for value in values if value is not None]
    return _BLOCKS[1 + round(7 * (max(known) - low) / span)] if known else _BLOCKS[0]


def _time(nanoseconds: int) -> str | None:
    if not nanoseconds:
        return None
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
