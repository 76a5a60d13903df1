"""Waits for what the driver reports by itself, Xids above all, and says of which GPU. Judges nothing."""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from typing import Final

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_gpu import Gpu
from ringwatch_agent.sources.pipe_frames import Json

_WAIT_MS: Final = 5000
_RETRY_S: Final = 1.0
_MOST: Final = 256
# The GPU's own firmware has stopped answering: each call may now hold the driver for 6 to 45 s.
_FIRMWARE_XIDS: Final = frozenset({119, 120})


class EventWatch:
    """One thread that waits in NVML; GPUs are added as they say who they are."""

    def __init__(self, library: nvml.Library) -> None:
        self.lost = 0
        self._library = library
        self._set = ctypes.c_void_p()
        self._gpus: dict[int, Gpu] = {}
        self._seen: queue.Queue[Json] = queue.Queue(_MOST)
        self._waits = False
        try:
            library.call(("nvmlEventSetCreate",), ctypes.byref(self._set))
        except nvml.NvmlFailed:
            return  # not on this board or in this container: the kernel log tells Xids too
        self._waits = True
        threading.Thread(target=self._run, name="nvml-events", daemon=True).start()

    def add(self, gpu: Gpu) -> None:
        """Have the events of a GPU told; called on the thread that asks the GPU, since it may block."""
        if not self._waits or gpu.handle is None or gpu.handle.value in self._gpus:
            return
        supported = ctypes.c_ulonglong()
        wanted = nvml.EVENT_XID | nvml.EVENTS_OF_TROUBLE
        try:
            # One bit that is not supported would leave none registered.
            self._library.call(("nvmlDeviceGetSupportedEventTypes",), gpu.handle, ctypes.byref(supported))
            wanted &= supported.value
            self._library.call(
                ("nvmlDeviceRegisterEvents",), gpu.handle, ctypes.c_ulonglong(wanted), self._set
            )
        except nvml.NvmlFailed:
            return
        self._gpus[gpu.handle.value or 0] = gpu

    def take(self) -> list[Json]:
        """Return the Xids since the last call."""
        return [self._seen.get_nowait() for _ in range(self._seen.qsize())]

    def take_lost(self) -> int:
        """Return how many there was no room for since the last call."""
        lost, self.lost = self.lost, 0
        return lost

    def _run(self) -> None:
        wait = self._library.function("nvmlEventSetWait_v2", "nvmlEventSetWait")
        event = (ctypes.c_char * nvml.EVENT_DATA.size)()
        while wait is not None:
            code = wait(self._set, event, ctypes.c_uint(_WAIT_MS))
            if code == nvml.SUCCESS:
                self._note(*nvml.EVENT_DATA.unpack_from(event))
            elif code in nvml.REINITIALISE:
                return  # whoever asks is told so by the readings
            elif code != nvml.TIMEOUT:
                time.sleep(_RETRY_S)

    def _note(self, handle: int, kind: int, data: int, instance: int, part: int) -> None:
        gpu = self._gpus.get(handle)
        if gpu is not None:
            gpu.hasten()
        if not kind & nvml.EVENT_XID:
            return
        if gpu is not None and data in _FIRMWARE_XIDS:
            gpu.spare()
        xid: Json = {"gpu": gpu.identity.id if gpu else "", "code": data, "wall_ns": time.time_ns()}
        if instance != 0xFFFFFFFF:
            xid |= {"gpu_instance": instance, "compute_instance": part}
        try:
            self._seen.put_nowait(xid)
        except queue.Full:
            self.lost += 1
