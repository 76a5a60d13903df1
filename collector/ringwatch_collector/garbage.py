"""Keeps Python's garbage collector from walking through a large fleet again and again. It frees nothing.

What a node brings, its Hello, its stream and its tasks, lives as long as the node. At 12,500 nodes a full
collection walks through millions of such objects and stops everything for a second or more.
"""

from __future__ import annotations

import gc
from typing import Final

_LARGE_NODES: Final = 1000
_GROWTH: Final = 1.1
# Short-lived objects are found by counting references; only cycles wait for these.
_THRESHOLDS: Final = (20_000, 20, 50)


class Garbage:
    """Exempts from collection what a growing fleet has made."""

    def __init__(self) -> None:
        self._nodes = 0

    def note(self, nodes: int) -> bool:
        """Exempt everything there is once the fleet is large and grew by a tenth; return whether it was done.

        A cycle that is garbage just then stays for good; there are few of those, and few such moments.
        """
        if nodes < _LARGE_NODES or nodes < _GROWTH * self._nodes:
            return False
        self._nodes = nodes
        gc.set_threshold(*_THRESHOLDS)
        gc.freeze()
        return True
