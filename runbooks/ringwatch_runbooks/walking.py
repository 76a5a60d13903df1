"""Walks a run in a terminal: shows the open step, reads a line, sends it. Decides nothing by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TextIO

from ringwatch_runbooks.cli_text import run_lines

ANSWERS: Final = ("answer", "approve", "dry_run", "skip", "retry", "abort", "undo")
_LOOK_S: Final = 1.0
_SHORT: Final = {"y": "approve", "a": "answer", "d": "dry_run", "s": "skip"}
HELP: Final = (
    "approve TARGET (y) | answer OPTION (a) | dry_run (d) | skip REASON (s) | retry | abort | "
    "undo STEP TARGET | quit: the run stays in the collector"
)


class Refused(Exception):
    """The collector said no, or nothing; ``code`` is the exit code that says which."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class Ask(Protocol):
    """Asks the Runs service; raises with a sentence when it says no."""

    def __call__(self, method: str, request: object, timeout_s: float = ...) -> Any:  # noqa: ANN401  (a message)
        """Return the answer of a method."""
        ...


def begun(ask: Ask, incident: str, runbook: str, author: str) -> Any:  # noqa: ANN401  (a message)
    """Return the run that works on an incident, or start the runbook that fits it best."""
    from ringwatch_proto.v1 import runs_pb2

    live = ask("ListRuns", runs_pb2.ListRunsRequest(incident=incident)).runs
    if live:
        return live[0]
    if not runbook:
        fitting = ask("ListRunbooks", runs_pb2.ListRunbooksRequest(incident=incident)).runbooks
        runbook = fitting[0].id if fitting else ""
    return ask("StartRun", runs_pb2.StartRunRequest(incident=incident, runbook=runbook, author=author))


class Walker:
    """One operator at one terminal."""

    def __init__(
        self,
        ask: Ask,
        author: str,
        given: TextIO,
        shown: TextIO,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = ask
        self._author = author
        self._given = given
        self._shown = shown
        self._sleep = sleep

    def walk(self, run: Any) -> bool:  # noqa: ANN401  (a message)
        """Walk a run until it ends or the operator leaves; return whether it did not fail."""
        from ringwatch_proto.v1 import runs_pb2

        said = ""
        while run.current:
            text = "\n".join(run_lines(run))
            if text != said:
                self._shown.write(f"\n{text}\n")
                said = text
            if run.state != "waiting":
                self._sleep(_LOOK_S)
                run = self._ask("GetRun", runs_pb2.GetRunRequest(id=run.id))
                continue
            line = self._line()
            if line is None:
                return True
            run = self._answered(run, line)
        self._shown.write("\n".join(run_lines(run)) + "\n")
        return run.state not in ("failed", "aborted")

    def _line(self) -> str | None:
        self._shown.write("> ")
        self._shown.flush()
        line = self._given.readline()
        return None if not line or line.strip() in ("quit", "q") else line.strip()

    def _answered(self, run: Any, line: str) -> Any:  # noqa: ANN401  (messages)
        request = _request(run, line, self._author)
        if request is None:
            self._shown.write(HELP + "\n")
            return run
        try:
            return self._ask("Answer", request)
        except Refused as error:
            self._shown.write(f"! {error}\n")
            return run


def _request(run: Any, line: str, author: str) -> Any:  # noqa: ANN401  (messages)
    """Return what a line asks for, None when it is nothing that can be asked."""
    from ringwatch_proto.v1 import runs_pb2

    word, _, text = line.partition(" ")
    action, step = _SHORT.get(word, word), run.current
    if action == "undo":
        step, _, text = text.partition(" ")
    if action not in ANSWERS:
        return None
    return runs_pb2.AnswerRequest(run=run.id, step=step, action=action, text=text.strip(), author=author)
