"""The NVML reader process: everything that can be stuck in the driver, and nothing else.

Started by ``nvml_process.py`` as ``python -m``; frames come in on stdin and go out on stdout. Its
main thread never calls NVML, so that it can always say what does not answer. It ends when its
stdin does.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from typing import Final

import pynvml as nvml

from ringwatch_agent.sources.nvml_fields import ASKS, Ask, Handle
from ringwatch_agent.sources.nvml_gpu import GpuIdentity, GpuThread
from ringwatch_agent.sources.pipe_frames import Frame, read_frame, write_frame

# How long a round may hold up the answer; what is later is told by the next one.
_ROUND_S: Final = 0.5
_EVENT_WAIT_MS: Final = 1000
_MAX_XIDS: Final = 256


class Reader:
    """The state of the process: what start-up came to, a thread a GPU, Xids not yet told."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._ready = threading.Event()
        self._trouble: Frame = {}
        self._driver = ""
        self._gpus: list[GpuThread] = []
        self._handles: dict[str, Handle] = {}
        self._xids: queue.Queue[Frame] = queue.Queue(_MAX_XIDS)
        self._xids_lost = 0
        threading.Thread(target=self._start, name="nvml-start", daemon=True).start()

    def answer(self, request: Frame) -> Frame:
        """Return the answer to a request; never blocks on the driver."""
        operation = request.get("op")
        if operation == "start":
            self._ready.wait(float(request.get("wait_s", 0.0)))
        if self._trouble:
            return self._trouble
        if not self._ready.is_set():
            return {"starting_s": time.monotonic() - self._started_s}
        if operation == "reset_clocks":
            return self._reset_clocks(str(request.get("gpu")))
        return self._read()

    def _start(self) -> None:
        try:
            nvml.nvmlInit()
            self._driver = str(nvml.nvmlSystemGetDriverVersion())
            for index in range(nvml.nvmlDeviceGetCount()):
                self._add(index)
        except nvml.NVMLError as error:
            absent = (nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED)
            self._trouble = {"error": f"NVML: {error}", "unsupported": error.value in absent}
            return
        finally:
            self._ready.set()
        self._watch_xids()

    def _add(self, index: int) -> None:
        try:
            identity, handle = _identify(index)
        except nvml.NVMLError as error:
            # Lost before this process began: it has a row, and its trouble is its reading.
            nameless = GpuIdentity(id=f"gpu{index}", name=f"gpu{index}", pci_address="", model="")
            self._gpus.append(GpuThread(nameless, None, [_always(error)]))
            return
        self._handles[identity.id] = handle
        self._gpus.append(GpuThread(identity, handle, ASKS))

    def _read(self) -> Frame:
        for gpu in self._gpus:
            gpu.ask()
        until_s = time.monotonic() + _ROUND_S
        for gpu in self._gpus:
            gpu.wait(until_s - time.monotonic())
        lost, self._xids_lost = self._xids_lost, 0
        return {
            "driver": self._driver,
            "devices": [
                {
                    "id": gpu.identity.id,
                    "name": gpu.identity.name,
                    "pci_address": gpu.identity.pci_address,
                    "model": gpu.identity.model,
                }
                for gpu in self._gpus
            ],
            "gpus": [gpu.now() for gpu in self._gpus],
            "xids": [self._xids.get_nowait() for _ in range(self._xids.qsize())],
            "xids_lost": lost,
        }

    def _reset_clocks(self, gpu: str) -> Frame:
        if gpu not in self._handles:
            return {"error": f"no GPU {gpu} here"}
        try:
            nvml.nvmlDeviceResetGpuLockedClocks(self._handles[gpu])
        except nvml.NVMLError as error:
            return {"error": f"nvmlDeviceResetGpuLockedClocks: {error}"}
        return {"done": True}

    def _watch_xids(self) -> None:
        try:
            events = nvml.nvmlEventSetCreate()
            for handle in self._handles.values():
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
        except nvml.NVMLError:
            return  # not on this board or in this container: the kernel log tells Xids too
        at_handle = {_key(handle): id for id, handle in self._handles.items()}
        while True:
            try:
                event = nvml.nvmlEventSetWait(events, _EVENT_WAIT_MS)
            except nvml.NVMLError_Timeout:
                continue
            except nvml.NVMLError:
                return
            if event.eventType & nvml.nvmlEventTypeXidCriticalError:
                self._note_xid(at_handle.get(_key(event.device), ""), int(event.eventData))

    def _note_xid(self, gpu: str, code: int) -> None:
        try:
            self._xids.put_nowait({"gpu": gpu, "code": code, "wall_ns": time.time_ns()})
        except queue.Full:
            self._xids_lost += 1


def _key(handle: Handle) -> int:
    """Return the address behind a handle: handles of one GPU are different Python objects."""
    return int.from_bytes(bytes(handle), sys.byteorder)


def _identify(index: int) -> tuple[GpuIdentity, Handle]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    pci = nvml.nvmlDeviceGetPciInfo(handle)
    identity = GpuIdentity(
        id=str(nvml.nvmlDeviceGetUUID(handle)),
        name=f"gpu{index}",
        pci_address=f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0",
        model=str(nvml.nvmlDeviceGetName(handle)),
    )
    return identity, handle


def _always(error: nvml.NVMLError) -> Ask:
    def call(_: Handle) -> None:
        raise error

    return Ask(name="handle", call=call, gauges={}, counters={})


def main() -> None:
    """Serve requests until stdin ends. A write verb gets a thread, since it may never come back."""
    reader, writing = Reader(), threading.Lock()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer

    def serve(request: Frame) -> None:
        answer = {**reader.answer(request), "id": request.get("id")}
        with writing:
            write_frame(answers, answer)

    while (request := read_frame(requests)) is not None:
        if request.get("op") == "read":
            serve(request)
        else:
            threading.Thread(target=serve, args=(request,), daemon=True).start()
    os._exit(0)  # threads that are stuck in the driver would hold up an ordinary end


if __name__ == "__main__":
    main()
