"""Runbooks that are wrong, one fault each: the linter names file and line and says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks import cli
from ringwatch_runbooks.lint import Problem, lint_runbook
from ringwatch_runbooks.load import runbook_of

from .rig import packaged_library

FOLDER = Path(__file__).parents[1] / "fixtures" / "runbooks" / "wrong"
FILES = sorted(FOLDER.glob("*.yaml"))
LIBRARY = packaged_library()


def problems_of(file: Path) -> list[str]:
    """Return what is wrong with a file, as the command prints it."""
    try:
        book = runbook_of(file.read_text(encoding="utf-8"), str(file))
    except RunbookError as error:
        return [str(error)]
    found: list[Problem] = lint_runbook(book, LIBRARY)
    return [str(problem) for problem in found]


def test_there_are_enough_of_them() -> None:
    """A folder that cannot be read would pass every other test."""
    assert len(FILES) >= 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_runbook_is_refused_with_file_line_and_what_to_do(file: Path) -> None:
    """The first line of each file says which line, and which words."""
    head = re.match(r"# wrong: line (\d+): (.+)\n", file.read_text(encoding="utf-8"))
    assert head is not None

    problems = problems_of(file)

    wanted = f"{file}:{head[1]}: "
    assert problems
    assert all(problem.startswith(wanted) and head[2] in problem for problem in problems), problems


def test_the_command_refuses_the_whole_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """What an operator runs before a runbook is used."""
    assert cli.main(["lint", str(FOLDER)]) == 1

    printed = capsys.readouterr().out
    assert {Path(line.partition(":")[0]).stem for line in printed.splitlines()} == {f.stem for f in FILES}
