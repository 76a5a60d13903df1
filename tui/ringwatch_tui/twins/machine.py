"""Screens as JSON: one object a line, stable keys, absent numbers null, times in UTC as ISO 8601."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from enum import Enum

from ringwatch_proto.records import Incident, Severity
from ringwatch_tui.state.format import iso
from ringwatch_tui.state.model import Fleet, GpuReading, JobDetail, Node, NodeDetail, Reading, Run
from ringwatch_tui.state.reducer import is_open

# Fields that hold an instant rather than a span; they become ISO times under the name without the unit.
_INSTANTS = frozenset(
    {
        "at_s",
        "wall_s",
        "onset_s",
        "opened_s",
        "updated_s",
        "closed_s",
        "silenced_until_s",
        "acknowledged_until_s",
        "change_point_s",
        "started_s",
        "ended_s",
    }
)


def dumped(value: Mapping[str, object]) -> str:
    """Return one object as one line of ASCII: nothing in it can act on a terminal."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))


def plain_value(value: object) -> object:
    """Return a record as plain JSON values; NaN and infinity become null."""
    match value:
        case Severity():
            found: object = value.word.lower()
        case Enum():
            found = value.value
        case float():
            found = round(value, 6) if math.isfinite(value) else None
        case Mapping():
            found = {str(key): plain_value(each) for key, each in value.items()}
        case tuple() | list():
            found = [plain_value(each) for each in value]
        case _:
            record = dataclasses.is_dataclass(value) and not isinstance(value, type)
            found = dict(_fields(value)) if record else value
    return found


def _fields(record: object) -> Iterable[tuple[str, object]]:
    for each in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, each.name)
        if each.name in _INSTANTS and (value is None or isinstance(value, float)):
            yield each.name[:-2] + "_at" if each.name != "at_s" else "at", iso(value)
        else:
            yield each.name, plain_value(value)


def _object(kind: str, value: object) -> dict[str, object]:
    plain = plain_value(value)
    return {"type": kind, **(plain if isinstance(plain, dict) else {"value": plain})}


def status(fleet: Fleet) -> list[dict[str, object]]:
    """Return the fleet in one object: how much is open, and how far that can be trusted."""
    open_now = [each for each in fleet.incidents if is_open(each)]
    states: dict[str, int] = {}
    for node in fleet.nodes:
        states[node.state] = states.get(node.state, 0) + 1
    summary: dict[str, object] = {
        "type": "status",
        "collector": fleet.collector,
        "at": iso(fleet.wall_s),
        "simulated": any(node.simulated for node in fleet.nodes),
        "open_incidents": {
            word: sum(1 for each in open_now if each.severity.word.lower() == word)
            for word in ("crit", "warn", "info")
        },
        "nodes": states,
        "gpus": sum(len(node.gpus) for node in fleet.nodes),
        "jobs": {job.name: job.state for job in fleet.jobs},
        "health": plain_value(fleet.health),
        "unread": list(fleet.unread),
    }
    return [summary]


def incidents(fleet: Fleet, *, include_closed: bool) -> list[dict[str, object]]:
    """Return an object an incident; the last object is the health that stands behind the list."""
    rows = [incident(each) for each in fleet.incidents if include_closed or is_open(each)]
    return [*rows, _object("health", fleet.health)]


def incident(found: Incident) -> dict[str, object]:
    """Return one incident; ``where`` is the culprit as people read it."""
    return {**_object("incident", found), "where": str(found.culprit)}


def jobs(fleet: Fleet) -> list[dict[str, object]]:
    """Return an object a job."""
    return [_object("job", each) for each in fleet.jobs]


def job(detail: JobDetail) -> dict[str, object]:
    """Return one job."""
    return _object("job", detail)


def run(found: Run) -> dict[str, object]:
    """Return one run of a runbook."""
    return _object("run", found)


def gpu(node: Node, found: GpuReading, readings: Iterable[Reading]) -> dict[str, object]:
    """Return one GPU with every reading of it."""
    rows = {each.signal: {"value": each.value, "unit": each.unit, "age_s": each.age_s} for each in readings}
    return {**_object("gpu", found), "node": node.name, "readings": plain_value(rows)}


def nodes(fleet: Fleet) -> list[dict[str, object]]:
    """Return an object a node."""
    return [_object("node", each) for each in fleet.nodes]


def node(detail: NodeDetail) -> dict[str, object]:
    """Return one node."""
    return _object("node", detail)
