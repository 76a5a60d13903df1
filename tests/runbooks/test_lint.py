"""Tests of the linter: each way in which a runbook can be unsafe is named with its line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.runbooks.rig import ACTIONS, packaged_library, small_library

from ringwatch_runbooks.lint import lint, lint_runbook
from ringwatch_runbooks.load import actions_of
from ringwatch_runbooks.model import Library, Trigger

END = "  - {id: over, kind: end, outcome: handed_over, note: Others have it}"
FIXED = "  - {id: fixed, kind: end, outcome: resolved, note: It is repaired}"
PROOF = "  - {id: proof, kind: verify, title: Well, healthy_s: 10, timeout_s: 60, then: fixed, on_fail: over}"
CYCLE = "  - {id: cycle, kind: action, title: Power cycle, uses: power_cycle, then: over, on_fail: over}"


def check(*branches: str, verb: str = "", id: str = "look") -> str:
    """Return a check with these branches."""
    head = f"  - {{id: {id}, kind: check, title: How it is, expect: well, timeout_s: 5, {verb}branch: ["
    return head + ", ".join(branches) + "]}"


TIMEOUT = "{when: {timeout: true}, goto: over}"
ELSE = "{when: {else: true}, goto: over}"


@pytest.mark.parametrize(
    ("steps", "at", "words"),
    [
        ((check(TIMEOUT), END), "look", "needs one branch with `else: true`"),
        ((check(ELSE), END), "look", "needs one branch with `timeout: true`"),
        (
            (check(ELSE, '{when: {fact: gpu.state, op: "==", value: 0}, goto: over}', TIMEOUT), END),
            "look",
            "after `else`",
        ),
        ((check(TIMEOUT, "{when: {else: true}, goto: nowhere}"), END), "look", "not there"),
        (
            (check(TIMEOUT, '{when: {fact: gpu.mood, op: "==", value: 0}, goto: over}', ELSE), END),
            "look",
            "gpu.mood is no fact",
        ),
        (
            (check(TIMEOUT, '{when: {fact: gpu.state, op: "<", value: "low"}, goto: over}', ELSE), END),
            "look",
            "compares numbers",
        ),
        (
            (check(TIMEOUT, '{when: {fact: process.state, op: "==", value: "T"}, goto: over}', ELSE), END),
            "look",
            "only known in a check with the verb process.inspect",
        ),
        ((check(TIMEOUT, ELSE, verb="verb: process.terminate, "), END), "look", "make it an action"),
        ((check(TIMEOUT, ELSE, verb="verb: node.explode, "), END), "look", "no verb node.explode"),
        (
            ("  - {id: act, kind: action, title: Do it, uses: explode, then: over, on_fail: over}", END),
            "act",
            "no action of the library",
        ),
        ((CYCLE, END), "cycle", "without a cordon"),
        (
            (
                "  - {id: back, kind: action, title: Return it, uses: give_back, then: over, on_fail: over}",
                END,
            ),
            "back",
            "without proof",
        ),
        ((check(TIMEOUT, "{when: {else: true}, goto: fixed}"), FIXED, END), "fixed", "without a verify step"),
        ((check(TIMEOUT, ELSE), END, PROOF, FIXED), "proof", "no path leads to step proof"),
        (
            (
                check(
                    "{when: {timeout: true}, goto: again}",
                    '{when: {fact: gpu.state, op: "==", value: 0}, goto: over}',
                    "{when: {else: true}, goto: again}",
                ),
                check("{when: {timeout: true}, goto: look}", "{when: {else: true}, goto: look}", id="again"),
                END,
            ),
            "look",
            "comes back to itself",
        ),
        (
            (
                "  - {id: stop, kind: ask, title: More, question: Do you want more, options: "
                "[{answer: more, goto: stop}, {answer: still more, goto: stop}]}",
                END,
            ),
            "stop",
            "no path leads from step stop to an end",
        ),
        (
            (
                check(TIMEOUT, "{when: {else: true}, goto: away}"),
                "  - {id: away, kind: end, outcome: redirect, note: Go there, runbook: nowhere}",
                END,
            ),
            "away",
            "redirects to nowhere",
        ),
    ],
)
def test_an_unsafe_runbook_is_told_with_its_line(steps: tuple[str, ...], at: str, words: str) -> None:
    """The line is that of the step, and the sentence says what to do."""
    library = small_library(*steps)
    book = library.runbooks["small"]

    problems = lint_runbook(book, library)

    assert [problem for problem in problems if words in problem.text and problem.line == book.lines[at]], [
        str(problem) for problem in problems
    ]


def test_a_trigger_of_no_kind_is_told() -> None:
    """It would never be offered to anyone."""
    library = small_library(check(TIMEOUT, ELSE), END)
    text = "no incident is of the kind gpu.sad"
    book = library.runbooks["small"]
    sad = Library(
        runbooks={"small": replace(book, triggers=(Trigger(kind="gpu.sad"),))}, actions=library.actions
    )

    assert [each for each in lint_runbook(sad.runbooks["small"], sad) if each.text.startswith(text)]


def test_a_kind_of_incident_without_a_runbook_is_told() -> None:
    """The pager rings and there is nothing to open."""
    library = packaged_library()
    fewer = Library(
        runbooks={id: book for id, book in library.runbooks.items() if id != "hang"}, actions=library.actions
    )

    assert "no runbook takes job.hang" in " ".join(str(problem) for problem in lint(fewer))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("approval: second_person", "approval: operator", "R3 needs a second person"),
        (
            "    risk: R3\n    approval: second_person",
            "    risk: R2\n    approval: none",
            "R2 needs an approval",
        ),
        ('arguments: {gpu: "{gpu}"}', 'arguments: {pid: "{pid}"}', "takes ['gpu']"),
        ("verb: gpu.reset_clocks", "verb: gpu.explode", "no verb gpu.explode"),
        ("verb: gpu.reset_clocks", "verb: process.terminate", "is R2, so the action is not R1"),
        ("nodename={node} state=drain", "nodename={host} state=drain", "no parameter host"),
        ("fact: node.connected", "fact: node.happy", "node.happy is no fact"),
        (
            "    role: cordon\n    recheck: open",
            "    role: cordon\n    recheck: active",
            "must not be left out",
        ),
        ("    settle_s: 10\n", "", "Give settle_s"),
    ],
)
def test_an_unsafe_action_is_told(old: str, new: str, words: str) -> None:
    """Actions are written once, so what is wrong there is wrong everywhere."""
    text = ACTIONS.read_text(encoding="utf-8")
    assert old in text
    actions = actions_of(text.replace(old, new, 1), "actions.yaml")

    problems = lint(Library(runbooks=packaged_library().runbooks, actions=actions))

    assert words in " ".join(str(problem) for problem in problems)
