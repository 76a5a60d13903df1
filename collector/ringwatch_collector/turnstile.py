"""How many messages go through in one turn of the event loop. It holds messages up and reads none.

gRPC's asyncio server accepts one call a turn. When a fleet comes back with full spools, every stream has a
message ready at every turn: turns grow to tenths of a second, and thousands of nodes that wait to be
accepted would wait for minutes. Short turns let them in between.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turnstile:
    """Lets ``most`` through in each turn; the others wait in line, first come, first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most
        self._line: deque[asyncio.Future[None]] = deque()
        self._turning = False

    def take(self) -> asyncio.Future[None] | None:
        """Go through; return what to wait for when this turn is full."""
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn)
        if self._left and not self._line:
            self._left -= 1
            return None
        waiter = loop.create_future()
        self._line.append(waiter)
        return waiter

    def _turn(self) -> None:
        """Begin a turn: let the first of the line through, and come back while there is a line."""
        self._left = self._most
        while self._line and self._left:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._left -= 1
        self._turning = bool(self._line)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)
