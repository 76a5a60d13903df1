"""Makes steps of numbered collectives: a job repeats the same ones each step, so their order has a period.

No step is marked in NCCL's own records. The n-th collective of a group is the same operation on every rank,
so a period found on any rank, and the step numbers that follow from it, are those of all ranks and nodes.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from ringwatch_agent.sources.step_records import pack_collective, pack_step
from ringwatch_proto.layout import Collective

# A period must be seen so many times over, within so many collectives of one group.
_SEEN_TIMES: Final = 3
_REMEMBERED: Final = 1536


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One collective of one rank. ``number`` counts within its group; times are Unix seconds."""

    number: int
    kind: Collective
    size: int
    ended_s: float
    duration_s: float

    @property
    def begin_s(self) -> float:
        """Return when the rank entered it."""
        return self.ended_s - self.duration_s


class Period:
    """The period of one group's collectives, from their kinds and sizes in the order of their numbers."""

    def __init__(self) -> None:
        self._shapes: deque[tuple[Collective, int]] = deque(maxlen=_REMEMBERED)
        self._next = -1
        self._found = 0
        self._look_at = 0

    def note(self, call: Call) -> None:
        """Take the next collective; a gap in the numbers makes it begin anew."""
        if call.number < self._next:
            return  # another rank was here before
        if call.number > self._next:
            self._shapes.clear()
            self._found = 0
            self._look_at = 0
        self._shapes.append((call.kind, call.size))
        self._next = call.number + 1
        if self._found and not self._repeats(self._found, 1):
            self._found = 0

    def length(self) -> int:
        """Return how many collectives a step has, 0 while that is not known."""
        count = len(self._shapes)
        if not self._found and count >= self._look_at:
            self._found = next(
                (each for each in range(1, count // _SEEN_TIMES + 1) if self._repeats(each, each * 2)), 0
            )
            # To look costs the square of what is remembered: look seldom while nothing is found.
            self._look_at = count + max(8, count // 8)
            if count == _REMEMBERED and not self._found:
                self._shapes.clear()
                self._look_at = 0
        return self._found

    def _repeats(self, length: int, last: int) -> bool:
        shapes, count = self._shapes, len(self._shapes)
        if count < length + last:
            return False
        return all(shapes[count - 1 - at] == shapes[count - 1 - at - length] for at in range(last))


class RankSequence:
    """One rank's way through the collectives of one group, cut into steps."""

    def __init__(self, row: int, communicator: int) -> None:
        self._row = row
        self._communicator = communicator
        self._calls: list[Call] = []
        self._step = -1
        self._length = 0

    def take(self, call: Call, length: int) -> tuple[bytes, bytes]:
        """Take the next collective; return the packed step and collectives that it completes."""
        step = call.number // length
        if length != self._length or step < self._step:
            self._calls, self._length, self._step = [], length, step
        done = (b"", b"")
        if step != self._step:
            whole = step == self._step + 1 and len(self._calls) == length
            done = self._packed(call) if whole else done
            self._calls, self._step = [], step
        self._calls.append(call)
        return done

    def _packed(self, following: Call) -> tuple[bytes, bytes]:
        begin_s = self._calls[0].begin_s
        step_s = following.begin_s - begin_s
        if not (math.isfinite(step_s) and step_s > 0):
            return b"", b""
        inside_s = sum(call.duration_s for call in self._calls)
        collectives = [
            pack_collective(
                self._row,
                self._communicator,
                slot=call.number % self._length,
                kind=call.kind,
                step=self._step,
                size=call.size,
                start_s=call.begin_s - begin_s,
                duration_s=call.duration_s,
            )
            for call in self._calls
        ]
        compute_s = max(0.0, step_s - inside_s)
        packed = pack_step(self._row, self._step, following.begin_s, step_s, compute_s=compute_s)
        return packed, b"".join(collectives)
