"""Signals that end lab and demo: all become KeyboardInterrupt, and none cuts the cleaning short."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def raise_on_signals() -> None:
    """Let each ending signal raise KeyboardInterrupt in the main thread: also a closed terminal."""
    for number in _ENDING:
        signal.signal(number, _interrupt)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore ending signals within: a second ctrl-c must not leave half of it behind."""
    before = [signal.signal(number, signal.SIG_IGN) for number in _ENDING]
    try:
        yield
    finally:
        for number, handler in zip(_ENDING, before, strict=True):
            signal.signal(number, handler)
