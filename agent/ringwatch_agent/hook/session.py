"""The hook in one process: installs the patches, joins the agent, says goodbye. One session a process."""

# ruff: noqa: ANN401  functions of torch are passed through as they are; mypy does not follow torch

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator
from time import monotonic_ns
from types import TracebackType
from typing import Any, Final

from ringwatch_agent.hook.channel import Channel, agent_may_listen
from ringwatch_agent.hook.collectives import Collectives
from ringwatch_agent.hook.ddp import ReducerWatch
from ringwatch_agent.hook.groups import Groups
from ringwatch_agent.hook.identity import Identity, identify
from ringwatch_agent.hook.loop import Loop
from ringwatch_agent.hook.patches import Patches, Watch
from ringwatch_agent.hook.recorder import Recorder
from ringwatch_agent.hook.ring_writer import RingWriter
from ringwatch_proto.layout import StepFlag
from ringwatch_proto.ring import pack_amounts

# How often a step's end looks whether the agent is still, or again, there: a few system calls each time.
_RETRY_S: Final = 5.0
_REASON_LENGTH: Final = 200
_FLOAT_MAX: Final = 3.4e38


class Session:
    """Patches, recorder and channel of this process."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.collectives = Collectives(self.watch)
        self.loop = Loop(self.watch, self.collectives.sweep, self.step_ended)
        self._reducers = ReducerWatch(self.watch, self.collectives)
        self._patches: Patches | None = None
        self._identity: Identity | None = None
        self._channel: Channel | None = None
        self._ring: RingWriter | None = None
        self._reason = "finished"
        self.noted_amounts = 0
        self._steps = 0
        self._next_try_ns = 0
        self._retry_ns = int(_retry_s() * 1e9)

    def install(self) -> None:
        """Replace what must be replaced in torch; once."""
        if self._patches is not None:
            return
        import torch.distributed

        self._patches = patches = Patches()
        self.loop.install(patches)
        if torch.distributed.is_available():
            self.collectives.install(patches)
            self._reducers.install(patches)
            for owner in (torch.distributed, torch.distributed.distributed_c10d):
                patches.replace(owner, "init_process_group", self._joining)

    def adopt(self, model: object) -> None:
        """Watch a DistributedDataParallel that exists already; anything else is left alone."""
        if model is not None:
            self._reducers.adopt(model)

    def uninstall(self) -> None:
        """Put torch back as it was and let go of the agent without a goodbye."""
        self.drop()
        if self._patches is not None:
            self._patches.undo()
            self._patches = None

    def join(self, rank: int | None = None, world_size: int | None = None, backend: str = "") -> None:
        """Tell the agent who we are, when we know it; at most one connection attempt."""
        before, now = self._identity, identify(rank, world_size, backend)
        self._identity = now = now or before
        if now is None:
            return
        if before is not None and (before.rank, before.world_size) != (now.rank, now.world_size):
            self._say_goodbye("joins again with another rank")
        if self.watch.recorder is None:
            self._connect(now)

    def join_initialized(self) -> None:
        """Join as the rank that torch.distributed says, when it is initialized."""
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            self.join(distributed.get_rank(), distributed.get_world_size(), distributed.get_backend())

    def step_ended(self, loss: float, amounts: int = 0, flags: int = 0) -> None:
        """Count a step, and now and then look after the agent."""
        self._steps += 1
        amounts, self.noted_amounts = amounts or self.noted_amounts, 0
        recorder = self.watch.recorder
        if recorder is not None:
            self.collectives.sweep()
            recorder.step_end(loss, amounts, flags)
        now = monotonic_ns()
        if now >= self._next_try_ns:
            self._next_try_ns = now + self._retry_ns
            self._look_after_agent()

    def drop(self) -> None:
        """Stop recording and close the channel."""
        self.watch.recorder = None
        self.collectives.forget()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._ring = None

    def leave(self) -> None:
        """Say goodbye at the end of the interpreter."""
        self._say_goodbye(self._reason)

    def note_exception(self, kind: type[BaseException], error: BaseException) -> None:
        """Remember what ended the process, first line only."""
        line = str(error).splitlines()[:1]
        self._reason = f"exception: {kind.__name__}" + (f": {line[0]}" if line else "")
        self._reason = self._reason[:_REASON_LENGTH]

    def forget_parent(self) -> None:
        """In a forked child: write nothing, and do not keep the parent's connection open."""
        self.drop()
        self._identity = None

    def _say_goodbye(self, reason: str) -> None:
        recorder, channel = self.watch.recorder, self._channel
        if recorder is not None and channel is not None:
            recorder.ended()
            channel.leave(reason, self.watch.faults)
        self.drop()

    def _connect(self, identity: Identity) -> None:
        self._next_try_ns = monotonic_ns() + self._retry_ns
        if not agent_may_listen():
            return
        ring = RingWriter()
        recorder = Recorder(ring, self._steps)
        channel = Channel.connect(identity, ring.fd)
        ring.close_file()
        if channel is None:
            return
        self._channel, self._ring = channel, ring
        self.collectives.groups = Groups(channel.tell_communicator)
        self.watch.recorder = recorder

    def _look_after_agent(self) -> None:
        if self._channel is not None and not self._channel.is_open():
            self.drop()
        if self._channel is None and self._identity is not None:
            self._connect(self._identity)

    def _joining(self, original: Any) -> Any:
        def init_process_group(*arguments: Any, **named: Any) -> Any:
            backend = arguments[0] if arguments else named.get("backend")
            with contextlib.suppress(OSError, ValueError):
                self.join(named.get("rank"), named.get("world_size"), str(backend or ""))
            result = original(*arguments, **named)
            with contextlib.suppress(OSError, ValueError):
                self.join_initialized()
            return result

        return init_process_group


