"""Times collectives where torch's Python code starts them and waits for them.

Two choke points: the methods of ``ProcessGroup``, which every function of ``torch.distributed`` and FSDP
calls whatever name it was imported by, and ``Work.wait``. Replacing the functions of
``torch.distributed`` instead would miss names imported before, count nested calls twice and keep
``torch.compile`` from recognising them. DDP's reducer calls from C++; see ``ddp.py``.
"""

# ruff: noqa: ANN401  functions of torch are passed through as they are; mypy does not follow torch

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, Final

from ringwatch_agent.hook.cuda import CudaTimer, is_timeable
from ringwatch_agent.hook.groups import Groups
from ringwatch_agent.hook.patches import Patches, Watch
from ringwatch_agent.hook.recorder import Communicator
from ringwatch_proto.layout import Collective


def _total(tensors: Any) -> int:
    """Return the bytes of a tensor, or of tensors in lists of lists."""
    if isinstance(tensors, (list, tuple)):
        return sum(_total(item) for item in tensors)
    return int(tensors.nbytes)


def _first(_: Any, arguments: tuple[Any, ...]) -> int:
    return _total(arguments[0])


def _second(_: Any, arguments: tuple[Any, ...]) -> int:
    return _total(arguments[1])


def _second_of_all(group: Any, arguments: tuple[Any, ...]) -> int:
    """One rank's part times the ranks: only the root holds the whole."""
    return _total(arguments[1]) * int(group.size())


def _first_of_all(group: Any, arguments: tuple[Any, ...]) -> int:
    return _total(arguments[0]) * int(group.size())


def _none(_: Any, __: tuple[Any, ...]) -> int:
    return 0


def _on_gpu(arguments: tuple[Any, ...]) -> bool:
    """Return whether the collective runs on a GPU; a barrier has no tensor and the host waits for it."""
    first = arguments[0] if arguments else None
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return hasattr(first, "is_cuda") and is_timeable(first)


Size = Callable[[Any, tuple[Any, ...]], int]

# Method of ProcessGroup -> kind, and where the total bytes are: the larger side, as nccl-tests counts
# (https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md). Names of torch 2.4 to 2.13.
METHODS: Final[tuple[tuple[str, Collective, Size], ...]] = (
    ("allreduce", Collective.ALL_REDUCE, _first),
    ("allreduce_coalesced", Collective.ALL_REDUCE, _first),
    ("allgather", Collective.ALL_GATHER, _second_of_all),
    ("allgather_coalesced", Collective.ALL_GATHER, _second_of_all),
    ("_allgather_base", Collective.ALL_GATHER, _first),
    ("all_gather_single", Collective.ALL_GATHER, _first),
    ("allgather_into_tensor_coalesced", Collective.ALL_GATHER, _first),
    ("all_gather_single_coalesced", Collective.ALL_GATHER, _first),
    ("reduce_scatter", Collective.REDUCE_SCATTER, _second),
    ("_reduce_scatter_base", Collective.REDUCE_SCATTER, _second),
    ("reduce_scatter_single", Collective.REDUCE_SCATTER, _second),
    ("reduce_scatter_tensor_coalesced", Collective.REDUCE_SCATTER, _second),
    ("reduce_scatter_single_coalesced", Collective.REDUCE_SCATTER, _second),
    ("broadcast", Collective.BROADCAST, _first),
    ("alltoall", Collective.ALL_TO_ALL, _second),
    ("alltoall_base", Collective.ALL_TO_ALL, _second),
    ("all_to_all_single", Collective.ALL_TO_ALL, _second),
    ("barrier", Collective.BARRIER, _none),
    ("monitored_barrier", Collective.BARRIER, _none),
    ("reduce", Collective.REDUCE, _first),
    ("gather", Collective.GATHER, _second_of_all),
    ("scatter", Collective.SCATTER, _first_of_all),
    ("send", Collective.SEND, _first),
    ("recv", Collective.RECV, _first),
    ("recv_anysource", Collective.RECV, _first),
)


