"""The timer of collectives on a GPU, with events that pass when the test says so."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest

from ringwatch_agent.hook.cuda import MAX_PENDING, CudaTimer
from ringwatch_agent.hook.recorder import Communicator, Recorder
from ringwatch_agent.hook.ring_writer import RingWriter
from ringwatch_agent.sources.ring_reader import RingReader
from ringwatch_proto.layout import Phase


@dataclass
class Stream:
    """The order of events, and how far the GPU has come."""

    recorded: int = 0
    passed: int = 0
    asked: list[int] = field(default_factory=list)


class Event:
    """An event as torch.cuda has it; the GPU takes a millisecond from one to the next."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.at = -1

    def record(self) -> None:
        self._stream.recorded += 1
        self.at = self._stream.recorded

    def query(self) -> bool:
        self._stream.asked.append(self.at)
        return self.at <= self._stream.passed

    def elapsed_time(self, later: Event) -> float:
        assert later.at <= self._stream.passed, "would have waited"
        return float(later.at - self.at)


def test_collectives_come_out_in_order_when_their_events_have_passed() -> None:
    """Nothing is waited for: what has not passed is asked for again later."""
    stream = Stream()
    timer = CudaTimer(lambda: Event(stream))
    for token in (1, 2):
        assert timer.close(token, timer.mark())
    assert timer.passed() == []
    stream.passed = 2
    assert dict(timer.passed()) == pytest.approx({1: 0.001})
    stream.passed = 4
    assert dict(timer.passed()) == pytest.approx({2: 0.001})


def test_a_gpu_that_does_not_move_bounds_what_is_kept() -> None:
    """Beyond that a collective is not timed, and the job is not held."""
    timer = CudaTimer(lambda: Event(Stream()))
    for token in range(MAX_PENDING):
        assert timer.close(token, timer.mark())
    assert timer.mark() is None
    assert not timer.close(9, None)


def test_time_in_collectives_on_the_gpu_is_not_compute() -> None:
    """The host's clock runs on while the GPU waits; the event's time is taken off the step's compute."""
    ring = RingWriter()
    reader = RingReader(os.dup(ring.fd))
    recorder = Recorder(ring, 0)
    recorder.forward()
    token = recorder.begin(Communicator(0), 1, 8, on_gpu=True)
    state = reader.state()
    assert (state.launched, state.completed, state.phase) == (1, 0, Phase.COMPUTE)
    recorder.end(token, 3600.0)
    recorder.step_end(float("nan"))
    collective, step = reader.records()
    assert collective[9] == 3600.0
    assert step[10] == 0.0
