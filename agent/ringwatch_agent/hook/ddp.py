"""Times the all-reduces that DDP's C++ reducer starts, without touching a gradient.

The reducer is given a process group that passes everything on to the real one and looks at the clock. A
communication hook would see the same, but costs a pass over all gradients (DDP then divides by the world
size in a second pass instead of while it copies), divides differently from the default path when the
world size is no power of two, and takes the one place that the job's own hook may want.
"""

# ruff: noqa: ANN401  functions of torch are passed through as they are; mypy does not follow torch

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from ringwatch_agent.hook.collectives import Collectives
from ringwatch_agent.hook.cuda import is_timeable
from ringwatch_agent.hook.patches import Patches, Watch
from ringwatch_proto.layout import Collective


class ReducerWatch:
    """Makes DDP's reducers talk through a watched process group."""

    def __init__(self, watch: Watch, collectives: Collectives) -> None:
        self._watch = watch
        self._collectives = collectives
        # The reducer holds the C++ half of the watched group; this keeps the Python half alive as long.
        self._groups: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._make_group: Any = None

    def install(self, patches: Patches) -> None:
        """Replace the constructor of the reducer and mark the begin of each forward pass."""
        from torch import distributed
        from torch._C._distributed_c10d import ProcessGroup
        from torch.nn.parallel import DistributedDataParallel

        self._make_group = _watched_group_class(ProcessGroup, self._watch, self._collectives)
        patches.replace(distributed, "Reducer", self._watched_reducer)
        patches.replace(DistributedDataParallel, "_pre_forward", self._marked_forward)

    def adopt(self, model: Any) -> None:
        """Watch the reducer of a DDP that was made before the hook was attached, between two steps."""
        from torch.nn.parallel import DistributedDataParallel

        if self._make_group is None or not isinstance(model, DistributedDataParallel):
            return
        reducer = model.reducer
        if reducer in self._groups:
            return
        try:
            watched = self._make_group(model.process_group)
            reducer._update_process_group(watched)  # noqa: SLF001  there is no public name for it
            self._groups[reducer] = watched
        except Exception:  # noqa: BLE001  a torch without it leaves this model unwatched; counted
            self._watch.faults += 1

    def _watched_reducer(self, original: Any) -> Any:
        from torch._C._distributed_c10d import ProcessGroup

        make_group = self._make_group

        def make_reducer(*arguments: Any, **named: Any) -> Any:
            try:
                watched = None
                passed = list(arguments)
                for at, argument in enumerate(passed):
                    if isinstance(argument, ProcessGroup):
                        passed[at] = watched = make_group(argument)
                reducer = original(*passed, **named)
                if watched is not None:
                    self._groups[reducer] = watched
            except Exception:  # noqa: BLE001  a torch that does not take our group gets its own; counted
                self._watch.faults += 1
                return original(*arguments, **named)
            return reducer

        return make_reducer

    def _marked_forward(self, original: Any) -> Any:
        watch = self._watch

        def pre_forward(model: Any, *inputs: Any, **named: Any) -> Any:
            recorder = watch.recorder
            if recorder is not None:
                recorder.forward()
            return original(model, *inputs, **named)

        return pre_forward


def _watched_group_class(base: Any, watch: Watch, collectives: Collectives) -> Any:
    """Return the class of watched groups; a function, since torch is only imported when it is used."""
    kind = int(Collective.ALL_REDUCE)
    # The method below the replaced one, so that nothing is counted twice.
    raw_allreduce = collectives.allreduce

    class WatchedGroup(base):  # type: ignore[misc]
        """Passes on to the real group; only ``allreduce`` and ``broadcast`` are ever called by a reducer."""

        def __init__(self, real: Any) -> None:
            super().__init__(real.rank(), real.size())
            self._real = real
            self._groups: Any = None
            self._communicator: Any = None
            self._name = real.name()
            kinds = base.BackendType.__members__
            own = kinds.get(str(self._name).upper(), base.BackendType.CUSTOM)
            for device in real._device_types:  # noqa: SLF001
                backend = real._get_backend(device)  # noqa: SLF001
                self._register_backend(device, kinds.get(backend.name().upper(), own), backend)
            # torch 2.4 has no such method, and needs none.
            if hasattr(self, "_set_default_backend"):
                self._set_default_backend(own)

        def getBackendName(self) -> Any:  # noqa: N802  the name that C++ calls
            return self._name

        def broadcast(self, *arguments: Any) -> Any:
            return self._real.broadcast(*arguments)

        def allreduce(self, tensors: Any, *options: Any) -> Any:
            recorder, groups = watch.recorder, collectives.groups
            if recorder is None or groups is None:
                return raw_allreduce(self._real, tensors, *options)
            try:
                if groups is not self._groups:
                    self._groups, self._communicator = groups, groups.of(self._real)
                bucket = tensors[0]
                size, on_gpu = bucket.nbytes, bucket.is_cuda and is_timeable(bucket)
            except Exception:  # noqa: BLE001  nothing of ours may reach the job; it is counted
                watch.faults += 1
                return raw_allreduce(self._real, tensors, *options)
            if on_gpu:
                launch = partial(raw_allreduce, self._real, tensors, *options)
                return collectives.run_on_gpu(self._communicator, kind, size, launch)
            token = recorder.begin(self._communicator, kind, size)
            try:
                work = raw_allreduce(self._real, tensors, *options)
            except BaseException:
                recorder.abandon(token)
                raise
            collectives.end_with(work, token)
            return work

    return WatchedGroup
