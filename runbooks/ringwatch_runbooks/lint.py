"""Says what is not safe in a library: names, actions, and every path of every runbook. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ringwatch_proto.records import IncidentKind
from ringwatch_runbooks.lint_actions import action_problems
from ringwatch_runbooks.lint_names import broken_paths, unknown_names
from ringwatch_runbooks.lint_walks import WALKS
from ringwatch_runbooks.model import Library, Runbook
from ringwatch_runbooks.problem import Problem

__all__ = ["Problem", "lint", "lint_runbook"]


def lint(library: Library) -> list[Problem]:
    """Return every problem of a library, file troubles first."""
    problems = [_trouble(text) for text in library.troubles]
    for action in library.actions.values():
        path = action.path or "actions.yaml"
        problems.extend(
            Problem(path=path, line=action.line, text=text) for text in action_problems(action, library)
        )
    for runbook in library.runbooks.values():
        problems.extend(lint_runbook(runbook, library))
    problems.extend(_uncovered(library))
    return problems


def lint_runbook(runbook: Runbook, library: Library) -> list[Problem]:
    """Return the problems of one runbook."""
    found = [item for rule in (broken_paths, unknown_names) for item in rule(runbook, library)]
    if not found:  # the walks need steps that exist
        found = [item for rule in WALKS for item in rule(runbook, library)]
    return [
        Problem(path=runbook.path, line=runbook.lines.get(step_id, 1), text=text) for step_id, text in found
    ]


def _trouble(text: str) -> Problem:
    path, line, rest = text.split(":", 2)
    return Problem(path=path, line=int(line), text=rest.strip())


def _uncovered(library: Library) -> Iterator[Problem]:
    covered = {
        trigger.kind
        for runbook in library.runbooks.values()
        for trigger in runbook.triggers
        if not trigger.causes
    }
    for kind in IncidentKind:
        if kind not in covered:
            text = f"no runbook takes {kind} with any cause: add a trigger without causes"
            yield Problem(path="library", line=1, text=text)
