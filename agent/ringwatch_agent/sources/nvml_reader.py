"""The NVML reader process: everything that can be stuck in the driver, and nothing else.

Started by ``nvml_process.py`` as ``python -m``; frames come in on stdin and go out on stdout. Its
main thread never calls NVML, so that it can always say what does not answer. It ends when its
stdin does.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_crew import Crew
from ringwatch_agent.sources.nvml_events import EventWatch
from ringwatch_agent.sources.nvml_gpu import Gpu
from ringwatch_agent.sources.nvml_identity import Identity
from ringwatch_agent.sources.pipe_frames import Frame, Json, read_frame, write_frame

# How long all rounds together may hold up the answer; what is later is told by the next one.
_ROUND_S: Final = 0.5
_STACK_BYTES: Final = 256 << 10


class Reader:
    """The state of the process: what start-up came to, and the GPUs.

    ``columns`` are the signals of a row in the order in which they are wanted.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._column = {name: at for at, name in enumerate(columns)}
        self._started_s = time.monotonic()
        self._ready = threading.Event()
        self._trouble: Json = {}
        self._driver = ""
        self._library: nvml.Library | None = None
        self._events: EventWatch | None = None
        self._gpus: list[Gpu] = []
        self._crew = Crew()
        self._epoch = 0
        threading.Thread(target=self._start, name="nvml-start", daemon=True).start()

    def answer(self, request: Json) -> Frame:
        """Return the answer to a request; only ``reset_clocks`` ever blocks on the driver."""
        operation = request.get("op")
        if operation == "start":
            self._ready.wait(float(request.get("wait_s", 0.0)))
        if self._trouble:
            return Frame(self._trouble)
        if not self._ready.is_set():
            return Frame({"starting_s": time.monotonic() - self._started_s})
        if operation == "reset_clocks":
            return Frame(self._reset_clocks(str(request.get("gpu"))))
        if operation == "missing":
            return Frame(self._missing())
        return self._read(request) if operation == "read" else Frame({})

    def _start(self) -> None:
        try:
            library = nvml.Library()
            library.call(("nvmlInitWithFlags",), ctypes.c_uint(0))
            count = ctypes.c_uint()
            library.call(("nvmlDeviceGetCount_v2",), ctypes.byref(count))
        except nvml.NvmlFailed as error:
            absent = error.code in (nvml.LIBRARY_NOT_FOUND, nvml.DRIVER_NOT_LOADED)
            self._trouble = {"error": f"NVML: {error}", "unsupported": absent, "code": error.code}
            self._ready.set()
            return
        self._library, self._events = library, EventWatch(library)
        self._driver = library.text(("nvmlSystemGetDriverVersion",))
        self._gpus = [Gpu(library, index, self._column, self._identified) for index in range(count.value)]
        self._ask_all(time.monotonic())
        self._ready.set()

    def _identified(self, gpu: Gpu) -> None:
        self._epoch += 1
        if self._events is not None:
            self._events.add(gpu)

    def _read(self, request: Json) -> Frame:
        for id in request.get("spare", ()):
            self._spare(str(id))
        self._ask_all(time.monotonic())
        now_s = time.monotonic()
        now = [gpu.now(now_s) for gpu in self._gpus]
        events = self._events
        words: Json = {"epoch": self._epoch, "xids": events.take() if events else []}
        if request.get("epoch") != self._epoch:
            words |= {"driver": self._driver, "devices": self._devices()}
        why = {gpu.identity.id: each.why for gpu, each in zip(self._gpus, now, strict=True) if each.why}
        down = {
            gpu.identity.id: each.links_down
            for gpu, each in zip(self._gpus, now, strict=True)
            if each.links_down
        }
        words |= {"why": why, "links_down": down, "xids_lost": events.take_lost() if events else 0}
        if now and all(each.reinitialise for each in now):
            words["reinitialise"] = True
        return Frame(words, b"".join(each.rows for each in now))

    def _ask_all(self, now_s: float) -> None:
        self._crew.run([gpu for gpu in self._gpus if gpu.take_turn(now_s)], now_s + _ROUND_S)

    def _devices(self) -> list[Json]:
        identities = [each for gpu in self._gpus for each in (gpu.identity, *gpu.parts)]
        return [_device(identity) for identity in identities]

    def _missing(self) -> Json:
        if self._library is None:
            return {"missing": {}}
        return {
            "missing": {
                gpu.identity.id: {
                    name: self._library.error_text(code) for name, code in gpu.round.missing().items()
                }
                for gpu in self._gpus
                if gpu.round is not None
            }
        }

    def _named(self, id: str) -> Gpu | None:
        return next((gpu for gpu in self._gpus if gpu.identity.id == id), None)

    def _spare(self, id: str) -> None:
        gpu = self._named(id)
        if gpu is not None:
            gpu.spare()

    def _reset_clocks(self, id: str) -> Json:
        gpu = self._named(id)
        if gpu is None or gpu.handle is None or self._library is None:
            return {"error": f"no GPU {id} here"}
        try:
            self._library.call(("nvmlDeviceResetGpuLockedClocks",), gpu.handle)
        except nvml.NvmlFailed as error:
            return {"error": f"nvmlDeviceResetGpuLockedClocks: {error}"}
        return {"done": True}


def _device(identity: Identity) -> Json:
    id, name, pci_address, model, facts = identity
    return {"id": id, "name": name, "pci_address": pci_address, "model": model, "facts": dict(facts)}


def main() -> None:
    """Serve requests until stdin ends. A write verb gets a thread, since it may never come back.

    The first frame says the columns.
    """
    threading.stack_size(_STACK_BYTES)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    first = read_frame(requests)
    if first is None:
        return
    reader, writing = Reader(first.words["columns"]), threading.Lock()

    def serve(request: Json) -> None:
        words, numbers = reader.answer(request)
        with writing:
            write_frame(answers, words | {"id": request.get("id")}, numbers)

    threaded: Any = {"start", "reset_clocks"}
    while (request := read_frame(requests)) is not None:
        if request.words.get("op") in threaded:
            threading.Thread(target=serve, args=(request.words,), daemon=True).start()
        else:
            serve(request.words)
    os._exit(0)  # threads that are stuck in the driver would hold up an ordinary end


if __name__ == "__main__":
    main()
