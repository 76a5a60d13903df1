"""Carries one channel's alerts from the outbox to its sender: at least once, in order, with patience.

Each courier has a thread of its own, so that a receiver that hangs delays nobody else's alerts.
"""

from __future__ import annotations

import concurrent.futures
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import RowMapping

from ringwatch_collector.alerts.base import Outcome, Sender
from ringwatch_collector.alerts.notice import Notice, notice_of
from ringwatch_collector.counters import Counters
from ringwatch_collector.store.store import Store
from ringwatch_collector.store.writer import Row
from ringwatch_proto.codec import to_ns
from ringwatch_proto.errors import StoreError

_LOG: Final = logging.getLogger("ringwatch.collector.alerts")
_LOOK_S: Final = 0.5
# After so many failures in a row the receiver is down: the rest would only wait for its time-out too.
_DOWN_AFTER: Final = 3
_STORE_S: Final = 30.0
_SHOWN_S: Final = 86400.0
# A first failure may be a blip; a channel that fails for so long is trouble.
_TROUBLE_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a delivery is tried, and how long the pauses between tries get."""

    longest_wait_s: float
    give_up_s: float
    first_wait_s: float = 1.0

    def wait_s(self, tries: int, asked_s: float) -> float:
        """Return the pause after that many tries: doubled each time, jittered, at least what was asked."""
        doubled = self.first_wait_s * float(1 << min(tries - 1, 20))
        return max(asked_s, min(self.longest_wait_s, doubled) * random.uniform(0.5, 1.0))  # noqa: S311  (jitter)


class Courier:
    """One channel. ``stop`` may leave alerts behind: they wait in the outbox for the next start."""

    def __init__(self, sender: Sender, store: Store, counters: Counters, patience: Patience) -> None:
        self._sender = sender
        self._store = store
        self._counters = counters
        self._patience = patience
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"alerts-{sender.name}", daemon=True)
        # Settled in this life, should the outbox still show them as waiting.
        self._settled: set[int] = set()
        self._not_before_s = 0.0
        self._failures = 0
        self._failing_since_s: float | None = None
        self._failure = ""
        self._dead: deque[tuple[float, str]] = deque(maxlen=1000)

    @property
    def name(self) -> str:
        """Return the channel's name."""
        return self._sender.name

    @property
    def troubles(self) -> list[str]:
        """Return what keeps alerts from getting through, in words."""
        found = []
        since_s = self._failing_since_s
        if since_s is not None and time.time() - since_s > _TROUBLE_AFTER_S:
            found.append(f"alerts: {self.name} takes none for {time.time() - since_s:.0f} s: {self._failure}")
        recent = [reason for at_s, reason in list(self._dead) if time.time() - at_s < _SHOWN_S]
        if recent:
            found.append(
                f"alerts: {len(recent)} could not be delivered to {self.name}; the last: {recent[-1]}"
            )
        return found

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Begin no further delivery."""
        self._stopping.set()

    def stop(self, timeout_s: float) -> None:
        """End after the delivery that is under way."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._sender.close()

    def _run(self) -> None:
        self._remember_dead()
        while not self._stopping.is_set():
            try:
                self._sender.idle()
                if time.time() >= self._not_before_s:
                    self._deliver_due()
            except StoreError:
                pass  # counted and shown by the store
            except Exception as error:  # noqa: BLE001  (one bad alert must not end the channel)
                self._counters.alerts["failed", self.name] += 1
                self._fail(f"{type(error).__name__}: {str(error)[:200]}")
                self._rest()
            self._stopping.wait(_LOOK_S)

    def _remember_dead(self) -> None:
        try:
            rows = self._store.newest_notices(100, "dead")
        except StoreError:
            return
        for row in reversed(rows):
            if row["channel"] == self.name:
                self._dead.append((row["settled_ns"] / 1e9, row["error"]))

    def _deliver_due(self) -> None:
        due = self._due()
        numbers = {row["key"]: row for row in due}
        notices = [notice for row in due if (notice := self._read(row)) is not None]
        failed = 0
        behind: set[str] = set()
        for parcel in self._sender.parcels(notices):
            incidents = {notice.incident.id for notice in parcel}
            if self._stopping.is_set():
                return
            if behind & incidents:
                continue  # what came before has not arrived
            if self._deliver(parcel, [numbers[notice.key] for notice in parcel]):
                failed = 0
                continue
            failed += 1
            behind |= incidents
            if failed >= _DOWN_AFTER:
                self._rest()
                return

    def _due(self) -> list[RowMapping]:
        """Return what is due, leaving out what has to come after something that is not."""
        now_ns = to_ns(time.time())
        due, behind = [], set()
        for row in self._store.notices(self.name):
            if row["row_number"] in self._settled:
                continue
            if row["due_ns"] > now_ns or row["incident"] in behind:
                behind.add(row["incident"])
            else:
                due.append(row)
        return due

    def _read(self, row: RowMapping) -> Notice | None:
        try:
            return notice_of(row["document"])
        except (ValueError, KeyError, TypeError) as error:
            self._settle([row], Outcome(refused=True, reason=f"not readable: {str(error)[:100]}"))
            return None

    def _deliver(self, parcel: Sequence[Notice], rows: Sequence[RowMapping]) -> bool:
        """Try one parcel; return False when it has to be tried again."""
        outcome = self._sender.send(parcel)
        if outcome.refused and len(parcel) > 1:
            # One that is wrong must not take the others with it.
            alone = [self._deliver([notice], [row]) for notice, row in zip(parcel, rows, strict=True)]
            return all(alone)
        if outcome.sent:
            self._counters.alerts["sent", self.name] += len(parcel)
            self._failures, self._failing_since_s = 0, None
        elif not outcome.refused:
            self._counters.alerts["failed", self.name] += 1
            self._fail(outcome.reason)
        self._settle(rows, outcome)
        return outcome.sent or outcome.refused

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._failure = reason
        if self._failing_since_s is None:
            self._failing_since_s = time.time()
            _LOG.warning("%s: an alert was not delivered: %s", self.name, reason)

    def _rest(self) -> None:
        """Let a receiver that is down have some peace."""
        self._not_before_s = time.time() + self._patience.wait_s(self._failures, 0.0)

    def _settle(self, rows: Sequence[RowMapping], outcome: Outcome) -> None:
        written = [self._settled_row(row, outcome) for row in rows]
        self._settled.update(row["row_number"] for row in rows if outcome.sent or outcome.refused)
        done = self._store.settle_notices(written)
        try:
            # Before the next look: what is not written as sent would be read as waiting.
            done.result(_STORE_S)
        except concurrent.futures.TimeoutError:
            return
        self._settled.difference_update(row["row_number"] for row in rows)

    def _settled_row(self, row: RowMapping, outcome: Outcome) -> Row:
        now_s = time.time()
        tries = row["tries"] + 1
        given_up = outcome.refused or now_s - row["created_ns"] / 1e9 > self._patience.give_up_s
        state = "sent" if outcome.sent else "dead" if given_up else "waiting"
        if state == "dead":
            self._counters.alerts["given_up", self.name] += 1
            self._dead.append((now_s, outcome.reason))
            _LOG.error("%s: gave up on %s: %s", self.name, row["key"], outcome.reason)
        wait_s = self._patience.wait_s(tries, outcome.retry_after_s) if state == "waiting" else 0.0
        settled: dict[str, Any] = {
            "p_number": row["row_number"],
            "p_state": state,
            "p_tries": tries,
            "p_due_ns": to_ns(now_s + wait_s),
            "p_settled_ns": 0 if state == "waiting" else to_ns(now_s),
            "p_error": outcome.reason[:500],
        }
        return settled
