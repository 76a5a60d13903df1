"""The ``horovod`` source: steps and collectives out of a Horovod timeline that a job writes.

The timeline is the coordinator's: it tells when each rank reported a tensor ready and when the operation was
over. A rank is in the operation from when it was ready, so what it waits there is what others were late.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ringwatch_agent.evidence.negotiations import Negotiations, Operation
from ringwatch_agent.sources.file_steps import FileStepsSource
from ringwatch_agent.sources.followed_files import FollowedFile, Lines
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_agent.sources.step_records import kind_of, pack_collective, pack_step

_US: Final = 1e-6
MOST_TENSORS: Final = 512
_GROUP: Final = "horovod"


@dataclass(slots=True, kw_only=True)
class _RankStep:
    """One step of one rank as it runs: when it began, and what of it was spent in operations."""

    begin_us: float
    inside_us: float = 0.0
    inside_until_us: float = 0.0
    collectives: list[tuple[int, str, float, float]] = field(default_factory=list)


class Timeline:
    """The steps of one timeline. Each tensor is reduced once a step: its n-th operation is of step n."""

    def __init__(self, job: str, file: FollowedFile, roster: Roster, *, all_ranks: bool) -> None:
        self._job = job
        self._file = file
        self._roster = roster
        self._all_ranks = all_ranks
        self._lines = Lines()
        self._begin_anew()

    def read(self, dropped: Counter[str]) -> tuple[bytes, bytes]:
        """Return the packed steps and collectives of the steps that are over."""
        chunk = self._file.read()
        if chunk.anew:
            self._begin_anew()
        steps, collectives = [], []
        for line in self._lines.take(chunk, dropped, "horovod.torn"):
            event = _event(line, dropped)
            done = self._negotiations.take(event) if event else None
            self._note_start(event)
            if isinstance(done, Operation):
                step, group = self._take(done, dropped)
                steps.append(step)
                collectives.append(group)
        return b"".join(steps), b"".join(collectives)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _begin_anew(self) -> None:
        self._negotiations = Negotiations()
        self._epoch_us = math.nan
        self._slots: dict[object, int] = {}
        self._count: Counter[object] = Counter()
        self._step = -1
        self._ranks: dict[int, _RankStep] = {}

    def _note_start(self, event: Mapping[str, Any]) -> None:
        """Take the wall time at which the timeline's clock began, from its first line."""
        arguments = event.get("args")
        start = arguments.get("start_time_since_epoch_in_micros") if isinstance(arguments, dict) else None
        if isinstance(start, int | float):
            self._epoch_us = float(start)

    def _take(self, operation: Operation, dropped: Counter[str]) -> tuple[bytes, bytes]:
        slot = self._slots.setdefault(operation.tensor, len(self._slots))
        if slot >= MOST_TENSORS or not operation.ready_us:
            dropped["horovod.too_many_tensors"] += slot >= MOST_TENSORS
            return b"", b""
        step = self._count[operation.tensor]
        self._count[operation.tensor] += 1
        done = (b"", b"")
        if step > self._step:
            done = self._finish(operation)
            self._step = step
            self._ranks = {rank: _RankStep(begin_us=at_us) for rank, at_us in operation.ready_us.items()}
        self._add(slot, operation)
        return done

    def _add(self, slot: int, operation: Operation) -> None:
        for rank, ready_us in operation.ready_us.items():
            current = self._ranks.setdefault(rank, _RankStep(begin_us=ready_us))
            current.begin_us = min(current.begin_us, ready_us)
            # Operations overlap: only what lies behind the last one counts once more.
            current.inside_us += max(0.0, operation.end_us - max(ready_us, current.inside_until_us))
            current.inside_until_us = max(current.inside_until_us, operation.end_us)
            current.collectives.append((slot, operation.name, ready_us, operation.end_us))

    def _finish(self, following: Operation) -> tuple[bytes, bytes]:
        """Return the records of the step that ends where the first operation of the next one was ready."""
        if self._step < 1 or not math.isfinite(self._epoch_us):
            return b"", b""  # the first step holds the start-up
        world = max((*self._ranks, *following.ready_us)) + 1
        group = self._roster.communicator(self._job, _GROUP)
        steps, collectives = [], []
        for rank, current in self._ranks.items():
            if rank not in following.ready_us or (rank and not self._all_ranks):
                continue
            row = self._roster.rank(self._job, rank, world, backend="horovod")
            end_us = following.ready_us[rank]
            steps.append(self._step_of(row, current, end_us))
            collectives += [
                pack_collective(
                    row,
                    group,
                    slot=slot,
                    kind=kind_of(name),
                    step=self._step,
                    size=0,
                    start_s=(ready_us - current.begin_us) * _US,
                    duration_s=(over_us - ready_us) * _US,
                )
                for slot, name, ready_us, over_us in current.collectives
            ]
        return b"".join(steps), b"".join(collectives)

    def _step_of(self, row: int, current: _RankStep, end_us: float) -> bytes:
        step_us = end_us - current.begin_us
        return pack_step(
            row,
            self._step,
            (self._epoch_us + end_us) * _US,
            step_us * _US,
            compute_s=max(0.0, step_us - current.inside_us) * _US,
        )


def _event(line: bytes, dropped: Counter[str]) -> dict[str, Any]:
    text = line.strip().lstrip(b"[").rstrip(b"],\r ")
    if not text:
        return {}
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        dropped["horovod.bad_line"] += 1
        return {}
    return event


def horovod_source(patterns: Mapping[str, str], roster: Roster, *, all_ranks: bool) -> FileStepsSource:
    """Return the source. ``all_ranks`` says that all ranks of these jobs run on this node.

    A timeline does not tell on which node a rank is. Without ``all_ranks`` only rank 0, whose node this is,
    is shown: a rank under the wrong node would be blamed there.
    """
    return FileStepsSource("horovod", patterns, partial(Timeline, all_ranks=all_ranks), roster)
