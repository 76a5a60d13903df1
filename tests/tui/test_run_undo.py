"""Tests of what the run screen says about taking an action back."""

from __future__ import annotations

from ringwatch_proto.records import Subject
from ringwatch_tui.state.model import Run, RunStep
from ringwatch_tui.views.run import sections


def words(step: RunStep) -> str:
    """Return what is said of a step, as text."""
    run = Run(
        id="R-1", runbook="small", revision=1, title="Small", incident="I-1", state="waiting", current="what",
        steps=(step,), target=Subject(kind="node", node="n011"),
    )  # fmt: skip
    lines = sections(run, step)[0].build(90)
    return "\n".join("".join(span.text for span in row) for row in lines)


def test_a_done_action_that_can_be_taken_back_says_how() -> None:
    """With the very command."""
    step = RunStep(id="drain", kind="action", title="Drain", state="done", undo_target="n011")

    assert "TAKE BACK ringwatch runbook answer R-1 drain undo n011" in words(step)


def test_an_action_that_was_taken_back_says_by_whom() -> None:
    """And no longer offers it."""
    said = words(RunStep(id="drain", kind="action", title="Drain", state="done", undone="done by bo"))

    assert "UNDONE    done by bo" in said
    assert "TAKE BACK" not in said
