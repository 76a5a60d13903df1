"""Wakes those who follow the fleet whenever it was looked at again. It carries no data."""

from __future__ import annotations

import asyncio


class Bell:
    """Counts looks, and lets any number of followers wait for the next one."""

    def __init__(self) -> None:
        self.rung = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake everyone who waits."""
        self.rung += 1
        self._next.set()
        self._next = asyncio.Event()

    async def after(self, seen: int) -> int:
        """Return the current count once it is beyond ``seen``."""
        while self.rung <= seen:
            await self._next.wait()
        return self.rung
