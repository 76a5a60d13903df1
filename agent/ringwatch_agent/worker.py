"""Gives one source a thread of its own, so that one which blocks stops nothing but itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

from ringwatch_agent.sources.base import Reading, Source
from ringwatch_proto.errors import SourceError, SourceUnsupported

# Reads that may fail in a row before the source is closed and opened again.
FAILURES_BEFORE_REOPEN: Final = 3
_REOPEN_FIRST_S: Final = 1.0
# Beats do not come to the millisecond: one that is this early still counts for the period.
_EARLY_S: Final = 0.2
_REOPEN_LAST_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one read went: a reading, or the reason why there is none."""

    reading: Reading | None
    reason: str
    unsupported: bool
    duration_s: float
    ended_s: float


class SourceWorker:
    """Opens and reads one source whenever asked, one read at a time.

    ``on_done`` is called on the worker's thread.
    """

    def __init__(self, source: Source, on_done: Callable[[SourceWorker, Outcome], None]) -> None:
        self.source = source
        self.busy_since_s: float | None = None
        self._on_done = on_done
        # Written in C: a threading.Event makes a lock, in Python, for each wait.
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._open = False
        self._failures = 0
        self._openings_failed = 0
        self._not_before_s = 0.0
        # A source of slow readings says how seldom it wants to be asked; the others are asked every beat.
        self._period_s = float(getattr(source, "period_s", 0.0))
        self._thread = threading.Thread(target=self._run, name=f"source-{source.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self) -> bool:
        """Ask for a read; return False when one is under way or it is too early to try again."""
        now_s = time.monotonic()
        if self.busy_since_s is not None or now_s < self._not_before_s:
            return False
        self.busy_since_s = now_s
        if self._period_s:
            self._not_before_s = now_s + self._period_s - _EARLY_S
        self._asked.put(None)
        return True

    def stop(self) -> None:
        """Tell the thread to close the source and end; returns at once, and is safe to call twice."""
        self._stopping = True
        self._asked.put(None)

    def join(self, within_s: float) -> bool:
        """Wait for the thread; return whether it ended. One that blocks is left behind."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, within_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._asked.get()
            if self._stopping:
                break
            outcome = self._attempt()
            self.busy_since_s = None
            self._on_done(self, outcome)
        self._close()

    def _attempt(self) -> Outcome:
        begin_s = time.monotonic()
        reading: Reading | None = None
        reason, unsupported = "", False
        try:
            if not self._open:
                self.source.open()
                self._open, self._openings_failed = True, 0
            reading = self.source.read()
            self._failures = 0
        except SourceUnsupported as error:
            reason, unsupported = str(error), True
            self._give_up()
        except SourceError as error:
            reason = str(error)
            self._failed()
        except Exception as error:  # noqa: BLE001 - the one broad handler of this loop: counted by the sampler
            reason = f"{type(error).__name__}: {error}"
            self._give_up()
        ended_s = time.monotonic()
        return Outcome(
            reading=reading,
            reason=reason,
            unsupported=unsupported,
            duration_s=ended_s - begin_s,
            ended_s=ended_s,
        )

    def _failed(self) -> None:
        self._failures += 1
        if not self._open or self._failures >= FAILURES_BEFORE_REOPEN:
            self._give_up()

    def _give_up(self) -> None:
        self._close()
        wait_s = min(_REOPEN_LAST_S, _REOPEN_FIRST_S * 2.0 ** min(self._openings_failed, 10))
        self._openings_failed += 1
        self._not_before_s = time.monotonic() + wait_s

    def _close(self) -> None:
        self._open, self._failures = False, 0
        try:
            self.source.close()
        except Exception:  # noqa: BLE001 - closing what already failed; the failure itself was counted
            return
