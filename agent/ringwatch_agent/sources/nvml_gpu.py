"""What is known of one GPU in the reader process: how it is, how old that is, what it last said."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_asks import Place
from ringwatch_agent.sources.nvml_identity import Identity, handle_at, identify, instances, unidentified
from ringwatch_agent.sources.nvml_plan import OWN, SLOW
from ringwatch_agent.sources.nvml_round import BUDGET_S, Failure, InstanceRound, Round

# After this long without an answer the GPU is "not answering" and its values are nobody's.
ANSWER_S: Final = 2.5
# A GPU that answers slowly is asked less: after Xid 119 each call holds the driver for 6 to 45 s.
_REST_FACTOR: Final = 1.0
_REST_MAX_S: Final = 30.0
_LOST_REST_S: Final = 10.0
# For so long after such an Xid the GPU is asked only so often, however well it answers.
_WARY_S: Final = 600.0
_WARY_REST_S: Final = 15.0


class _Answer(NamedTuple):
    """What one round gave; ``row`` lacks only what the reader itself says of a row."""

    state: int
    why: str
    at_s: float
    took_s: float
    slow_at_s: float = math.nan
    row: tuple[float, ...] = ()
    parts: tuple[tuple[Identity, tuple[float, ...]], ...] = ()
    reinitialise: bool = False


class Now(NamedTuple):
    """What is known of a GPU at this moment."""

    rows: bytes
    why: str
    reinitialise: bool
    links_down: tuple[int, ...]


class Gpu:
    """``serve`` asks one GPU and may block for ever; what it last said can be had at any time.

    ``identified`` is called, on the thread that asks, once the GPU has said who it is.
    """

    def __init__(
        self,
        library: nvml.Library,
        index: int,
        column: Mapping[str, int],
        identified: Callable[[Gpu], None],
    ) -> None:
        self.identity = unidentified(index)
        self.parts: tuple[Identity, ...] = ()
        self.handle: nvml.Handle | None = None
        self.round: Round | None = None
        self._library = library
        self._index = index
        self._column = column
        self._own = tuple(column[name] for name in OWN)
        self._no_values = (math.nan,) * len(column)
        self._identified = identified
        self._instances: list[InstanceRound] = []
        self._rest_until_s = 0.0
        self._wary_until_s = 0.0
        self._busy_since_s: float | None = None
        self._answer: _Answer | None = None
        self._good_s = math.nan

    @property
    def is_busy(self) -> bool:
        """Return whether a round is under way."""
        return self._busy_since_s is not None

    def take_turn(self, now_s: float) -> bool:
        """Begin a round; return False while one is under way, and while the GPU is being spared.

        ``serve`` has to follow.
        """
        if self._busy_since_s is not None or now_s < self._rest_until_s:
            return False
        self._busy_since_s = now_s
        return True

    def hasten(self) -> None:
        """Have health and links asked at the next round: something happened to this GPU."""
        if self.round is not None:
            self.round.hasten()

    def spare(self) -> None:
        """Ask this GPU less from now on: its firmware has stopped answering the driver."""
        now_s = time.monotonic()
        self._wary_until_s = now_s + _WARY_S
        self._rest_until_s = max(self._rest_until_s, now_s + _WARY_REST_S)

    def now(self, now_s: float) -> Now:
        """Return what is known; values are given only while they are younger than ``ANSWER_S``."""
        answer, busy_since_s = self._answer, self._busy_since_s
        busy_s = 0.0 if busy_since_s is None else now_s - busy_since_s
        state, why = (math.nan, "") if answer is None else (float(answer.state), answer.why)
        if busy_s > ANSWER_S:
            state, why = nvml.NOT_ANSWERING, f"an NVML call has not come back for {busy_s:.0f} s"
        elif answer is not None and answer.took_s > ANSWER_S:
            state, why = nvml.NOT_ANSWERING, f"the last round of NVML calls took {answer.took_s:.0f} s"
        elif now_s < self._wary_until_s and state == nvml.OK:
            why = "asked less after Xid 119 or 120"
        fresh = answer is not None and answer.state == nvml.OK and now_s - answer.at_s <= ANSWER_S
        return Now(
            rows=self._rows(answer, state, now_s, fresh=fresh),
            why=why,
            reinitialise=answer is not None and answer.reinitialise,
            links_down=self.round.links.down if fresh and self.round else (),
        )

    def _rows(self, answer: _Answer | None, state: float, now_s: float, *, fresh: bool) -> bytes:
        """Return the packed row of this GPU, and one for each instance that is named."""
        age_s = now_s - self._good_s
        if answer is None or not fresh:
            row = self._pack((), age_s, state)
            return row + self._pack((), age_s) * len(self.parts)
        slow_s = now_s - answer.slow_at_s
        row = self._pack(answer.row, age_s, state, slow_s, answer.took_s * 1e3)
        given = dict(answer.parts)
        parts = [self._pack(given.get(part, ()), age_s, state, slow_s) for part in self.parts]
        return b"".join((row, *parts))

    def _pack(
        self,
        values: tuple[float, ...],
        age_s: float,
        state: float = math.nan,
        slow_age_s: float = math.nan,
        read_ms: float = math.nan,
    ) -> bytes:
        row = array("f", values or self._no_values)
        for column, value in zip(self._own, (age_s, state, slow_age_s, read_ms), strict=True):
            row[column] = value
        return row.tobytes()

    def serve(self) -> None:
        """Ask the GPU."""
        answer = self._attempt()
        if answer.state == nvml.OK:
            self._good_s = answer.at_s
        self._spare_after(answer)
        self._answer, self._busy_since_s = answer, None

    def _attempt(self) -> _Answer:
        begin_s = time.monotonic()
        try:
            if self.round is None:
                self._begin(begin_s)
            assert self.round is not None
            # A GPU that took long to say who it is has answered for this round.
            if time.monotonic() - begin_s < BUDGET_S:
                self._ask_round(self.round, begin_s)
        except (Failure, nvml.NvmlFailed) as failure:
            return self._failed(failure.code, begin_s)
        ended_s = time.monotonic()
        return _Answer(
            state=nvml.OK,
            why="",
            at_s=ended_s,
            took_s=ended_s - begin_s,
            slow_at_s=self.round.slow_at_s,
            row=tuple(self.round.row),
            parts=tuple((part.identity, tuple(part.row)) for part in self._instances),
        )

    def _ask_round(self, round: Round, now_s: float) -> None:
        slow_before_s = round.slow_at_s
        round.ask(now_s)
        if round.slow_at_s != slow_before_s:
            self._look_at_instances()
        for part in self._instances:
            part.ask(now_s)

    def _begin(self, now_s: float) -> None:
        self.handle = handle_at(self._library, self._index)
        self.identity = identify(self._library, self._index, self.handle)
        place = Place(self._library, self.handle, self._column)
        self.round = Round(place, now_s, stagger_s=self._index % 8 * SLOW / 8)
        self._identified(self)

    def _look_at_instances(self) -> None:
        assert self.round is not None
        assert self.handle is not None
        row = self.round.row
        divided = row[self._column["mig_mode"]] == 1
        found = instances(self._library, self.identity, self.handle) if divided else ()
        row[self._column["mig_instances"]] = float(len(found)) if divided else math.nan
        identities = tuple(each.identity for each in found)
        if identities != tuple(part.identity for part in self._instances):
            self._instances = [InstanceRound(self._library, self._column, each) for each in found]
            self.parts = identities
            self._identified(self)

    def _failed(self, code: int, begin_s: float) -> _Answer:
        ended_s = time.monotonic()
        return _Answer(
            state=nvml.STATE_OF.get(code, nvml.FAILING),
            why=self._library.error_text(code),
            at_s=ended_s,
            took_s=ended_s - begin_s,
            reinitialise=code in nvml.REINITIALISE,
        )

    def _spare_after(self, answer: _Answer) -> None:
        rest_s = 0.0
        if answer.took_s > ANSWER_S:
            rest_s = min(_REST_MAX_S, answer.took_s * _REST_FACTOR)
        elif answer.state in (nvml.LOST, nvml.NEEDS_RESET):
            rest_s = _LOST_REST_S
        elif answer.at_s < self._wary_until_s:
            rest_s = _WARY_REST_S
        self._rest_until_s = answer.at_s + rest_s