class Collectives:
    """Collectives that were begun and whose end somebody will wait for."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.groups: Groups | None = None
        # Work -> token, oldest first. A work that nobody waits for leaves by ``sweep``.
        self._works: dict[Any, int] = {}
        # Token -> future of a work that C++ waits for.
        self._futures: dict[int, Any] = {}
        self._timer = CudaTimer()
        self._get_future: Any = None
        self._add_done_callback: Any = None
        self.allreduce: Any = None

    def install(self, patches: Patches) -> None:
        """Replace the methods of ProcessGroup and Work."""
        from torch._C import Future
        from torch._C import _distributed_c10d as c10d

        self._add_done_callback = Future.add_done_callback
        # The methods as they were, for whoever notes begin and end by other means.
        self.allreduce = c10d.ProcessGroup.allreduce
        self._get_future = c10d.Work.get_future
        for name, kind, size in METHODS:
            if hasattr(c10d.ProcessGroup, name):
                patches.replace(c10d.ProcessGroup, name, partial(self._timed, name, int(kind), size))
        patches.replace(c10d.Work, "wait", self._timed_wait)
        patches.replace(c10d.Work, "get_future", self._watched_future)

    def end(self, token: int) -> None:
        """Note an end."""
        recorder = self._watch.recorder
        if recorder is not None:
            recorder.end(token)

    def end_with(self, work: Any, token: int) -> None:
        """Note the end when the future of ``work`` completes, on the thread that completes it."""
        self._futures[token] = future = self._get_future(work)
        self._add_done_callback(future, lambda _: self._completed(token, future))

    def run_on_gpu(self, communicator: Communicator, kind: int, size: int, launch: Callable[[], Any]) -> Any:
        """Launch a collective between two events on the GPU; ``sweep`` ends it when they have passed."""
        recorder = self._watch.recorder
        mark = self._timer.mark()
        if recorder is None or mark is None:
            return launch()
        token = recorder.begin(communicator, kind, size, on_gpu=True)
        try:
            work = launch()
        except BaseException:
            recorder.abandon(token)
            raise
        if work is None:
            self._close_on_gpu(token, mark)
        else:
            self._add_done_callback(self._get_future(work), lambda _: self._close_on_gpu(token, mark))
        return work

    def _close_on_gpu(self, token: int, mark: Any) -> None:
        if not self._timer.close(token, mark):
            self._abandon(token)

    def sweep(self) -> None:
        """Note the end of what has completed and nobody told us of.

        That is a work that nobody waited for, and one whose thread still waits for the interpreter lock,
        up to 5 ms while the training thread runs Python code.
        """
        for token, future in list(self._futures.items()):
            if future.done():
                self._completed(token, future)
        self._sweep_works()
        recorder = self._watch.recorder
        if recorder is not None:
            for token, seconds in self._timer.passed():
                recorder.end(token, seconds)

    def _sweep_works(self) -> None:
        works = self._works
        while works:
            work = next(iter(works))
            if not work.is_completed():
                return
            token = works.pop(work, 0)
            self.end(token)

    def forget(self) -> None:
        """Drop everything in flight: the agent has gone, or this is a forked child."""
        self._works.clear()
        self._futures.clear()
        self._timer.forget()
        self.groups = None

    def _timed(self, name: str, kind: int, size: Size, original: Any) -> Any:
        watch = self._watch

        def collective(group: Any, *arguments: Any, **named: Any) -> Any:
            recorder, groups = watch.recorder, self.groups
            if recorder is None or groups is None:
                return original(group, *arguments, **named)
            try:
                self._sweep_works()
                communicator, total = groups.of(group), size(group, arguments)
                on_gpu = _on_gpu(arguments)
            except Exception:  # noqa: BLE001  nothing of ours may reach the job; it is counted
                watch.faults += 1
                return original(group, *arguments, **named)
            if on_gpu:
                return self.run_on_gpu(
                    communicator, kind, total, partial(original, group, *arguments, **named)
                )
            token = recorder.begin(communicator, kind, total)
            try:
                work = original(group, *arguments, **named)
            except BaseException:
                self._abandon(token)
                raise
            if work is None:
                self.end(token)
            else:
                self._works[work] = token
            return work

        return _named(collective, name)

    def _completed(self, token: int, future: Any) -> None:
        # Not of a recorder that is no more: its tokens mean others now.
        if self._futures.get(token) is future:
            del self._futures[token]
            self.end(token)

    def _abandon(self, token: int) -> None:
        recorder = self._watch.recorder
        if recorder is not None and token:
            recorder.abandon(token)

    def _timed_wait(self, original: Any) -> Any:
        works = self._works

        def wait(work: Any, *arguments: Any, **named: Any) -> Any:
            token = works.pop(work, 0) if works else 0
            if not token:
                return original(work, *arguments, **named)
            try:
                result = original(work, *arguments, **named)
            except BaseException:
                self._abandon(token)
                raise
            self.end(token)
            return result

        return wait

    def _watched_future(self, original: Any) -> Any:
        works = self._works

        def get_future(work: Any) -> Any:
            future = original(work)
            token = works.pop(work, 0) if works else 0
            if token:
                self._futures[token] = future
                future.add_done_callback(lambda _: self._completed(token, future))
            return future

        return get_future


def _named(function: Any, name: str) -> Any:
    """Return ``function`` with ``name`` in its code.

    pybind11 keeps a Python override from calling itself through C++ by comparing the name of the calling
    frame's code with that of the method. Without this, a process group that is a Python subclass and does
    not override the method would recurse without end.
    """
    code = function.__code__.replace(co_name=name)
    renamed = FunctionType(code, function.__globals__, name, function.__defaults__, function.__closure__)
    renamed.__kwdefaults__ = function.__kwdefaults__
    return renamed
