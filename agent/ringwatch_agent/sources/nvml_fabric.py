"""Whether a GPU has joined its NVLink fabric, and how well. Judges nothing."""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Final

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_asks import Ask, Place, Row

# version, cluster, status, clique, state, health mask, health summary.
FABRIC: Final = struct.Struct("<I16xIIIIB3x")
# Version 2 is version 3 without the summary at its end.
_FABRIC_VERSIONS: Final = (0x3000028, 0x2000024)


def fabric(place: Place) -> Ask | None:
    """Ask whether the GPU has joined its NVLink fabric; "completed" with a status is an error, 4."""
    function = place.library.function("nvmlDeviceGetGpuFabricInfoV")
    if function is None:
        return None
    buffer = (ctypes.c_char * FABRIC.size)()
    state_at, health_at, bits_at = (
        place.column[name] for name in ("fabric_state", "fabric_health", "fabric_health_bits")
    )
    handle, out = place.handle, ctypes.byref(buffer)
    versions = list(_FABRIC_VERSIONS)

    def ask(row: Row, _: float) -> int:
        struct.pack_into("<I", buffer, 0, versions[0])
        code = function(handle, out)
        if code == nvml.ARGUMENT_VERSION_MISMATCH and len(versions) > 1:
            del versions[0]  # an older driver
            return ask(row, _)
        if code == 0:
            _version, status, _clique, state, bits, health = FABRIC.unpack_from(buffer)
            state &= 0xFF  # a byte in the header, padded
            if state == 0:
                return nvml.NOT_SUPPORTED
            row[state_at] = 4 if state == 3 and status else state
            row[health_at] = health or math.nan
            row[bits_at] = bits
        return code

    return ask
