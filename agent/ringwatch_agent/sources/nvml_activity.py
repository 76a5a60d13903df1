"""What SMs, tensor cores and memory of one GPU did between two readings (NVML's GPM). Judges nothing."""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Final

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_asks import Ask, Place, Row

# GPM metric -> signal.
METRICS: Final = {
    2: "sm_activity_percent",
    3: "sm_occupancy_percent",
    5: "tensor_activity_percent",
    10: "dram_activity_percent",
}
_VERSION: Final = 1
# Room for all metrics of the header, though few are asked for: the driver is given what it is promised.
_MOST_METRICS: Final = 477
_HEAD: Final = struct.Struct("<IIQQ")
METRIC: Final = struct.Struct("<IId24x")


def activity(place: Place) -> Ask | None:
    """Ask for the activity since the reading before; Hopper and newer."""
    library = place.library
    take, compute = library.function("nvmlGpmSampleGet"), library.function("nvmlGpmMetricsGet")
    support, allocate = library.function("nvmlGpmQueryDeviceSupport"), library.function("nvmlGpmSampleAlloc")
    if take is None or compute is None or support is None or allocate is None:
        return None
    samples = [ctypes.c_void_p(), ctypes.c_void_p()]
    metrics = (ctypes.c_char * (_HEAD.size + METRIC.size * _MOST_METRICS))()
    columns = [place.column[signal] for signal in METRICS.values()]
    state = {"taken": -1}

    def begin() -> int:
        answer = (ctypes.c_uint * 2)(_VERSION, 0)
        code = support(place.handle, answer)
        if code != nvml.SUCCESS or not answer[1]:
            return code or nvml.NOT_SUPPORTED
        return max(allocate(ctypes.byref(sample)) for sample in samples)

    def ask(row: Row, _: float) -> int:
        if state["taken"] < 0:
            code = begin()
            if code != nvml.SUCCESS:
                return code
        # Two samples take turns: at a reading every ten seconds, the mean of that time.
        newest = (state["taken"] + 1) % 2
        code = take(place.handle, samples[newest])
        if code != nvml.SUCCESS:
            return code
        first, state["taken"] = state["taken"] < 0, newest
        return nvml.SUCCESS if first else evaluate(row, samples[1 - newest], samples[newest])

    def evaluate(row: Row, before: ctypes.c_void_p, now: ctypes.c_void_p) -> int:
        _HEAD.pack_into(metrics, 0, _VERSION, len(METRICS), before.value or 0, now.value or 0)
        for at, metric in enumerate(METRICS):
            METRIC.pack_into(metrics, _HEAD.size + at * METRIC.size, metric, 0, 0.0)
        code = compute(ctypes.byref(metrics))
        if code == nvml.SUCCESS:
            for at, column in enumerate(columns):
                _id, result, value = METRIC.unpack_from(metrics, _HEAD.size + at * METRIC.size)
                row[column] = value if result == nvml.SUCCESS else math.nan
        return code

    return ask
