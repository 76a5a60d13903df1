"""The ``tensorboard`` source: steps out of TensorBoard's event files. Loads no TensorFlow.

An event file tells when a step was written and what its scalars were, not what a rank did in it: step times
and losses come of it, waiting and computing stay absent.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from ringwatch_agent.sources.file_steps import FileStepsSource
from ringwatch_agent.sources.followed_files import FollowedFile
from ringwatch_agent.sources.outsiders import Roster
from ringwatch_agent.sources.step_records import pack_step
from ringwatch_agent.sources.tfrecord import TfRecords
from ringwatch_agent.tensorboard.event_pb2 import Event, Value

# The rank stands in the path where each rank has a writer; else the writer is rank 0, as is usual.
_RANK: Final = re.compile(r"rank[_-]?(\d{1,6})(?!\d)", re.IGNORECASE)
_LOSS: Final = re.compile(r"(?:.*[/_. ])?(?:train(?:ing)?[/_. ])?loss", re.IGNORECASE)
_DATA: Final = re.compile(r".*\bdata[_ ]?(?:load(?:ing)?[_ ]?)?time(?:_s)?", re.IGNORECASE)
_DT_FLOAT, _DT_DOUBLE = 1, 2


class EventFile:
    """The steps of one event file."""

    def __init__(self, job: str, file: FollowedFile, roster: Roster) -> None:
        self._job = job
        self._file = file
        self._roster = roster
        found = _RANK.search(str(file.path))
        self._rank = int(found[1]) if found else 0
        self._records = TfRecords("tensorboard")
        self._step = -1
        self._wall_s = math.nan
        self._scalars: dict[str, float] = {}
        self._before: tuple[int, float] | None = None

    def read(self, dropped: Counter[str]) -> tuple[bytes, bytes]:
        """Return the packed steps that are whole: a step is when the next one begins."""
        chunk = self._file.read()
        if chunk.anew:
            self._step, self._before = -1, None
        steps = []
        for record in self._records.take(chunk, dropped):
            try:
                event = Event.FromString(record)
            except DecodeError:
                dropped["tensorboard.bad_record"] += 1
                continue
            if event.summary.value:
                steps.append(self._take(event))
        return b"".join(steps), b""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _take(self, event: Event) -> bytes:
        done = b""
        if event.step != self._step:
            done = self._finish()
            self._step, self._wall_s, self._scalars = event.step, event.wall_time, {}
        self._scalars.update(_scalars(event))
        return done

    def _finish(self) -> bytes:
        """Return the step that is over; a writer that logs every n-th step gives the mean of n."""
        before, step, wall_s = self._before, self._step, self._wall_s
        if step < 0 or not math.isfinite(wall_s):
            return b""
        self._before = (step, wall_s)
        if before is None or step <= before[0] or wall_s < before[1]:
            return b""  # the first one, or a job that went back to a checkpoint
        row = self._roster.rank(self._job, self._rank, self._rank + 1)
        return pack_step(
            row,
            step,
            wall_s,
            (wall_s - before[1]) / (step - before[0]),
            data_s=_first(self._scalars, _DATA),
            loss=_first(self._scalars, _LOSS),
        )


def _scalars(event: Event) -> Iterator[tuple[str, float]]:
    for value in event.summary.value:
        number = _number(value)
        if not math.isnan(number):
            yield value.tag, number


def _number(value: Value) -> float:
    """Return the scalar of a value: in the old form, or in a tensor of one element."""
    if not value.HasField("tensor"):
        return value.simple_value
    tensor = value.tensor
    if len(tensor.float_val) == 1:
        return tensor.float_val[0]
    if len(tensor.double_val) == 1:
        return tensor.double_val[0]
    code = {_DT_FLOAT: "<f", _DT_DOUBLE: "<d"}.get(tensor.dtype, "")
    if code and len(tensor.tensor_content) == struct.calcsize(code):
        return float(struct.unpack(code, tensor.tensor_content)[0])
    return math.nan


def _first(scalars: Mapping[str, float], pattern: re.Pattern[str]) -> float:
    return next((value for tag, value in scalars.items() if pattern.fullmatch(tag)), math.nan)


def tensorboard_source(patterns: Mapping[str, str], roster: Roster) -> FileStepsSource:
    """Return the source; patterns name files such as ``/runs/llm/**/events.out.tfevents.*``."""
    return FileStepsSource("tensorboard", patterns, EventFile, roster, period_s=2.0)
