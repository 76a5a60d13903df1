"""The thread of one source, and its pace."""

from __future__ import annotations

import threading

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.worker import Outcome, SourceWorker


class Seldom:
    """A source that wants to be read every hour."""

    name = "seldom"
    period_s = 3600.0

    def open(self) -> None:
        """Need nothing."""

    def read(self) -> Reading:
        """Return nothing."""
        return Reading()

    def close(self) -> None:
        """Hold nothing."""


def test_a_source_of_slow_readings_is_asked_at_its_own_pace() -> None:
    """A beat within its period does not wake its thread; one without a period is asked each time."""
    done = threading.Semaphore(0)

    def take(_: SourceWorker, outcome: Outcome) -> None:
        assert outcome.reading is not None
        done.release()

    seldom = Seldom()
    often = Seldom()
    often.period_s = 0.0
    workers = [SourceWorker(seldom, take), SourceWorker(often, take)]
    for worker in workers:
        worker.start()
        assert worker.ask()
        done.acquire()
        while worker.busy_since_s is not None:
            threading.Event().wait(0.001)
    assert [worker.ask() for worker in workers] == [False, True]
    for worker in workers:
        worker.stop()
        assert worker.join(5.0)
