"""Readings that NVML gives by number, many in one call. Judges nothing.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlFieldValueEnums.html
"""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from ringwatch_agent.sources import nvml_library as nvml
from ringwatch_agent.sources.nvml_asks import Place, Rise, Row

# fieldId, scopeId, timestamp, latency, valueType, nvmlReturn, value.
VALUE: Final = struct.Struct("<IIqqIIQ")
_HEAD: Final = struct.Struct("<II")
_DOUBLE, _UNSIGNED_INT, _SIGNED_LONG_LONG, _SIGNED_INT, _UNSIGNED_SHORT = 0, 1, 4, 5, 6
ALL_LINKS: Final = 0xFFFFFFFF
_C2C_LINKS: Final = 14
GAUGE, COUNTER = "gauge", "counter"


class Field(NamedTuple):
    """One number of NVML and the signal that it gives; several fields of one signal are added."""

    number: int
    signal: str
    support: str
    kind: str = GAUGE
    scale: float = 1.0
    scope: int = 0


FAST: Final[tuple[Field, ...]] = (
    Field(82, "memory_temperature_celsius", "boards with HBM"),
    Field(83, "mean_power_watts", "Volta and newer", COUNTER, 1e-3),
    Field(138, "nvlink_tx_bytes_per_s", "Ampere, Hopper", COUNTER, 1024.0, ALL_LINKS),
    Field(139, "nvlink_rx_bytes_per_s", "Ampere, Hopper", COUNTER, 1024.0, ALL_LINKS),
    Field(197, "pcie_tx_bytes_per_s", "Hopper and newer", COUNTER),
    Field(198, "pcie_rx_bytes_per_s", "Hopper and newer", COUNTER),
)
SLOW: Final[tuple[Field, ...]] = (
    Field(230, "recovery_action", "Ampere and newer, driver 565"),
    Field(74, "power_capped_percent", "Kepler and newer", COUNTER, 1e-7),
    Field(269, "sw_thermal_percent", "driver 565", COUNTER, 1e-7),
    Field(270, "hw_thermal_percent", "driver 565", COUNTER, 1e-7),
    Field(271, "power_brake_percent", "driver 565", COUNTER, 1e-7),
    Field(3, "ecc_corrected", "boards with ECC on, not while MIG is on"),
    Field(3, "ecc_corrected_per_s", "boards with ECC on, not while MIG is on", COUNTER),
    Field(4, "ecc_uncorrected", "boards with ECC on, not while MIG is on"),
    Field(5, "ecc_corrected_total", "boards with ECC on"),
    Field(6, "ecc_uncorrected_total", "boards with ECC on"),
    Field(142, "remapped_rows_corrected", "Ampere and newer, not while MIG is on"),
    Field(143, "remapped_rows", "Ampere and newer, not while MIG is on"),
    Field(144, "remap_pending", "Ampere and newer, not while MIG is on"),
    Field(145, "remap_failed", "Ampere and newer, not while MIG is on"),
    Field(94, "pcie_replays_per_s", "Kepler and newer", COUNTER),
    Field(173, "pcie_corrected_per_s", "Hopper and newer", COUNTER),
    Field(179, "pcie_uncorrected", "Hopper and newer"),
    Field(180, "pcie_uncorrected", "Hopper and newer"),
    *(Field(171, "c2c_links_active", "Grace superchips", scope=link) for link in range(_C2C_LINKS)),
    *(
        Field(number, "c2c_errors_per_s", "Grace superchips", COUNTER, scope=link)
        for number in (231, 232)
        for link in range(_C2C_LINKS)
    ),
)
RARE: Final[tuple[Field, ...]] = (
    Field(29, "retired_pages", "Volta, Turing and older"),
    Field(30, "retired_pages", "Volta, Turing and older"),
    Field(31, "retired_pages_pending", "Volta, Turing and older"),
)


