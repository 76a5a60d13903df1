"""The evidence of one incident in one archive, for whoever takes over, a vendor, or a post-mortem."""

from __future__ import annotations

import asyncio
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ringwatch_proto.errors import RecordingError, UnreachableError
from ringwatch_proto.recording import Kept, as_bytes
from ringwatch_proto.records import Incident
from ringwatch_tui.client.base import Client, RequestRefused
from ringwatch_tui.state.model import Fleet
from ringwatch_tui.twins import machine, plain
from ringwatch_tui.views.lines import Line

_CELLS: Final = 120
_LEAD_S: Final = 60.0
_STEPS: Final = 240
_NODE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of the archive."""

    name: str
    data: bytes


def file_name(incident: str, wall_s: float) -> str:
    """Return the name of the archive: the incident and the instant; nothing else gets into it."""
    moment = datetime.fromtimestamp(wall_s, UTC)
    return f"ringwatch-{re.sub(r'[^A-Za-z0-9-]', '', incident)[:40]}-{moment:%Y%m%dT%H%M%SZ}.tar.gz"


async def gather(client: Client, id: str) -> tuple[Incident, tuple[Member, ...]]:
    """Ask for everything about an incident; what is not to be had is named in the archive's README.

    Raises RequestRefused when there is no such incident, UnreachableError when nobody answers.
    """
    fleet, found = await client.fleet(), await client.incident(id)
    missing: list[str] = []
    members = [
        _text("incident.txt", plain.incident(found, fleet, await client.runbooks(), _CELLS)),
        _json("incident.json", [machine.incident(found)]),
        _json("status.json", machine.status(fleet)),
        *await _details(client, found, fleet, missing),
        *await _recording(client, found, fleet, missing),
    ]
    return found, (_readme(found, members, missing), *members)


async def _details(client: Client, found: Incident, fleet: Fleet, missing: list[str]) -> list[Member]:
    """Return the job, the node and the run that the incident is about."""
    members: list[Member] = []
    try:
        if found.culprit.job:
            job = await client.job(found.culprit.job, _STEPS)
            members += [
                _text("job.txt", plain.job(job, fleet, _CELLS)),
                _json("job.json", [machine.job(job)]),
            ]
        if found.culprit.node:
            node = await client.node(found.culprit.node, _NODE_SECONDS)
            members += [_text("node.txt", plain.node(node, _CELLS)), _json("node.json", [machine.node(node)])]
        if found.run:
            members.append(_json("run.json", [machine.run(await client.run(found.run))]))
    except RequestRefused as error:
        missing.append(str(error))
    return members


async def _recording(client: Client, found: Incident, fleet: Fleet, missing: list[str]) -> list[Member]:
    """Return the pictures from a minute before it began."""
    try:
        frames: Iterable[Kept] = await client.recording(found.onset_s - _LEAD_S, fleet.wall_s)
        data = as_bytes(frames)
    except (RequestRefused, UnreachableError) as error:
        missing.append(f"recording: {error}")
        return []
    return [Member(name="recording.rwrec", data=data)] if frames else []


def _text(name: str, lines: Iterable[Line]) -> Member:
    return Member(name=name, data=(plain.printed(lines) + "\n").encode())


def _json(name: str, objects: Iterable[dict[str, object]]) -> Member:
    return Member(name=name, data="".join(machine.dumped(each) + "\n" for each in objects).encode())


def _readme(found: Incident, members: Iterable[Member], missing: Iterable[str]) -> Member:
    rows = [
        f"Evidence of {found.id}: {plain.one_line(found.summary)}",
        "",
        *(f"{each.name:<18} {len(each.data):>9} bytes" for each in members),
        *(f"not to be had: {plain.one_line(each)}" for each in missing),
        "",
        "Look at the recording with: ringwatch replay recording.rwrec",
    ]
    return Member(name="README.txt", data=("\n".join(rows) + "\n").encode())


def write(path: Path, folder: str, members: Iterable[Member], wall_s: float) -> int:
    """Write the archive and return its bytes; raise RecordingError when the disk refuses it."""
    try:
        with tarfile.open(path, "x:gz") as archive:
            for info, data in _entries(folder, members, wall_s):
                archive.addfile(info, io.BytesIO(data))
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    return path.stat().st_size


async def exported(client: Client, id: str, into: Path) -> tuple[str, str]:
    """Write the evidence of an incident into a folder; return what to tell the operator, and its tone."""
    try:
        found, members = await gather(client, id)
        wall_s = (await client.fleet()).wall_s
        path = into / file_name(found.id, wall_s)
        size = await asyncio.to_thread(write, path, path.name.partition(".")[0], members, wall_s)
    except (RequestRefused, RecordingError, UnreachableError) as error:
        return f"export {id}: {error}", "fault"
    return f"{path.name}: {len(members)} files, {size:,} bytes, in {path.parent}", "info"


def _entries(
    folder: str, members: Iterable[Member], wall_s: float
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for each in members:
        info = tarfile.TarInfo(f"{folder}/{each.name}")
        info.size, info.mtime, info.mode = len(each.data), int(wall_s), 0o640
        yield info, each.data
