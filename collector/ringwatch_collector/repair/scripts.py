"""A site's own scripts: absolute path, typed arguments, no shell, and nobody else may write them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ringwatch_collector.repair import programs
from ringwatch_collector.repair.base import done, failed, refused
from ringwatch_proto.errors import ConfigError
from ringwatch_runbooks.base import RepairCall, VerbOutcome
from ringwatch_runbooks.calls import SCRIPT_NOUN
from ringwatch_runbooks.fact_names import PARAMETERS

_LINE: Final = re.compile(
    r"(?P<name>[a-z][a-z0-9_]{0,40})(?P<dry>\.dry_run)?=(?P<path>/\S+)(?P<arguments>( \S+)*)"
)
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script, and what it is given, in order."""

    path: Path
    arguments: tuple[str, ...]

    def argv(self, given: Mapping[str, str]) -> list[str]:
        """Return the command, each argument one word."""
        return [str(self.path), *(given[name] for name in self.arguments)]


class Scripts:
    """All scripts of a site. A line is ``name=/path argument...``, or ``name.dry_run=/path argument...``."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines; raise ConfigError for one that is wrong or a script that others can write."""
        self._scripts: dict[str, Script] = {}
        self._dry: dict[str, Script] = {}
        for line in lines:
            name, script, dry = _parsed(line)
            why = unsafe(script.path)
            if why:
                raise ConfigError(f"repair.scripts: {why}")
            (self._dry if dry else self._scripts)[name] = script

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of what the site has."""
        return tuple(f"{SCRIPT_NOUN}.{name}" for name in sorted(self._scripts))

    async def plan(self, call: RepairCall) -> VerbOutcome:
        """Run the script that looks, where there is one; otherwise say what would be run."""
        name = call.name.partition(".")[2]
        look = self._dry.get(name)
        if look is not None:
            return await _ran(look, call)
        return done(f"would run {self._scripts[name].argv(call.arguments)}; it has no dry run of its own")

    async def do(self, call: RepairCall) -> VerbOutcome:
        """Run the script."""
        return await _ran(self._scripts[call.name.partition(".")[2]], call)


def _parsed(line: str) -> tuple[str, Script, bool]:
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise ConfigError(f"repair.scripts: {line[:80]!r} is not name=/path argument...")
    arguments = tuple(found["arguments"].split())
    for argument in arguments:
        if argument not in PARAMETERS:
            raise ConfigError(f"repair.scripts: {argument[:40]!r} is none of {', '.join(PARAMETERS)}")
    return found["name"], Script(path=Path(found["path"]), arguments=arguments), bool(found["dry"])


def unsafe(path: Path) -> str:
    """Return why a script must not be run, empty when it may.

    The file and every folder above it have to belong to root or to this user, and nobody else may
    write them: who can write the script can do what the collector can.
    """
    trusted = (0, os.geteuid())
    try:
        if path != path.resolve():
            return f"{path} is not its own real path"
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
            return f"{path} is no program"
        for each in (path, *path.parents):
            seen = each.stat()
            # A sticky folder such as /tmp lets nobody take away what another owns.
            sticky = bool(seen.st_mode & stat.S_ISVTX) and each != path
            if seen.st_uid not in trusted or (seen.st_mode & _WRITABLE and not sticky):
                return f"{each} can be written by others"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


async def _ran(script: Script, call: RepairCall) -> VerbOutcome:
    if set(script.arguments) != set(call.arguments):
        return refused(f"{call.name} takes {', '.join(script.arguments) or 'no argument'} at this site")
    why = unsafe(script.path)  # looked at again: it may have changed since the collector started
    if why:
        return refused(why)
    try:
        ended = await programs.run(script.argv(call.arguments), _ENVIRONMENT, max(1.0, call.timeout_s - 2.0))
    except OSError as error:
        return failed(f"{script.path}: {error.strerror}")
    text = f"{script.path.name}: {ended.words}"
    if ended.well:
        return done(text)
    if ended.code is None:
        return VerbOutcome(status="timed_out", text=text)
    return failed(f"{text} (exit code {ended.code})")
