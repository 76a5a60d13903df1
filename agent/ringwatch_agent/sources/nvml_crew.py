"""Threads that carry GPUs through a round, so that a call that blocks stops its own GPU only.

While all is well one thread asks one GPU after the other: threads that wake each other cost more than
the questions. When a GPU takes longer than its turn, the next thread goes on with the rest. A GPU that is
being asked is not asked again, so there are never more threads than GPUs.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final, Protocol

TURN_S: Final = 0.05


class Asked(Protocol):
    """What a thread asks: may block for ever, never raises."""

    @property
    def is_busy(self) -> bool:
        """Return whether the asking has not come back."""
        ...

    def serve(self) -> None:
        """Ask."""
        ...


class Crew:
    """Threads that wait for work; more are made when the others are stuck."""

    def __init__(self) -> None:
        self.threads = 0
        self._queue: deque[Asked] = deque()
        self._idle: list[threading.Lock] = []
        self._done: SimpleQueue[None] = SimpleQueue()

    def run(self, due: Sequence[Asked], until_s: float) -> None:
        """Serve what is due; return when all came back, at the latest at ``until_s`` (monotonic)."""
        self._queue.extend(due)
        if due:
            self._send()
        while any(each.is_busy for each in due):
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            try:
                self._done.get(timeout=min(TURN_S, left_s))
            except Empty:
                if self._queue:
                    self._send()

    def _send(self) -> None:
        """Wake an idle thread, or make one."""
        if self._idle:
            self._idle.pop().release()
            return
        self.threads += 1
        threading.Thread(target=self._work, name=f"nvml-{self.threads}", daemon=True).start()

    def _work(self) -> None:
        rest = threading.Lock()
        rest.acquire()
        while True:
            while self._queue:
                try:
                    asked = self._queue.popleft()
                except IndexError:  # another thread was quicker
                    break
                asked.serve()
            self._idle.append(rest)
            self._done.put(None)
            rest.acquire()
