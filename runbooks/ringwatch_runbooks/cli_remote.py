"""The ``ringwatch runbook`` commands that ask the collector. Loads gRPC only when one is called."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ringwatch_runbooks.cli_text import plan_lines, run_lines, safety_lines
from ringwatch_runbooks.exits import OK, UNREACHABLE, WRONG
from ringwatch_runbooks.walking import ANSWERS, Ask, Refused, Walker, begun

__all__ = ["ANSWERS", "answer", "breaker", "plan", "run", "start"]

_ASK_S: Final = 30.0
# A plan makes every dry run of a runbook, one after the other.
_PLAN_S: Final = 600.0


@contextmanager
def asking(address: str) -> Iterator[Ask]:
    """Give a function that asks the Runs service; raise Refused with a sentence."""
    import grpc

    from ringwatch_proto.dialling import credentials_from, open_blocking_channel
    from ringwatch_proto.v1 import runs_pb2_grpc

    with open_blocking_channel(address, credentials_from(os.environ)) as channel:
        stub = runs_pb2_grpc.RunsStub(channel)

        def ask(method: str, request: object, timeout_s: float = _ASK_S) -> Any:  # noqa: ANN401  (a message)
            try:
                return getattr(stub, method)(request, timeout=timeout_s)
            except grpc.RpcError as error:
                raise _refused(error, address) from error

        yield ask


def _refused(error: Any, address: str) -> Refused:  # noqa: ANN401  (grpc.RpcError has no typed methods)
    if error.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return Refused(f"no collector answers at {address}: {error.details()}", UNREACHABLE)
    return Refused(str(error.details()), WRONG)


def start(arguments: argparse.Namespace) -> int:
    """Begin a run."""
    from ringwatch_proto.v1 import runs_pb2

    request = runs_pb2.StartRunRequest(
        incident=arguments.incident, runbook=arguments.runbook, author=arguments.author
    )
    return _told(arguments, "StartRun", request)


def plan(arguments: argparse.Namespace) -> int:
    """Say what a runbook would do."""
    from ringwatch_proto.v1 import runs_pb2

    request = runs_pb2.StartRunRequest(
        incident=arguments.incident, runbook=arguments.runbook, author=arguments.author
    )
    return _told(arguments, "PlanRun", request)


def answer(arguments: argparse.Namespace) -> int:
    """Answer a step."""
    from ringwatch_proto.v1 import runs_pb2

    request = runs_pb2.AnswerRequest(
        run=arguments.id,
        step=arguments.step,
        action=arguments.action,
        text=arguments.text,
        author=arguments.author,
    )
    return _told(arguments, "Answer", request)


def run(arguments: argparse.Namespace) -> int:
    """Show a run; of an incident, start one or go on with it, and walk it where a person can answer."""
    from ringwatch_proto.v1 import runs_pb2

    if not arguments.id.startswith("I-"):
        return _told(arguments, "GetRun", runs_pb2.GetRunRequest(id=arguments.id))
    try:
        with asking(arguments.collector) as ask:
            found = begun(ask, arguments.id, arguments.runbook, arguments.author)
            if sys.stdin.isatty() and not arguments.json:
                walker = Walker(ask, arguments.author, sys.stdin, sys.stdout)
                return OK if walker.walk(found) else WRONG
    except Refused as error:
        return _failed(error)
    _shown(arguments, "GetRun", found)
    return OK


def breaker(arguments: argparse.Namespace) -> int:
    """Show the circuit breaker, open it, or close it."""
    from ringwatch_proto.v1 import runs_pb2

    if arguments.do == "show":
        return _told(arguments, "GetSafety", runs_pb2.GetSafetyRequest())
    request = runs_pb2.SetBreakerRequest(
        open=arguments.do == "open", why=arguments.why, author=arguments.author
    )
    return _told(arguments, "SetBreaker", request)


def _told(arguments: argparse.Namespace, method: str, request: object) -> int:
    try:
        with asking(arguments.collector) as ask:
            said = ask(method, request, _PLAN_S if method == "PlanRun" else _ASK_S)
    except Refused as error:
        return _failed(error)
    _shown(arguments, method, said)
    return OK


def _failed(error: Refused) -> int:
    sys.stderr.write(f"ringwatch runbook: {error}\n")
    return error.code


def _shown(arguments: argparse.Namespace, method: str, said: Any) -> None:  # noqa: ANN401  (a message)
    from google.protobuf import json_format

    if arguments.json:
        sys.stdout.write(json.dumps(json_format.MessageToDict(said, preserving_proto_field_name=True)) + "\n")
        return
    words = {"PlanRun": plan_lines, "GetSafety": safety_lines, "SetBreaker": safety_lines}
    sys.stdout.write("\n".join(words.get(method, run_lines)(said)) + "\n")
