"""Which verbs this node allows: a small file that the node's owner writes. Runs nothing."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Final

from ringwatch_proto.errors import ConfigError
from ringwatch_proto.verbs import BY_NAME, VERBS

# Without a file, a node lets itself be looked at and nothing more.
READ_ONLY: Final = frozenset(verb.name for verb in VERBS if verb.risk == "R0")


def load_policy(path: Path | None) -> frozenset[str]:
    """Return the verbs that are allowed.

    The file (TOML, or JSON when it ends in ``.json``) holds one list: ``allow = ["gpu.inspect", ...]``.

    Raises:
        ConfigError: the file cannot be read, or names something that is no verb.
    """
    if path is None:
        return READ_ONLY
    table = _read(path)
    allow = table.get("allow")
    if set(table) != {"allow"} or not isinstance(allow, list):
        raise ConfigError(f"{path}: one list is expected: allow = [...]")
    for name in allow:
        if name not in BY_NAME:
            raise ConfigError(f"{path}: no verb {name!r}; there are {', '.join(sorted(BY_NAME))}")
    return frozenset(allow)


def _read(path: Path) -> dict[str, object]:
    try:
        text = path.read_text()
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: one list is expected: allow = [...]")
    return table
