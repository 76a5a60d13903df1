"""Tries a fresh NVML reader beside one that is in trouble, and keeps the better. Reads no values."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ringwatch_agent.sources.nvml_process import NvmlProcess
from ringwatch_agent.sources.nvml_roster import STATE, WIDTH
from ringwatch_agent.sources.pipe_frames import Frame
from ringwatch_proto.errors import SourceError
from ringwatch_proto.signals import GpuState

# A GPU that was reset from outside, or came back to the bus, is seen by a new session only.
FIRST_S: Final = 30.0
LAST_S: Final = 600.0
_TRIAL_S: Final = 5.0
_ASK_S: Final = 1.0


def well(frame: Frame) -> int:
    """Return how many rows of an answer are well."""
    states = memoryview(frame.numbers).cast("f")[STATE::WIDTH] if frame.numbers else ()
    return sum(state == GpuState.OK for state in states)


class Renewal:
    """At most one trial at a time, further apart as long as nothing gets better."""

    def __init__(
        self,
        start: Callable[[], NvmlProcess],
        end: Callable[[NvmlProcess], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._end = end
        self._clock = clock
        self._every_s = FIRST_S
        self._due_s: float | None = None
        self._trial: NvmlProcess | None = None
        self._until_s = 0.0

    def look(self, frame: Frame, rows: int, *, may_start: bool) -> NvmlProcess | None:
        """Return a reader that sees more GPUs well than ``frame`` does, when there is one.

        ``rows`` is how many rows there should be; ``may_start`` is False while readers are stuck.
        """
        now_s, good = self._clock(), well(frame)
        if good >= rows:
            self.stop()
            self._every_s, self._due_s = FIRST_S, None
            return None
        if self._due_s is None:
            self._due_s = now_s + self._every_s
        if self._trial is not None:
            return self._judge(now_s, good)
        if now_s >= self._due_s and may_start:
            self._trial, self._until_s = self._start(), now_s + _TRIAL_S
        return None

    def stop(self) -> None:
        """Give up a trial. Safe to call at any time."""
        trial, self._trial = self._trial, None
        if trial is not None:
            self._end(trial)

    def _judge(self, now_s: float, good: int) -> NvmlProcess | None:
        assert self._trial is not None
        try:
            better = well(self._trial.ask("read", _ASK_S)) > good
        except SourceError:
            better, self._until_s = False, now_s
        if better:
            trial, self._trial = self._trial, None
            self._every_s, self._due_s = FIRST_S, None
            return trial
        if now_s >= self._until_s:
            self.stop()
            self._every_s = min(LAST_S, 2 * self._every_s)
            self._due_s = now_s + self._every_s
        return None
