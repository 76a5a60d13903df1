"""Keeps the memory of the agent's process small: one C heap for all threads, and what is free goes back.

Knows nothing of what lies in it. On a C library that is not glibc the C heap is left alone.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable
from typing import Final

GIVE_BACK_EVERY_S: Final = 60.0
# Numbers of <malloc.h>, see mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_OPTIONS: Final = (
    # By default eight heaps a core, each of which holds what its threads once needed. One lock is no
    # loss: nearly all that allocates here holds Python's own lock anyway.
    (_M_ARENA_MAX, 1),
    # Setting them keeps glibc from raising them for good after the first large block that is freed.
    (_M_MMAP_THRESHOLD, 128 << 10),
    (_M_TRIM_THRESHOLD, 256 << 10),
)


def keep_small() -> bool:
    """Set the heap up, before the first thread starts; return whether the C library took it all."""
    libc = ctypes.CDLL(None)
    try:
        taken = [libc.mallopt(option, value) for option, value in _OPTIONS]
    except AttributeError:  # not glibc
        return False
    return taken == [1] * len(taken)


def give_back() -> bool:
    """Give back what is free, of Python's and of the C heap; return whether the kernel got pages back."""
    # CPython keeps up to 2000 freed tuples of each length below 21 and never uses those again that were
    # made from a generator: three a beat, 350 bytes. Only a whole collection lets go of them, and an
    # agent whose objects are frozen makes so few others that none comes by itself.
    gc.collect()
    try:
        return bool(ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0)))
    except AttributeError:  # not glibc
        return False


async def give_back_now_and_then(
    every_s: float = GIVE_BACK_EVERY_S, give_back: Callable[[], object] = give_back
) -> None:
    """Give back until cancelled. It runs on the loop, where it takes about a millisecond."""
    while True:
        await asyncio.sleep(every_s)
        give_back()
