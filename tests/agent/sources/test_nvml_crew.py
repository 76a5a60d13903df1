"""Threads that carry GPUs: one while all is well, one more for each that is stuck, never one twice."""

from __future__ import annotations

import threading
import time

from ringwatch_agent.sources.nvml_crew import Crew


class Gpu:
    """A GPU that blocks while ``stuck``; ``asked`` counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.busy = False
        self.free = threading.Event()
        self.free.set()

    @property
    def is_busy(self) -> bool:
        return self.busy

    def serve(self) -> None:
        self.asked += 1
        self.free.wait()
        self.busy = False


def run(crew: Crew, gpus: list[Gpu], seconds: float = 5.0) -> None:
    """Run one round over those that are not busy."""
    due = [gpu for gpu in gpus if not gpu.busy]
    for gpu in due:
        gpu.busy = True
    crew.run(due, time.monotonic() + seconds)


def test_one_thread_serves_all_while_none_is_slow() -> None:
    """Round after round."""
    crew, gpus = Crew(), [Gpu() for _ in range(8)]
    for _ in range(20):
        run(crew, gpus)
    assert [gpu.asked for gpu in gpus] == [20] * 8
    assert crew.threads == 1


def test_a_stuck_gpu_holds_one_thread_and_the_others_are_served() -> None:
    """However many rounds go by."""
    crew, gpus = Crew(), [Gpu() for _ in range(8)]
    gpus[2].free.clear()
    run(crew, gpus, 0.3)
    for _ in range(10):
        run(crew, gpus)
    assert [gpu.asked for gpu in gpus] == [11, 11, 1, 11, 11, 11, 11, 11]
    assert crew.threads == 2
    gpus[2].free.set()


def test_all_stuck_hold_as_many_threads_as_there_are_gpus() -> None:
    """And not one more, whatever is asked later; freed, they all work again."""
    crew, gpus = Crew(), [Gpu() for _ in range(4)]
    for gpu in gpus:
        gpu.free.clear()
    for _ in range(3):
        run(crew, gpus, 0.5)
    assert crew.threads == 4
    for gpu in gpus:
        gpu.free.set()
    while any(gpu.busy for gpu in gpus):
        time.sleep(0.01)
    run(crew, gpus)
    assert [gpu.asked for gpu in gpus] == [2] * 4
    assert crew.threads == 4
