"""Hostile files and parameters: no command line unquoted, no verb and no call outside of the lists."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ringwatch_proto.errors import RunbookError
from ringwatch_proto.verbs import BY_NAME
from ringwatch_runbooks import calls
from ringwatch_runbooks.lint import lint
from ringwatch_runbooks.load import ACTIONS_FILE, actions_of, packaged, runbook_of
from ringwatch_runbooks.model import Act, Library

from .rig import PARAMETERS, Rig, packaged_library
from .test_limits import Site, called_library

LIBRARY = packaged_library()
FILES = sorted(path for path in packaged().glob("*.yaml") if path.name != ACTIONS_FILE)
ODD = (
    "-rf", "--help", "n1; reboot", "$(id)", "`id`", "a\nb", "a b", "'", '"', "\\", "", "\0", "é", "{node}",
    "\u202e", "n1|x", "../..", "ALL", "*", "~", "$HOME", "&", "n1>x", "#", "\x1b[2J", "-", "=", "n1\r\n",
)  # fmt: skip
HOSTILE = st.one_of(st.sampled_from(ODD), st.text(max_size=40))
# What the engine passes on; the switchboard is stricter still.
NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,126}"
# Every place of a document, as a way of keys.
Way = tuple[str | int, ...]


def ways(data: Any, way: Way = ()) -> list[Way]:
    """Return the way to every value of a document."""
    found = [way]
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        found += ways(value, (*way, key))
    return found


def put(data: Any, way: Way, value: Any) -> Any:
    """Return the document with another value at a place."""
    if not way:
        return value
    if isinstance(data, dict):
        return {key: put(each, way[1:], value) if key == way[0] else each for key, each in data.items()}
    return [put(each, way[1:], value) if at == way[0] else each for at, each in enumerate(data)]


def assert_placed(error: RunbookError, file: str) -> None:
    """Assert that an error names file and line."""
    assert re.match(rf"{re.escape(file)}:\d+: ", str(error)), error


@cache
def document_of(path: Path) -> Any:
    """Return the data of a file of the library."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def text_of(document: Any) -> str:
    """Return a document as YAML again."""
    text: str = yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text


VALUES = st.one_of(
    HOSTILE, st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.sampled_from(["process.terminate", "scheduler.move", "reset_gpu", "return_node", "drain", "over"]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_runbook_is_read_or_refused_with_its_place(data: st.DataObject) -> None:
    """Whatever stands anywhere in it: a frozen runbook and the linter's word, or file and line."""
    path: Path = data.draw(st.sampled_from(FILES))
    document = document_of(path)
    way = data.draw(st.sampled_from(ways(document)))
    text = text_of(put(document, way, data.draw(VALUES)))

    try:
        book = runbook_of(text, "fuzzed.yaml")
    except RunbookError as error:
        assert_placed(error, "fuzzed.yaml")
        return
    problems = lint(Library(runbooks={**LIBRARY.runbooks, book.id: book}, actions=LIBRARY.actions))
    for step in book.steps:
        if isinstance(step, Act) and step.uses not in LIBRARY.actions:
            assert [each for each in problems if step.uses in each.text]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_action_never_names_a_verb_or_call_outside_of_the_lists(data: st.DataObject) -> None:
    """It is refused by schema or linter; what passes both is on the lists, with its own arguments."""
    document = document_of(packaged() / ACTIONS_FILE)
    way = data.draw(st.sampled_from(ways(document)))
    text = text_of(put(document, way, data.draw(VALUES)))

    try:
        actions = actions_of(text, "actions.yaml")
    except RunbookError as error:
        assert_placed(error, "actions.yaml")
        return
    told = {each.text.split(":")[0] for each in lint(Library(runbooks={}, actions=actions))}
    for action in actions.values():
        if f"action {action.id}" in told:
            continue
        assert not action.verb or action.verb in BY_NAME
        assert not action.call or calls.is_known(action.call)
        if action.call in calls.BY_NAME:
            assert set(action.arguments) == set(calls.BY_NAME[action.call].arguments)


@settings(max_examples=100, deadline=None)
@given(values=st.fixed_dictionaries(dict.fromkeys(PARAMETERS, HOSTILE)))
async def test_a_hostile_fleet_reaches_no_verb_and_no_call_with_more_than_a_name(
    values: dict[str, str],
) -> None:
    """Names come from nodes and jobs: an engine that is asked for everything passes on what is safe."""
    for library, runbook in ((called_library(), "small"), (LIBRARY, "straggler-compute")):
        rig, site = Rig(library=library), Site()
        rig.engine.world.repairs = site
        rig.facts.known = values
        rig.facts.values |= {"node.connected": True, "gpu.state": 0.0, "rank.alive": True}
        planned = await rig.engine.plan("I-1", runbook, "ana")

        for call in site.calls:
            assert calls.is_known(call.name)
            assert all(re.fullmatch(NAME, value) for value in call.arguments.values()), call.arguments
        for verb in rig.node.calls:
            assert verb.verb in BY_NAME
            assert all(re.fullmatch(NAME, value) for value in verb.arguments.values()), verb.arguments
        for step in planned.steps:
            check_command(step.command, values)


def check_command(command: str, values: dict[str, str]) -> None:
    """Assert that a command for a person holds each value as one harmless word or not at all."""
    if not command or command.startswith(("scheduler.", "script.", "gpu.", "process.")):
        return
    words = shlex.split(command, comments=False)
    for value in values.values():
        if (
            value
            and value in command
            and any(not (letter.isalnum() or letter in "._:/@+-") for letter in value)
        ):
            assert any(value in template for template in MANUAL), (value, command)
    assert words


# What the library's own commands say: a value that is part of these proves nothing.
MANUAL = (
    *(action.manual for action in LIBRARY.actions.values()),
    "scontrol update nodename={node} state=drain",
)
