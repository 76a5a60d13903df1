"""Fills checked parameters into arguments, commands and targets. Runs nothing and quotes everything."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from ringwatch_proto.errors import RunbookError

# What names of nodes, devices, jobs and ranks are made of. It begins with a letter or digit, so that no
# value can be read as an option, and holds nothing that a shell or a quoting mistake could act on.
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,126}")
_HOLE: Final = re.compile(r"\{([a-z_]+)\}")


def holes(template: str) -> tuple[str, ...]:
    """Return the names of the parameters that a template needs."""
    return tuple(_HOLE.findall(template))


def _checked(name: str, parameters: Mapping[str, str]) -> str:
    value = parameters.get(name, "")
    if not value:
        raise RunbookError(f"{name} is not known for this incident")
    if _SAFE.fullmatch(value) is None:
        raise RunbookError(f"{name}={value[:60]!r} is not a name that can be used in a command")
    return value


def fill(template: str, parameters: Mapping[str, str]) -> str:
    """Return the template with its parameters; raise RunbookError when one is missing or unfit."""
    return _HOLE.sub(lambda hole: _checked(hole[1], parameters), template)


def command(template: str, parameters: Mapping[str, str]) -> str:
    """Return a command for a person to run, each parameter quoted as one word."""
    return _HOLE.sub(lambda hole: shlex.quote(_checked(hole[1], parameters)), template)
