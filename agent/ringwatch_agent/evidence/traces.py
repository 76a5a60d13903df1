"""Reads timelines: PyTorch profiler traces and Horovod timelines, torn ends included."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ringwatch_agent.evidence.negotiations import Negotiations, Ready
from ringwatch_knowledge.observation import Observation
from ringwatch_proto.errors import EvidenceError

_LOADER: Final = re.compile(r"^enumerate\(DataLoader\)")
# No job has so many; a report that says so is not one.
_MOST_RANKS: Final = 1_000_000
_STEP: Final = re.compile(r"^ProfilerStep#?\d*")


def _events(file: str, data: bytes) -> list[dict[str, Any]]:
    """Return the events of a trace; a list whose end is torn off is read up to its last whole event."""
    text = data.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = _torn(file, text)
    events = document.get("traceEvents", []) if isinstance(document, dict) else document
    if not isinstance(events, list):
        raise EvidenceError(f"{file}: JSON, but no list of trace events")
    return [event for event in events if isinstance(event, dict)]


def _torn(file: str, text: str) -> list[object]:
    events: list[object] = []
    for row in text.splitlines():
        try:
            events.append(json.loads(row.strip().rstrip(",")))
        except ValueError:
            continue
    if not events:
        raise EvidenceError(f"{file}: a trace that cannot be read: not JSON, and no event a line")
    return events


def _duration(event: dict[str, Any]) -> float:
    value = event.get("dur")
    return float(value) if isinstance(value, int | float) else 0.0


class ProfilerReader:
    """Reads the time of each profiled step and what of it the data loader took."""

    kind = "PyTorch profiler trace"

    def recognises(self, head: bytes) -> bool:
        """Say whether this is a trace of PyTorch's profiler."""
        return head.lstrip()[:1] == b"{" and (b'"traceEvents"' in head or b'"schemaVersion"' in head)

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield one observation a step and one a wait for data, in microseconds."""
        for event in _events(file, data):
            name = str(event.get("name", ""))
            if event.get("cat") == "gpu_user_annotation":
                continue
            what = "loader_us" if _LOADER.match(name) else "step_us" if _STEP.match(name) else ""
            if what:
                start = event.get("ts")
                yield Observation(
                    kind="profile",
                    name=what,
                    text=f"{name}: {_duration(event):.0f} us",
                    file=file,
                    line=0,
                    value=_duration(event),
                    at_s=float(start) / 1e6 if isinstance(start, int | float) else None,
                )


class HorovodTimelineReader:
    """Reads which rank was ready last for each negotiated tensor."""

    kind = "Horovod timeline"

    def recognises(self, head: bytes) -> bool:
        """Say whether this is a Horovod timeline."""
        return head.lstrip()[:1] == b"[" and b"NEGOTIATE_" in head

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield, for each negotiation, how many microseconds after the first each rank was ready."""
        negotiations = Negotiations()
        for number, event in enumerate(_events(file, data), 1):
            ready = negotiations.take(event)
            if isinstance(ready, Ready):
                yield Observation(
                    kind="negotiate",
                    name="late_us",
                    text=json.dumps(event),
                    file=file,
                    line=number,
                    value=ready.late_us,
                    rank=ready.rank,
                    fields={"tensor": f"{ready.tensor}@{ready.first_us}"},
                )


class RasJsonReader:
    """Reads the JSON report of NCCL's RAS."""

    kind = "NCCL RAS as JSON"

    def recognises(self, head: bytes) -> bool:
        """Say whether this is a RAS report."""
        return head.lstrip()[:1] == b"{" and b'"communicators"' in head

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield how many ranks each communicator misses, and which."""
        try:
            document = json.loads(data)
        except ValueError as error:
            raise EvidenceError(f"{file}: not JSON: {error}") from error
        rows = data.decode("utf-8", "replace").splitlines()
        for each in document.get("communicators", []):
            missing = each.get("missing_ranks_count", 0)
            at = next(
                (
                    at
                    for at, row in enumerate(rows, 1)
                    if "missing_ranks_count" in row and str(missing) in row
                ),
                0,
            )
            present = {rank.get("rank") for rank in each.get("ranks", []) if isinstance(rank, dict)}
            size = int(each.get("size", 0))
            if size > _MOST_RANKS:
                raise EvidenceError(f"{file}: a communicator of {size} ranks is none")
            absent = [rank for rank in range(size) if rank not in present]
            yield Observation(
                kind="ras",
                name="group" if not missing else "missing",
                text=rows[at - 1].strip() if at else f"missing_ranks_count {missing}",
                file=file,
                line=at,
                value=float(missing),
                word="OK" if not missing else "INCOMPLETE",
                rank=absent[0] if absent else -1,
                fields={"missing": ",".join(map(str, absent))},
            )
