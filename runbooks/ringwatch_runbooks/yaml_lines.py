"""Strict YAML: plain data with the line of each key. Refuses doubled and non-text keys, and tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from ringwatch_proto.errors import RunbookError

Place = tuple[str | int, ...]
# libyaml is ten times as fast; where PyYAML came without it, its own loader reads the same.
_Loader = yaml.SafeLoader | yaml.CSafeLoader
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST: Final = 20
_LARGEST: Final = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Data and, for each place in it, the line (from 1)."""

    path: str
    data: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of a place, or of what holds it."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, place: Place, sentence: str) -> RunbookError:
        """Return an error that says file and line."""
        return RunbookError(f"{self.path}:{self.line(place)}: {sentence}")


def parse(text: str, path: str) -> Document:
    """Return the one document of ``text``; raise RunbookError with file and line when it is none."""
    if len(text) > _LARGEST:
        raise RunbookError(f"{path}:1: longer than {_LARGEST} characters")
    try:
        _refuse_tricks(text, path)
        loader = _LOADER(text)
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        data = None if node is None else _plain(loader, node, (), lines, path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise RunbookError(f"{path}:{line}: not YAML: {problem}") from error
    return Document(path=path, data=data, lines=lines)


def _refuse_tricks(text: str, path: str) -> None:
    """Refuse what makes a small file large or deep before anything is built from it."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise RunbookError(f"{path}:{line}: aliases are not allowed: write it out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise RunbookError(f"{path}:{line}: nested too deeply")


def _plain(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int], path: str) -> object:
    line = node.start_mark.line + 1
    lines.setdefault(place, line)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, place, lines, path)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, (*place, at), lines, path) for at, item in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError) as error:
        raise RunbookError(f"{path}:{line}: {error}") from error


def _mapping(
    loader: _Loader, node: yaml.MappingNode, place: Place, lines: dict[Place, int], path: str
) -> dict[str, object]:
    found: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        # YAML 1.1 reads on, off, yes and no as truth values: a key must be text.
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            raise RunbookError(
                f"{path}:{line}: the key {getattr(key_node, 'value', '?')!s:.40} is no text: quote it"
            )
        key = str(key_node.value)
        if key in found:
            raise RunbookError(f"{path}:{line}: the key {key[:40]} is there twice")
        lines[(*place, key)] = line
        found[key] = _plain(loader, value_node, (*place, key), lines, path)
    return found
