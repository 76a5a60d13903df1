"""Filters that an operator gave a name, kept on their machine. It knows lists by name and filters as text."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_proto.errors import ConfigError

_LARGEST_BYTES: Final = 1 << 20
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A filter with its name and the list that it is for."""

    name: str
    screen: str
    filter: str


def views_file(environment: Mapping[str, str]) -> Path:
    """Return where views are kept: under XDG_CONFIG_HOME, else ``~/.config``."""
    home = environment.get("XDG_CONFIG_HOME", "")
    return (Path(home) if home else Path.home() / ".config") / "ringwatch" / "views.json"


class ViewsBook:
    """The saved views of one operator. Read at each look: two consoles share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """Return the file."""
        return self._path

    def views(self, screen: str) -> tuple[SavedView, ...]:
        """Return the views of a list by name; raise ConfigError for a file that is no book of views."""
        return tuple(each for each in self._all() if each.screen == screen)

    def _all(self) -> list[SavedView]:
        try:
            data = self._path.read_bytes()[:_LARGEST_BYTES]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror}") from error
        try:
            rows = json.loads(data)["views"]
            return [
                SavedView(name=str(row["name"]), screen=str(row["screen"]), filter=str(row["filter"]))
                for row in rows
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self._path}: not a book of views: {error}") from error

    def keep(self, view: SavedView) -> None:
        """Save a view, in place of one of the same name; raise ConfigError when it cannot be written."""
        if not view.name or len(view.name) > _LONGEST or len(view.filter) > _LONGEST:
            raise ConfigError(f"a view needs a name, and neither name nor filter over {_LONGEST} letters")
        others = [each for each in self._all() if (each.name, each.screen) != (view.name, view.screen)]
        rows = [
            {"name": each.name, "screen": each.screen, "filter": each.filter}
            for each in sorted([*others, view], key=lambda each: (each.screen, each.name))
        ]
        try:
            self._write(json.dumps({"views": rows}, ensure_ascii=False, indent=1))
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror}") from error

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=self._path.parent, delete=False, encoding="utf-8"
        ) as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(stream.name).replace(self._path)
