"""One GPU's questions, by how often they are due; remembers what it does not support. Starts no thread."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Final

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_asks import Ask, Place, Row, memory, processes
from ringwatch_agent.sources.nvml_fields import FieldBatch
from ringwatch_agent.sources.nvml_identity import Instance
from ringwatch_agent.sources.nvml_links import SIGNALS as LINK_SIGNALS
from ringwatch_agent.sources.nvml_links import Links
from ringwatch_agent.sources.nvml_plan import BATCHES, ENTRIES, FAST, RARE, SLOW

UNSUPPORTED_S: Final = 3600.0
# Rates need two readings: the second of the slow group follows the first at the next beat.
_SECOND_S: Final = 0.5
# How long a round may go on asking what is not of every round.
BUDGET_S: Final = 0.5
_GROUPS: Final = (FAST, SLOW, RARE)
_INSTANCE_SIGNALS: Final = (
    "memory_total_mib", "memory_reserved_mib", "memory_used_mib", "processes", "process_memory_mib",
)  # fmt: skip


class Question:
    """One question and the columns that are absent when it fails."""

    __slots__ = ("ask", "columns", "signals")

    def __init__(self, place: Place, signals: tuple[str, ...], ask: Ask) -> None:
        self.signals = signals
        self.columns = tuple(place.column[name] for name in signals)
        self.ask = ask


class Failure(Exception):
    """NVML said something about the whole GPU or driver."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Round:
    """Asks what is due. ``stagger_s`` spreads the slower groups of several GPUs over time."""

    def __init__(self, place: Place, now_s: float, stagger_s: float = 0.0) -> None:
        self.row: Row = [math.nan] * len(place.column)
        self.slow_at_s = math.nan
        self.links = Links(place)
        self._place = place
        self._due_s = dict.fromkeys(_GROUPS, now_s)
        self._stagger_s = stagger_s
        self._again_s = now_s + UNSUPPORTED_S
        self._batches = {every_s: FieldBatch(place, batch) for every_s, batch in BATCHES}
        self._gaps: dict[str, int] = {}
        self._queue: deque[tuple[float, Question]] = deque()
        self._slow_left = 0
        self._asked = self._bind()

    def _bind(self) -> dict[float, list[Question]]:
        asked: dict[float, list[Question]] = {every_s: [] for every_s in _GROUPS}
        for entry in ENTRIES:
            ask = entry.bind(self._place)
            if ask is None:
                self._gaps.update(dict.fromkeys(entry.signals, nvml.FUNCTION_NOT_FOUND))
            else:
                asked[entry.every_s].append(Question(self._place, entry.signals, ask))
        asked[SLOW].append(Question(self._place, LINK_SIGNALS, self.links))
        for every_s, batch in self._batches.items():
            asked[every_s].append(Question(self._place, (), batch))
        return asked

    def hasten(self) -> None:
        """Have everything but limits and modes asked at the next round."""
        self._due_s[SLOW] = 0.0

    def missing(self) -> Mapping[str, int]:
        """Return the signals that this GPU does not give, with NVML's code."""
        gaps = dict(self._gaps)
        for batch in self._batches.values():
            gaps |= batch.missing()
        return gaps

    def ask(self, now_s: float) -> None:
        """Ask what is due into ``row``; raise Failure when the GPU or the driver is not there.

        A GPU that answers slowly is asked the slower groups bit by bit, at least one question a round.
        """
        if now_s >= self._again_s:
            self._restore(now_s)
        self._queue_what_is_due(now_s)
        codes = [self._put(question, FAST) for question in tuple(self._asked[FAST])]
        while self._queue:
            every_s, question = self._queue.popleft()
            codes.append(self._put(question, every_s))
            self._slow_left -= every_s == SLOW
            if every_s == SLOW and not self._slow_left:
                self._slow_was_asked(now_s)
            if time.monotonic() - now_s >= BUDGET_S:
                break
        failed = next((code for code in codes if code not in (nvml.SUCCESS, nvml.NOT_SUPPORTED)), 0)
        if failed and nvml.SUCCESS not in codes:
            raise Failure(failed)

    def _queue_what_is_due(self, now_s: float) -> None:
        for every_s in (SLOW, RARE):
            if now_s < self._due_s[every_s] or any(queued == every_s for queued, _ in self._queue):
                continue
            self._due_s[every_s] = now_s + every_s
            self._queue.extend((every_s, question) for question in self._asked[every_s])
            if every_s == SLOW:
                self._slow_left = len(self._asked[SLOW])

    def _slow_was_asked(self, now_s: float) -> None:
        if math.isnan(self.slow_at_s):
            self._due_s[SLOW] = now_s + _SECOND_S
        else:
            self._due_s[SLOW] -= self._stagger_s
            self._stagger_s = 0.0
        self.slow_at_s = now_s

    def _put(self, question: Question, every_s: float) -> int:
        code = question.ask(self.row, time.monotonic())
        if code == nvml.SUCCESS:
            return code
        if code in nvml.STATE_OF or code in nvml.REINITIALISE:
            raise Failure(code)
        for column in question.columns:
            self.row[column] = math.nan
        if code in nvml.UNSUPPORTED:
            self._asked[every_s].remove(question)
            self._gaps.update(dict.fromkeys(question.signals, code))
            return nvml.NOT_SUPPORTED
        return code

    def _restore(self, now_s: float) -> None:
        """Ask again what was unsupported: MIG, ECC or permissions may have changed since."""
        self._again_s = now_s + UNSUPPORTED_S
        gone = set(self._gaps)
        self._gaps.clear()
        for entry in ENTRIES:
            ask = entry.bind(self._place) if gone.intersection(entry.signals) else None
            if ask is not None:
                self._asked[entry.every_s].append(Question(self._place, entry.signals, ask))
        for every_s, batch in self._batches.items():
            batch.restore()
            if not any(question.ask is batch for question in self._asked[every_s]):
                self._asked[every_s].append(Question(self._place, (), batch))


class InstanceRound:
    """The few questions that a MIG instance answers for itself."""

    def __init__(self, library: nvml.Library, column: Mapping[str, int], instance: Instance) -> None:
        self.identity = instance.identity
        self.row: Row = [math.nan] * len(column)
        place = Place(library, instance.handle, column)
        self._absent = tuple(column[name] for name in _INSTANCE_SIGNALS)
        self._asks = [ask for bind in (memory, processes) if (ask := bind(place)) is not None]

    def ask(self, now_s: float) -> None:
        """Ask into ``row``."""
        for column in self._absent:
            self.row[column] = math.nan
        for ask in self._asks:
            ask(self.row, now_s)
