"""Sees the training loop: the data loader's waits, the optimizer's steps, the saves."""

# ruff: noqa: ANN401  functions of torch are passed through as they are; mypy does not follow torch

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from ringwatch_agent.hook.patches import Patches, Watch

# A step is a step of the first optimizer that was seen. One that has gone, or that stood still while
# others stepped so often, loses that place. Counted in steps, so that all ranks change at the same one.
_PATIENCE_STEPS: Final = 64


class Loop:
    """Marks steps, data waits and saves."""

    def __init__(self, watch: Watch, sweep: Callable[[], None], on_step: Callable[[float], None]) -> None:
        self._watch = watch
        self._sweep = sweep
        self._on_step = on_step
        self._leader: weakref.ref[Any] | None = None
        self._others = 0
        self.thread = threading.get_ident()
        self.marked_by_job = False

    def install(self, patches: Patches) -> None:
        """Replace the data loader's ``__next__`` and ``torch.save``; hook into all optimizers."""
        import torch
        from torch.optim.optimizer import (
            register_optimizer_step_post_hook,
            register_optimizer_step_pre_hook,
        )
        from torch.utils.data import dataloader

        patches.replace(dataloader._BaseDataLoaderIter, "__next__", self._timed_next)  # noqa: SLF001
        patches.replace(torch, "save", self._paused)
        patches.on_undo(register_optimizer_step_pre_hook(_untraced(self._stepping)).remove)
        patches.on_undo(register_optimizer_step_post_hook(_untraced(self._stepped)).remove)

    def _stepping(self, optimizer: Any) -> None:  # noqa: ARG002  the hook's signature
        if self._watch.recorder is not None:
            self._sweep()

    def _stepped(self, optimizer: Any) -> None:
        if self.marked_by_job:
            return
        leader = self._leader() if self._leader is not None else None
        if leader is optimizer:
            self._others = 0
        elif leader is None or self._others >= _PATIENCE_STEPS:
            self._leader = weakref.ref(optimizer)
            self._others = 0
        else:
            self._others += 1
            return
        self.thread = threading.get_ident()
        self._on_step(float("nan"))

    def _timed_next(self, original: Any) -> Any:
        watch = self._watch
        identify = threading.get_ident

        def __next__(iterator: Any) -> Any:  # noqa: N807  it takes the place of one
            recorder = watch.recorder
            if recorder is None or identify() != self.thread:
                return original(iterator)
            self._sweep()
            recorder.data_begin()
            try:
                return original(iterator)
            finally:
                recorder.data_end()

        return __next__

    def _paused(self, original: Any) -> Any:
        watch = self._watch

        def save(*arguments: Any, **named: Any) -> Any:
            recorder = watch.recorder
            if recorder is None or threading.get_ident() != self.thread:
                return original(*arguments, **named)
            self._sweep()
            recorder.pause_begin(0)
            try:
                return original(*arguments, **named)
            finally:
                recorder.pause_end()

        return save


def _untraced(function: Callable[[Any], None]) -> Any:
    """Return a hook of an optimizer that torch.compile leaves alone instead of tracing the clock."""

    def hook(optimizer: Any, arguments: Any, named: Any) -> None:  # noqa: ARG001
        function(optimizer)

    hook._torchdynamo_disable = True  # type: ignore[attr-defined]  # noqa: SLF001
    return hook
