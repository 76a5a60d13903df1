"""Writes an operator's overrides: one row at a time, checked before it is written, never half a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ringwatch_knowledge import data_files
from ringwatch_knowledge.overrides import BECAUSE, BY, Row, Shape, Vocabulary
from ringwatch_proto.errors import ConfigError


def put(shape: Shape, key: str, fields: Iterable[str], *, folder: Path, by: str, reason: str) -> Path:
    """Override fields of a row, given as ``name=value``; raise ConfigError for what would not be taken."""
    if not reason:
        raise ConfigError("an override needs --reason: whoever reads it next wants to know why")
    rows = data_files.product(shape.file)[shape.rows]
    known = {shape.key_of(row): row for row in rows}
    changes = {shape.key: known[key][shape.key] if key in known else _read(key, type(rows[0][shape.key]))}
    vocabulary = Vocabulary(shape, rows)
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals or name not in vocabulary.kinds:
            raise ConfigError(
                f"{field[:80]!r} is not FIELD=VALUE with a field of {', '.join(vocabulary.kinds)}"
            )
        changes[name] = _read(value, *vocabulary.kinds[name])
    wrong = vocabulary.wrong_with(changes, is_new=key not in known)
    if wrong or len(changes) == 1:
        raise ConfigError(f"{shape.name} {key}: {'; '.join(wrong) or 'nothing to override'}")
    return _written(shape, folder, key, changes | {BY: by, BECAUSE: reason})


def remove(shape: Shape, key: str, folder: Path) -> Path:
    """Take an override back; raise ConfigError when there is none."""
    if key not in map(shape.key_of, _rows(shape, folder)):
        raise ConfigError(f"{folder / shape.file}: no override of {key!r}")
    return _written(shape, folder, key, None)


def _read(value: str, *kinds: type) -> object:
    """Return a value of one of these types; text when it is nothing else."""
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return read if type(read) in kinds else value


def _rows(shape: Shape, folder: Path) -> list[Row]:
    path = folder / shape.file
    if not path.exists():
        return []
    try:
        rows: list[Row] = list(json.loads(path.read_bytes())[shape.rows])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: {error}; mend or move it first") from error
    return rows


def _written(shape: Shape, folder: Path, key: str, row: Row | None) -> Path:
    kept = [each for each in _rows(shape, folder) if shape.key_of(each) != key]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / shape.file
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{shape.file}", delete=False) as stream:
        json.dump({shape.rows: kept if row is None else [*kept, row]}, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(path)
    return path
