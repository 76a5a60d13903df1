"""Tests of walking a run in a terminal: what is shown, what is sent, and when it ends."""

from __future__ import annotations

import io
from typing import Any

from ringwatch_proto.v1 import runs_pb2
from ringwatch_runbooks.walking import Refused, Walker, begun

WAITING = runs_pb2.Run(
    id="R-1", state="waiting", current="drain", incident="I-1", path=["drain"],
    steps=[runs_pb2.RunStep(id="drain", kind="action", title="Drain", state="waiting", typed_target="n1")],
)  # fmt: skip
OVER = runs_pb2.Run(id="R-1", state="succeeded", result="It was repaired")


class Collector:
    """Answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, method: str, request: object, timeout_s: float = 30.0) -> Any:
        del timeout_s
        self.asked.append((method, request))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def walked(collector: Collector, lines: str, run: runs_pb2.Run = WAITING) -> tuple[bool, str]:
    """Walk a run with these lines typed; return how it ended and what was shown."""
    shown = io.StringIO()
    walker = Walker(collector, "ana", io.StringIO(lines), shown, sleep=lambda _: None)
    return walker.walk(run), shown.getvalue()


def test_an_approval_is_sent_as_typed_and_the_run_goes_on_to_its_end() -> None:
    """While it runs it is looked at again."""
    running = runs_pb2.Run(id="R-1", state="running", current="proof")
    collector = Collector(running, OVER)

    well, shown = walked(collector, "approve n1\n")

    assert well
    assert [method for method, _ in collector.asked] == ["Answer", "GetRun"]
    sent = collector.asked[0][1]
    assert (sent.step, sent.action, sent.text, sent.author) == ("drain", "approve", "n1", "ana")
    assert "type to approve: n1" in shown
    assert "It was repaired" in shown


def test_a_refusal_is_shown_and_the_next_line_is_read() -> None:
    """A typing mistake ends nothing."""
    collector = Collector(Refused("the target is 'n1', not 'n2'", 1), OVER)

    well, shown = walked(collector, "y n2\ny n1\n")

    assert well
    assert "! the target is 'n1'" in shown


def test_what_is_no_answer_gets_the_help() -> None:
    """And nothing is sent."""
    collector = Collector()

    _, shown = walked(collector, "reboot everything\nquit\n")

    assert collector.asked == []
    assert "approve TARGET" in shown


def test_the_end_of_input_leaves_the_run_to_the_collector() -> None:
    """Nothing is answered by a closed terminal."""
    collector = Collector()

    assert walked(collector, "")[0]
    assert collector.asked == []


def test_an_undo_names_another_step() -> None:
    """The one that was done."""
    collector = Collector(OVER)

    walked(collector, "undo cordon n1\n")

    sent = collector.asked[0][1]
    assert (sent.step, sent.action, sent.text) == ("cordon", "undo", "n1")


def test_a_run_that_goes_on_is_taken_up_and_not_started_again() -> None:
    """The incident has one run."""
    collector = Collector(runs_pb2.RunList(runs=[WAITING]))

    assert begun(collector, "I-1", "", "ana") == WAITING


def test_the_best_runbook_is_started_where_none_is_named() -> None:
    """Best first, as the collector lists them."""
    books = runs_pb2.RunbookList(runbooks=[runs_pb2.Runbook(id="thermal"), runs_pb2.Runbook(id="power")])
    collector = Collector(runs_pb2.RunList(), books, WAITING)

    begun(collector, "I-1", "", "ana")

    assert collector.asked[-1][1].runbook == "thermal"