def _retry_s() -> float:
    """Return RINGWATCH_RETRY_S, or what stands for it when it is unset or no positive number."""
    try:
        value = float(os.environ.get("RINGWATCH_RETRY_S", ""))
    except ValueError:
        return _RETRY_S
    return value if 0.0 < value < 1e6 else _RETRY_S


_SESSION: Session | None = None


def attach(model: object = None) -> None:
    """Watch this training process; again is harmless.

    Call it before the model is wrapped, or give the DistributedDataParallel that exists already.
    """
    global _SESSION  # noqa: PLW0603  one session a process, as there is one torch
    if _SESSION is None:
        _SESSION = Session()
        atexit.register(_leave)
        os.register_at_fork(after_in_child=_after_fork)
        sys.excepthook = _noting(sys.excepthook)
    _SESSION.install()
    _SESSION.adopt(model)
    _SESSION.join_initialized()


def detach() -> None:
    """Stop watching and put torch back as it was."""
    if _SESSION is not None:
        _SESSION.leave()
        _SESSION.uninstall()


@contextlib.contextmanager
def pause(name: str = "") -> Iterator[None]:  # noqa: ARG001  the name is for the reader of the job
    """Say that the job pauses on purpose: a checkpoint, an evaluation."""
    recorder = _SESSION.watch.recorder if _SESSION is not None else None
    if recorder is None:
        yield
        return
    recorder.pause_begin(int(StepFlag.TAGGED_PAUSE))
    try:
        yield
    finally:
        recorder.pause_end()


def step(loss: float | None = None, tokens: float | None = None, work: float | None = None) -> None:
    """Mark the end of a step; from then on optimizers mark none. All are plain numbers.

    ``tokens`` is what this rank's batch held, ``work`` the sum of its squared sequence lengths: with either,
    ranks that had more to do are told from ranks that are slow.
    """
    if _SESSION is None:
        return
    _SESSION.loop.marked_by_job = True
    value = float("nan") if loss is None else float(loss)
    broken = loss is not None and not -_FLOAT_MAX <= value <= _FLOAT_MAX
    amounts = 0 if tokens is None and work is None else pack_amounts(_amount(tokens), _amount(work))
    _SESSION.step_ended(
        float("nan") if broken else value, amounts, int(StepFlag.LOSS_NOT_FINITE) if broken else 0
    )


def note(tokens: float | None = None, work: float | None = None) -> None:
    """Tell what the step in progress has to do, where an optimizer marks its end. See ``step``."""
    if _SESSION is not None:
        _SESSION.noted_amounts = pack_amounts(_amount(tokens), _amount(work))


def _amount(value: float | None) -> float:
    """Return an amount that fits a float32; what is absent or no amount is NaN."""
    number = float("nan") if value is None else float(value)
    return number if 0.0 < number <= _FLOAT_MAX else float("nan")


def _leave() -> None:
    if _SESSION is not None:
        _SESSION.leave()


def _after_fork() -> None:
    if _SESSION is not None:
        _SESSION.forget_parent()


def _noting(original: Any) -> Any:
    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if _SESSION is not None:
            _SESSION.note_exception(kind, error)
        original(kind, error, traceback)

    return excepthook