def decode(kind: int, raw: int) -> float:
    """Return the value in the union, which holds rubbish above a short type."""
    if kind == _UNSIGNED_INT:
        return raw & 0xFFFFFFFF
    if kind == _DOUBLE:
        (value,) = struct.unpack("<d", struct.pack("<Q", raw))
        return float(value)
    if kind == _SIGNED_LONG_LONG:
        return raw - (1 << 64) if raw >> 63 else raw
    if kind == _SIGNED_INT:
        raw &= 0xFFFFFFFF
        return raw - (1 << 32) if raw >> 31 else raw
    return raw & 0xFFFF if kind == _UNSIGNED_SHORT else raw


class RawFields:
    """A prepared array of (number, scope) that is filled by one call."""

    def __init__(self, wanted: Sequence[tuple[int, int]]) -> None:
        self.wanted = tuple(wanted)
        self._buffer = (ctypes.c_char * (VALUE.size * len(self.wanted)))()
        for at, (number, scope) in enumerate(self.wanted):
            _HEAD.pack_into(self._buffer, at * VALUE.size, number, scope)

    def read(self, function: nvml.Function, handle: nvml.Handle) -> int:
        """Fill the array; return the code of the call, not of its fields."""
        return function(handle, ctypes.c_int(len(self.wanted)), self._buffer)

    def values(self) -> list[tuple[int, float]]:
        """Return (code, value) of each field in the order asked."""
        return [
            (result, decode(kind, raw))
            for _n, _s, _t, _l, kind, result, raw in VALUE.iter_unpack(bytes(self._buffer))
        ]


class FieldBatch:
    """The fields of one group for one GPU: one call a reading, and what is unsupported is left out."""

    def __init__(self, place: Place, fields: Sequence[Field]) -> None:
        self._place = place
        self._function = place.library.function("nvmlDeviceGetFieldValues")
        self._fields = tuple(fields)
        self._rises = {at: Rise() for at, field in enumerate(fields) if field.kind == COUNTER}
        self.gaps: dict[int, int] = {}
        self._ask_for(range(len(fields)))

    def restore(self) -> None:
        """Ask again for what was unsupported."""
        if self.gaps:
            self.gaps.clear()
            self._ask_for(range(len(self._fields)))

    def missing(self) -> dict[str, int]:
        """Return the signals that this GPU does not give, with NVML's code."""
        given = {self._fields[at].signal for at in self._asked}
        return {
            self._fields[at].signal: code
            for at, code in self.gaps.items()
            if self._fields[at].signal not in given
        }

    def _ask_for(self, at: Sequence[int]) -> None:
        self._asked = tuple(at)
        self._raw = RawFields([(self._fields[each].number, self._fields[each].scope) for each in at])

    def __call__(self, row: Row, now_s: float) -> int:
        """Read the batch into the row; return NVML's code."""
        if self._function is None:
            self.gaps = dict.fromkeys(range(len(self._fields)), nvml.FUNCTION_NOT_FOUND)
            self._asked = ()
        if not self._asked or self._function is None:
            return nvml.NOT_SUPPORTED
        column = self._place.column
        for at in self._asked:
            row[column[self._fields[at].signal]] = math.nan
        code = self._raw.read(self._function, self._place.handle)
        if code != nvml.SUCCESS:
            return code
        unsupported = 0
        for at, (result, value) in zip(self._asked, self._raw.values(), strict=True):
            if result == nvml.SUCCESS:
                self._write(row, at, value, now_s)
            elif result in nvml.STATE_OF:
                return result
            elif result in nvml.UNSUPPORTED:
                unsupported += 1
                self.gaps[at] = result
        if unsupported:
            self._ask_for([at for at in self._asked if at not in self.gaps])
        return nvml.SUCCESS

    def _write(self, row: Row, at: int, value: float, now_s: float) -> None:
        field = self._fields[at]
        rise = self._rises.get(at)
        if rise is not None:
            value = rise.per_s(int(value), now_s)
        column = self._place.column[field.signal]
        before = row[column]
        scaled = value * field.scale
        row[column] = scaled if math.isnan(before) else before + scaled
