"""The dead man's switch: a sign of life that stops when the collector cannot see. Looks at nothing."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

import httpx

from ringwatch_collector.alerts.http import outcome_of
from ringwatch_collector.counters import Counters

_LOG: Final = logging.getLogger("ringwatch.collector.alerts")


class Sight:
    """Whether the collector can see, as its own loop said last.

    The loop has to say so again and again: when it hangs, that is blindness too.
    """

    def __init__(self, lasts_s: float = 10.0) -> None:
        self._lasts_s = lasts_s
        self._said_s = -lasts_s
        self._blind = "the collector has not looked yet"

    def say(self, blind: str) -> None:
        """Say why the collector cannot see, empty when it can."""
        self._blind = blind
        self._said_s = time.monotonic()

    @property
    def blind(self) -> str:
        """Return why the collector cannot see, empty when it can."""
        if time.monotonic() - self._said_s > self._lasts_s:
            return "the collector's loop hangs"
        return self._blind

    def sees(self) -> bool:
        """Tell whether the collector can see."""
        return not self.blind


class Heartbeat:
    """Asks a URL every ``every_s`` seconds while the collector sees; on a thread of its own."""

    def __init__(
        self, http: httpx.Client, url: str, every_s: float, sight: Sight, counters: Counters
    ) -> None:
        self._http = http
        self._url = url
        self._every_s = every_s
        self._sight = sight
        self._counters = counters
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._withheld = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End after the beat that is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._http.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._counters.heartbeats[self._beat()] += 1
            # A start is blind until the first batches came: look again soon, not in half a minute.
            self._stopping.wait(min(1.0, self._every_s) if self._withheld else self._every_s)

    def _beat(self) -> str:
        blind = self._sight.blind
        if blind and not self._withheld:
            _LOG.warning("the heartbeat is withheld: %s", blind)
        self._withheld = blind
        if blind:
            return "withheld"
        try:
            return "sent" if outcome_of(self._http.get(self._url)).sent else "failed"
        except httpx.HTTPError:
            return "failed"
