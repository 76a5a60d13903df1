"""Shapes of question to NVML: each binds buffers once and then costs one call a reading. Judges nothing."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ringwatch_agent.sources import nvml_library as nvml

_MIB: Final = 1 << 20
_NOT_AVAILABLE: Final = (1 << 64) - 1
PROCESS: Final = struct.Struct("<I4xQII")

Row = list[float]
# Asks once, writes what came into the row, returns NVML's code. ``now_s`` is monotonic.
Ask = Callable[[Row, float], int]


class Place(NamedTuple):
    """What a question is bound to: one GPU, and where its signals stand in the row."""

    library: nvml.Library
    handle: nvml.Handle
    column: Mapping[str, int]


# None when this driver has no such function.
Bind = Callable[[Place], Ask | None]


class Rise:
    """The rate of one counter: NaN for the first reading, and after a wrap, a reset or a step back."""

    __slots__ = ("_at_s", "_count")

    def __init__(self) -> None:
        self._count: int | None = None
        self._at_s = 0.0

    def per_s(self, count: int, now_s: float) -> float:
        """Return the rise a second since the last call."""
        before, self._count = self._count, count
        passed_s, self._at_s = now_s - self._at_s, now_s
        if before is None or count < before or passed_s <= 0:
            return math.nan
        return (count - before) / passed_s


def number(signal: str, *names: str, scale: float = 1.0, arguments: tuple[int, ...] = ()) -> Bind:
    """Ask for one unsigned number."""

    def bind(place: Place) -> Ask | None:
        function, column = place.library.function(*names), place.column[signal]
        if function is None:
            return None
        value = ctypes.c_uint()
        passed = (place.handle, *map(ctypes.c_uint, arguments), ctypes.byref(value))

        def ask(row: Row, _: float) -> int:
            code = function(*passed)
            if code == 0:
                row[column] = value.value * scale
            return code

        return ask

    return bind


def numbers(
    signals: tuple[str, ...],
    *names: str,
    form: str,
    version: int = 0,
    scale: float = 1.0,
    join: Callable[[tuple[int, ...]], float] | None = None,
) -> Bind:
    """Ask for one structure; ``form`` gives its layout with ``x`` for what is not wanted.

    A versioned structure begins with its version, which is no part of ``form``. ``join`` makes one
    value of all parts.
    """

    def bind(place: Place) -> Ask | None:
        function = place.library.function(*names)
        if function is None:
            return None
        layout = struct.Struct("<" + ("4x" if version else "") + form)
        buffer = (ctypes.c_char * layout.size)()
        columns = [place.column[signal] for signal in signals]
        handle, out = place.handle, ctypes.byref(buffer)

        def ask(row: Row, _: float) -> int:
            if version:
                struct.pack_into("<I", buffer, 0, version)
            code = function(handle, out)
            if code == 0:
                parts = layout.unpack_from(buffer)
                for column, value in zip(columns, (join(parts),) if join else parts, strict=True):
                    row[column] = value * scale
            return code

        return ask

    return bind


def pair(first: str, second: str, *names: str) -> Bind:
    """Ask for two unsigned numbers; a name that is empty is not wanted."""

    def bind(place: Place) -> Ask | None:
        function = place.library.function(*names)
        if function is None:
            return None
        values = (ctypes.c_uint(), ctypes.c_uint())
        passed = (place.handle, ctypes.byref(values[0]), ctypes.byref(values[1]))
        wanted = [
            (place.column[name], value) for name, value in zip((first, second), values, strict=True) if name
        ]

        def ask(row: Row, _: float) -> int:
            code = function(*passed)
            if code == 0:
                for column, value in wanted:
                    row[column] = value.value
            return code

        return ask

    return bind


def errors(signal: str, kind: int, counter: int, where: int) -> Bind:
    """Ask for the memory errors of one kind (0 corrected) and counter (0 volatile) at one location."""

    def bind(place: Place) -> Ask | None:
        function, column = place.library.function("nvmlDeviceGetMemoryErrorCounter"), place.column[signal]
        if function is None:
            return None
        count = ctypes.c_ulonglong()
        passed = (place.handle, *map(ctypes.c_uint, (kind, counter, where)), ctypes.byref(count))

        def ask(row: Row, _: float) -> int:
            code = function(*passed)
            if code == 0:
                row[column] = count.value
            return code

        return ask

    return bind


def clock_event_reasons(place: Place) -> Ask | None:
    """Ask why clocks are below their maximum; drivers before 535 know it by its old name."""
    function = place.library.function(
        "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
    )
    column = place.column["clock_event_reasons"]
    if function is None:
        return None
    bits = ctypes.c_ulonglong()
    handle, out = place.handle, ctypes.byref(bits)

    def ask(row: Row, _: float) -> int:
        code = function(handle, out)
        if code == 0:
            row[column] = bits.value
        return code

    return ask


def temperature(place: Place) -> Ask | None:
    """Ask for the core temperature: the old call goes away with CUDA 14, old drivers lack the new one."""
    new = numbers(("temperature_celsius",), "nvmlDeviceGetTemperatureV", form="4xi", version=0x100000C)
    old = number("temperature_celsius", "nvmlDeviceGetTemperature", arguments=(0,))
    return new(place) or old(place)


def memory(place: Place) -> Ask | None:
    """Ask for device memory: version 2 tells what the driver keeps from what is used."""
    signals = ("memory_total_mib", "memory_reserved_mib", "memory_used_mib")
    new = numbers(signals, "nvmlDeviceGetMemoryInfo_v2", form="4xQQ8xQ", version=0x2000028, scale=1 / _MIB)
    old = numbers(signals[::2], "nvmlDeviceGetMemoryInfo", form="Q8xQ", scale=1 / _MIB)
    return new(place) or old(place)


def processes(place: Place) -> Ask | None:
    """Ask for the processes with a compute context, and their memory where the driver knows it."""
    function = place.library.function(
        "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"
    )
    if function is None:
        return None
    column, memory_column = place.column["processes"], place.column["process_memory_mib"]
    handle, count, room = place.handle, ctypes.c_uint(), 32
    buffer = (ctypes.c_char * (PROCESS.size * room))()

    def ask(row: Row, _: float) -> int:
        nonlocal buffer, room
        count.value = room
        code = function(handle, ctypes.byref(count), buffer)
        if code == nvml.INSUFFICIENT_SIZE and room < count.value < 1 << 16:
            room = 2 * count.value  # the list may have grown again by the next call
            buffer = (ctypes.c_char * (PROCESS.size * room))()
            count.value = room
            code = function(handle, ctypes.byref(count), buffer)
        if code == 0:
            used = [PROCESS.unpack_from(buffer, at * PROCESS.size)[1] for at in range(count.value)]
            row[column] = len(used)
            known = [each for each in used if each != _NOT_AVAILABLE]
            row[memory_column] = sum(known) / _MIB if known or not used else math.nan
        return code

    return ask
