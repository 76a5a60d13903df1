"""The NVML library through ctypes: symbols and codes. Decides nothing, and loads nothing but ctypes.

The reader calls raw symbols with buffers that it prepared once. Against the pynvml wrappers that saves 4 MB
of memory and, on emulated GPUs, a sixth of the time of a round. The numbers are those of ``nvml.h`` (NVML
API 13); a test holds them against nvidia-ml-py.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, Final

SUCCESS: Final = 0
UNINITIALIZED: Final = 1
INVALID_ARGUMENT: Final = 2
NOT_SUPPORTED: Final = 3
NO_PERMISSION: Final = 4
NOT_FOUND: Final = 6
INSUFFICIENT_SIZE: Final = 7
DRIVER_NOT_LOADED: Final = 9
TIMEOUT: Final = 10
LIBRARY_NOT_FOUND: Final = 12
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
LIB_RM_VERSION_MISMATCH: Final = 18
NO_DATA: Final = 21
ARGUMENT_VERSION_MISMATCH: Final = 25
GPU_NOT_FOUND: Final = 28
UNKNOWN: Final = 999

# This board, mode or driver does not have it: absent, and not asked again for an hour.
UNSUPPORTED: Final = frozenset(
    {INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH}
)
# The driver under the library is gone or another one: only a new process can go on.
REINITIALISE: Final = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, LIB_RM_VERSION_MISMATCH})

# Values of ``gpu.state``.
OK, LOST, NEEDS_RESET, NOT_ANSWERING, FAILING = range(5)
STATE_OF: Final = {GPU_IS_LOST: LOST, GPU_NOT_FOUND: LOST, RESET_REQUIRED: NEEDS_RESET}

EVENT_XID: Final = 0x8
# Poison, GPU unavailable, recovery action changed: each is a reason to look at the GPU at once.
EVENTS_OF_TROUBLE: Final = 0x1000 | 0x2000 | 0x4000 | 0x8000
EVENT_DATA: Final = struct.Struct("<QQQII")

Handle = ctypes.c_void_p
Function = Callable[..., int]


class NvmlFailed(Exception):
    """NVML did not do it; ``code`` is what it returned."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Library:
    """The loaded library. Symbols are looked for once."""

    def __init__(self) -> None:
        """Load it; raise NvmlFailed where there is none."""
        try:
            self._library = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError as error:
            raise NvmlFailed(LIBRARY_NOT_FOUND, f"NVML Shared Library Not Found ({error})") from error
        self._functions: dict[str, Function | None] = {}

    def function(self, *names: str) -> Function | None:
        """Return the first of these symbols that this driver has."""
        for name in names:
            if name not in self._functions:
                self._functions[name] = getattr(self._library, name, None)
            function = self._functions[name]
            if function is not None:
                return function
        return None

    def call(self, names: tuple[str, ...], *arguments: object) -> None:
        """Call one of these symbols; raise NvmlFailed unless it returns success."""
        function = self.function(*names)
        code = FUNCTION_NOT_FOUND if function is None else function(*arguments)
        if code != SUCCESS:
            raise NvmlFailed(code, self.error_text(code))

    def error_text(self, code: int) -> str:
        """Return the driver's own words for a code."""
        if code == FUNCTION_NOT_FOUND:
            return "this driver has no such function"
        function: Any = self.function("nvmlErrorString")
        if function is None:
            return f"NVML error {code}"
        function.restype = ctypes.c_char_p
        text: bytes = function(code) or b""
        return text.decode("utf-8", "replace")

    def text(self, names: tuple[str, ...], *arguments: object) -> str:
        """Return what a call writes into a text buffer, empty when it has nothing to say."""
        buffer = ctypes.create_string_buffer(96)
        try:
            self.call(names, *arguments, buffer, ctypes.c_uint(len(buffer)))
        except NvmlFailed:
            return ""
        return buffer.value.decode("utf-8", "replace")

    def number(self, names: tuple[str, ...], *arguments: object) -> int | None:
        """Return what a call writes into an unsigned number, None when it has nothing to say."""
        value = ctypes.c_uint()
        try:
            self.call(names, *arguments, ctypes.byref(value))
        except NvmlFailed:
            return None
        return value.value
