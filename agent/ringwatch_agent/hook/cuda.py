# ruff: noqa: ANN401  functions of torch are passed through as they are; mypy does not follow torch
"""Times collectives on a GPU with CUDA events; never synchronises and holds no tensor.

A begin is an event on the current stream, so it passes when this rank's work before the collective is
done. The end is recorded in a callback of the collective's future: torch runs it at once, with current
streams that wait for the collective. Both are asked for later, and have usually passed by then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

# A job that never ends a step must not make us keep events without end; what goes over is not timed.
MAX_PENDING: Final = 4096


class CudaTimer:
    """Pairs of events that are on their way through the GPU, oldest first."""

    def __init__(self, make_event: Callable[[], Any] | None = None) -> None:
        self._make_event = make_event or _timing_event
        self._pending: deque[tuple[int, Any, Any]] = deque()
        self._free: list[Any] = []

    def mark(self) -> Any:
        """Return an event recorded on the current stream; None when no more are to be had."""
        if len(self._pending) >= MAX_PENDING:
            return None
        event = self._free.pop() if self._free else self._make_event()
        event.record()
        return event

    def close(self, token: int, begin: Any) -> bool:
        """Record the end of the collective ``token`` on the current stream; False when that cannot be."""
        end = self.mark()
        if end is None:
            return False
        self._pending.append((token, begin, end))
        return True

    def passed(self) -> list[tuple[int, float]]:
        """Return token and seconds of what has passed since the last call; asks and does not wait."""
        found = []
        pending = self._pending
        while pending and pending[0][2].query():
            token, begin, end = pending.popleft()
            found.append((token, begin.elapsed_time(end) * 1e-3))
            self._free += (begin, end)
        return found

    def forget(self) -> None:
        """Drop what is on its way."""
        self._pending.clear()


def is_timeable(tensor: Any) -> bool:
    """Return whether ``tensor`` is on a GPU whose stream takes events now, no graph being captured."""
    if not tensor.is_cuda:
        return False
    import torch

    return not torch.cuda.is_current_stream_capturing()


def _timing_event() -> Any:
    import torch

    return torch.cuda.Event(enable_timing=True)
