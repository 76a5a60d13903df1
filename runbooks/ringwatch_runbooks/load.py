"""Files to runbooks and actions: schema first, then the frozen model. Judges no path and runs nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import jsonschema

from ringwatch_proto.errors import RunbookError
from ringwatch_runbooks.load_steps import predicates_of, step_of
from ringwatch_runbooks.model import Action, Library, Limits, Runbook, Text, Trigger
from ringwatch_runbooks.yaml_lines import Document, parse

ACTIONS_FILE: Final = "actions.yaml"


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    text = resources.files("ringwatch_runbooks").joinpath("schema", name).read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _check(document: Document, schema: str) -> None:
    """Raise RunbookError for the deepest fault: the one that says most."""
    faults = list(_validator(schema).iter_errors(document.data))
    if not faults:
        return
    fault = jsonschema.exceptions.best_match(faults)
    assert fault is not None
    place = tuple(fault.absolute_path) + _unknown_key(fault)
    where = ".".join(map(str, place))
    raise document.error(place, f"{where}: {fault.message[:300]}" if where else fault.message[:300])


def _unknown_key(fault: jsonschema.ValidationError) -> tuple[str, ...]:
    """Return the first key that should not be there: its line says more than that of what holds it."""
    if fault.validator != "additionalProperties" or not isinstance(fault.instance, dict):
        return ()
    known = fault.schema.get("properties", {}) if isinstance(fault.schema, dict) else {}
    return next(((str(key),) for key in fault.instance if key not in known), ())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunbookError(f"{path}:1: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunbookError(f"{path}:1: not UTF-8") from error


def runbook_of(text: str, path: str) -> Runbook:
    """Return the runbook that a file's text holds; raise RunbookError with file and line."""
    document = parse(text, path)
    _check(document, "runbook.json")
    data = document.data
    steps = tuple(step_of(row) for row in data["steps"])
    lines = {step.id: document.line(("steps", at)) for at, step in enumerate(steps)}
    doubled_ids = len(lines) != len(steps)
    lines[""] = document.line(("triggers",))
    if doubled_ids:
        seen: set[str] = set()
        doubled = next(at for at, step in enumerate(steps) if step.id in seen or seen.add(step.id))  # type: ignore[func-returns-value]
        raise document.error(("steps", doubled), f"a second step is called {steps[doubled].id}")
    return Runbook(
        id=data["id"],
        revision=data["revision"],
        title=Text(**data["title"]),
        first_rule=Text(**data["first_rule"]),
        severity=data["severity"],
        triggers=tuple(
            Trigger(kind=row["kind"], causes=tuple(row.get("causes", []))) for row in data["triggers"]
        ),
        never=tuple(data["never"]),
        steps=steps,
        sources=tuple(data["sources"]),
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        path=path,
        lines=lines | {"": document.line(("triggers",))},
    )


def actions_of(text: str, path: str) -> dict[str, Action]:
    """Return the actions that a file's text holds; raise RunbookError with file and line."""
    document = parse(text, path)
    _check(document, "actions.json")
    return {
        name: _action(name, row, path, document.line(("actions", name)))
        for name, row in document.data["actions"].items()
    }


def _action(name: str, row: dict[str, Any], path: str, line: int) -> Action:
    built = ("title", "preconditions", "verify", "limits")
    plain = {key: value for key, value in row.items() if key not in built}
    return Action(
        id=name,
        path=path,
        line=line,
        limits=Limits(**row.get("limits", {})),
        title=Text(**row["title"]),
        preconditions=predicates_of(row.get("preconditions", [])),
        verify=predicates_of(row.get("verify", [])),
        **plain,
    )


def packaged() -> Path:
    """Return the folder of the library that Ringwatch brings."""
    return Path(str(resources.files("ringwatch_runbooks").joinpath("library")))


def load_library(paths: Sequence[Path] = ()) -> Library:
    """Read the packaged library and then each folder of ``paths``; a later runbook replaces an earlier.

    A file that cannot be followed is left out and told in ``troubles``: one wrong file must not take
    the others away at 3 a.m.
    """
    read = [_packaged_library(), *map(_library_of, paths)]
    return Library(
        runbooks={key: each for one in read for key, each in one.runbooks.items()},
        actions={key: each for one in read for key, each in one.actions.items()},
        troubles=tuple(trouble for one in read for trouble in one.troubles),
    )


@cache
def _packaged_library() -> Library:
    """Return the packaged library, read once a process: it takes half a second and does not change."""
    return _library_of(packaged())


def _library_of(folder: Path) -> Library:
    runbooks: dict[str, Runbook] = {}
    actions: dict[str, Action] = {}
    troubles = [] if folder.is_dir() else [f"{folder}:1: there is no such folder"]
    for path in sorted(folder.glob("*.yaml")):
        try:
            if path.name == ACTIONS_FILE:
                actions |= actions_of(_read(path), str(path))
            else:
                runbook = runbook_of(_read(path), str(path))
                runbooks[runbook.id] = runbook
        except RunbookError as error:
            troubles.append(str(error))
    return Library(runbooks=runbooks, actions=actions, troubles=tuple(troubles))
