"""How much one caller may ask and how long a wrong credential waits for its answer. It knows no roles."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ringwatch_collector.pace import Pace

# Callers and peers that are remembered; the one that was quiet for longest makes room.
_MOST_KNOWN: Final = 4096
_FIRST_DELAY_S: Final = 0.25
_FORGIVEN_S: Final = 60.0
# Answers held back at once. A flood beyond that is answered at once: holding it back would cost us memory.
_MOST_HELD: Final = 256


class CallRates:
    """A bucket of calls for each caller."""

    def __init__(self, per_s: float, burst: int, monotonic_s: Callable[[], float]) -> None:
        self._per_s, self._burst, self._monotonic_s = per_s, burst, monotonic_s
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def allows(self, caller: str) -> bool:
        """Count a call and return whether it is within the caller's rate."""
        pace = self._paces.get(caller)
        if pace is None:
            pace = self._paces[caller] = Pace(self._per_s, self._burst, self._monotonic_s)
            if len(self._paces) > _MOST_KNOWN:
                self._paces.popitem(last=False)
        self._paces.move_to_end(caller)
        return pace.offer()


class Failures:
    """Holds back the answer to a wrong credential, longer with each that comes from one address.

    A right one is never held back: an address can stand for a whole fleet.
    """

    def __init__(self, longest_s: float, monotonic_s: Callable[[], float]) -> None:
        self._longest_s, self._monotonic_s = longest_s, monotonic_s
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._held = 0

    def note(self, address: str) -> float:
        """Count a failure and return the seconds that its answer shall wait."""
        now_s = self._monotonic_s()
        count, last_s = self._seen.pop(address, (0, now_s))
        count = 1 if now_s - last_s > _FORGIVEN_S else count + 1
        self._seen[address] = (count, now_s)
        if len(self._seen) > _MOST_KNOWN:
            self._seen.popitem(last=False)
        return min(self._longest_s, _FIRST_DELAY_S * 2.0 ** min(count - 1, 16))

    async def hold(self, address: str) -> None:
        """Return when the answer to a failure may go out."""
        wait_s = self.note(address)
        if self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._held -= 1


def address_of(peer: str) -> str:
    """Return the address in ``ipv4:192.0.2.7:4711`` or ``ipv6:%5B::1%5D:4711``, without the port."""
    return peer.rpartition(":")[0] if peer.startswith("ipv") else peer
