"""A fresh reader is tried beside one in trouble, kept when it sees more, and ended when it does not."""

from __future__ import annotations

from array import array
from typing import cast

from ringwatch_agent.sources.nvml_process import NvmlProcess
from ringwatch_agent.sources.nvml_renewal import FIRST_S, Renewal, well
from ringwatch_agent.sources.nvml_roster import STATE, WIDTH
from ringwatch_agent.sources.pipe_frames import Frame
from ringwatch_proto.errors import SourceError
from ringwatch_proto.signals import GpuState


def frame(*states: GpuState) -> Frame:
    """Return an answer with GPUs in these states."""
    numbers = array("f", [0.0]) * (WIDTH * len(states))
    for row, state in enumerate(states):
        numbers[row * WIDTH + STATE] = float(state)
    return Frame({}, numbers.tobytes())


class Reader:
    """A reader process that gives one answer, or none."""

    def __init__(self, answer: Frame | None) -> None:
        self.answer = answer

    def ask(self, _operation: str, _within_s: float) -> Frame:
        if self.answer is None:
            raise SourceError("stuck")
        return self.answer


class Bench:
    """A renewal on a clock of its own."""

    def __init__(self, answer: Frame | None) -> None:
        self.now_s = 0.0
        self.started = 0
        self.ended = 0
        self.fresh = cast("NvmlProcess", Reader(answer))
        self.renewal = Renewal(self._start, self._end, lambda: self.now_s)

    def _start(self) -> NvmlProcess:
        self.started += 1
        return self.fresh

    def _end(self, _process: NvmlProcess) -> None:
        self.ended += 1

    def look(self, seen: Frame, rows: int = 2, *, may_start: bool = True) -> NvmlProcess | None:
        return self.renewal.look(seen, rows, may_start=may_start)


LOST = frame(GpuState.OK, GpuState.LOST)
ALL = frame(GpuState.OK, GpuState.OK)


def test_rows_that_are_well_are_counted() -> None:
    """The state column of each row."""
    assert (well(ALL), well(LOST), well(Frame({}))) == (2, 1, 0)


def test_a_reader_that_sees_more_is_taken() -> None:
    """After a while of trouble, not at once."""
    bench = Bench(ALL)
    assert bench.look(LOST) is None
    assert bench.started == 0
    bench.now_s = FIRST_S
    assert bench.look(LOST) is None
    assert bench.look(LOST) is bench.fresh
    assert (bench.started, bench.ended) == (1, 0)


def test_a_reader_that_sees_no_more_is_ended_and_the_next_comes_later() -> None:
    """Twice as late each time, never two at once."""
    bench = Bench(LOST)
    for second in range(400):
        bench.now_s = float(second)
        assert bench.look(LOST) is None
        assert bench.started - bench.ended <= 1
    assert bench.started == bench.ended == 3


def test_a_reader_that_is_stuck_costs_the_good_readings_nothing() -> None:
    """It is ended; the old one goes on."""
    bench = Bench(None)
    bench.look(LOST)
    bench.now_s = FIRST_S
    bench.look(LOST)
    assert bench.look(LOST) is None
    assert bench.ended == 1


def test_no_trial_begins_while_readers_are_stuck_in_the_driver() -> None:
    """More of them would help nobody."""
    bench = Bench(ALL)
    bench.look(LOST, may_start=False)
    bench.now_s = 10 * FIRST_S
    bench.look(LOST, may_start=False)
    assert bench.started == 0


def test_when_all_is_well_a_trial_is_given_up() -> None:
    """The GPU came back by itself."""
    bench = Bench(LOST)
    bench.look(LOST)
    bench.now_s = FIRST_S
    bench.look(LOST)
    bench.look(ALL)
    assert bench.ended == 1
