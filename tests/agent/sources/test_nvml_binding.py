"""What the reader knows of nvml.h is what nvidia-ml-py knows, and its signals are the catalogue's."""

from __future__ import annotations

import ctypes
import math
import re
from pathlib import Path

import pynvml
import pytest

from ringwatch_agent.sources import (
    nvml_activity,
    nvml_asks,
    nvml_fabric,
    nvml_fields,
    nvml_library,
    nvml_links,
    nvml_plan,
)
from ringwatch_agent.sources.nvml_roster import COLUMNS
from ringwatch_proto.signals import GpuState

_SOURCES = Path(nvml_library.__file__).parent


@pytest.mark.parametrize(
    "name",
    [
        "SUCCESS",
        *("UNINITIALIZED", "INVALID_ARGUMENT", "NOT_SUPPORTED", "NO_PERMISSION", "NOT_FOUND"),
        *("INSUFFICIENT_SIZE", "DRIVER_NOT_LOADED", "TIMEOUT", "LIBRARY_NOT_FOUND", "FUNCTION_NOT_FOUND"),
        *("GPU_IS_LOST", "RESET_REQUIRED", "LIB_RM_VERSION_MISMATCH", "NO_DATA", "GPU_NOT_FOUND"),
        *("ARGUMENT_VERSION_MISMATCH", "UNKNOWN"),
    ],
)
def test_codes_are_those_of_the_header(name: str) -> None:
    """Number by number."""
    known = "NVML_SUCCESS" if name == "SUCCESS" else f"NVML_ERROR_{name}"
    assert getattr(nvml_library, name) == getattr(pynvml, known)


def test_states_are_those_of_the_catalogue() -> None:
    """The reader does not load the catalogue."""
    for state in GpuState:
        assert getattr(nvml_library, state.name) == state


def test_every_symbol_is_one_of_nvml() -> None:
    """A name with a typing error would be "unsupported" on every board for ever."""
    known = Path(pynvml.__file__).read_text()
    used = {
        name
        for source in _SOURCES.glob("nvml_*.py")
        for name in re.findall(r'"(nvml[A-Z]\w+)"', source.read_text())
    }
    assert len(used) > 30
    for name in used:
        assert f'"{name}"' in known or f"def {name}(" in known, name


FIELDS = (
        (3, "ECC_SBE_VOL_TOTAL"), (4, "ECC_DBE_VOL_TOTAL"), (5, "ECC_SBE_AGG_TOTAL"),
        (6, "ECC_DBE_AGG_TOTAL"), (29, "RETIRED_SBE"), (30, "RETIRED_DBE"), (31, "RETIRED_PENDING"),
        (74, "CLOCKS_EVENT_REASON_SW_POWER_CAP"), (82, "MEMORY_TEMP"), (83, "TOTAL_ENERGY_CONSUMPTION"),
        (91, "NVLINK_LINK_COUNT"), (94, "PCIE_REPLAY_COUNTER"), (138, "NVLINK_THROUGHPUT_DATA_TX"),
        (139, "NVLINK_THROUGHPUT_DATA_RX"), (142, "REMAPPED_COR"), (143, "REMAPPED_UNC"),
        (144, "REMAPPED_PENDING"), (145, "REMAPPED_FAILURE"), (161, "NVLINK_ERROR_DL_REPLAY"),
        (162, "NVLINK_ERROR_DL_RECOVERY"), (163, "NVLINK_ERROR_DL_CRC"), (165, "NVLINK_GET_STATE"),
        (171, "C2C_LINK_GET_STATUS"), (173, "PCIE_COUNT_CORRECTABLE_ERRORS"),
        (179, "PCIE_COUNT_NON_FATAL_ERROR"), (180, "PCIE_COUNT_FATAL_ERROR"), (197, "PCIE_COUNT_TX_BYTES"),
        (198, "PCIE_COUNT_RX_BYTES"), (202, "NVLINK_COUNT_XMIT_BYTES"), (204, "NVLINK_COUNT_RCV_BYTES"),
        (208, "NVLINK_COUNT_RCV_ERRORS"), (214, "NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS"),
        (215, "NVLINK_COUNT_LINK_RECOVERY_EVENTS"), (219, "NVLINK_COUNT_EFFECTIVE_ERRORS"),
        (222, "NVLINK_COUNT_SYMBOL_BER"), (230, "GET_GPU_RECOVERY_ACTION"),
        (231, "C2C_LINK_ERROR_INTR"), (232, "C2C_LINK_ERROR_REPLAY"),
        (269, "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN"), (270, "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN"),
        (271, "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN"),
)  # fmt: skip


@pytest.mark.parametrize(("number", "name"), FIELDS)
def test_fields_are_those_of_the_header(number: int, name: str) -> None:
    """Each number that is asked for, by its name."""
    assert getattr(pynvml, f"NVML_FI_DEV_{name}") == number


def test_every_field_that_is_asked_for_was_checked() -> None:
    """The table above is complete."""
    asked = {field.number for _, batch in nvml_plan.BATCHES for field in batch}
    asked |= {nvml_links.LINK_COUNT, nvml_links.STATE, *nvml_links.ERRORS, nvml_links.RECOVERY_FAILED}
    asked |= {nvml_links.SYMBOL_BER, nvml_links.BYTES_IN, nvml_links.BYTES_OUT}
    assert asked == {number for number, _ in FIELDS}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nvml_fields.VALUE.size, pynvml.c_nvmlFieldValue_t),
        (nvml_library.EVENT_DATA.size, pynvml.c_nvmlEventData_t),
        (nvml_asks.PROCESS.size, pynvml.c_nvmlProcessInfo_t),
        (nvml_fabric.FABRIC.size, pynvml.c_nvmlGpuFabricInfo_v3_t),
        (nvml_activity.METRIC.size, pynvml.c_nvmlGpmMetric_t),
    ],
)
def test_structures_have_the_headers_size(ours: int, theirs: type[ctypes.Structure]) -> None:
    """A wrong size is memory written over."""
    assert ours == ctypes.sizeof(theirs)


@pytest.mark.parametrize(
    ("version", "theirs"),
    [
        (0x100000C, pynvml.nvmlTemperature_v1), (0x2000028, pynvml.nvmlMemory_v2),
        (0x1000008, pynvml.nvmlMarginTemperature_v1), (0x1000008, pynvml.nvmlUnrepairableMemory_v1),
        (0x100000C, pynvml.nvmlRepairStatus_v1), (0x1000068, pynvml.nvmlEccSramErrorStatus_v1),
        (0x3000028, pynvml.nvmlGpuFabricInfo_v3),
    ],
)  # fmt: skip
def test_versions_of_structures_are_the_headers(version: int, theirs: int) -> None:
    """A version holds the size: with a wrong one the driver refuses."""
    assert version == theirs


def test_every_signal_of_the_plan_is_in_the_catalogue_and_the_other_way_round() -> None:
    """No column that nobody fills, no reading that nobody can send."""
    assert set(nvml_plan.signals()) == set(COLUMNS)


def test_a_rise_is_never_negative() -> None:
    """First reading, wrap, reset and a clock that stands still have no rate."""
    rise = nvml_asks.Rise()
    assert math.isnan(rise.per_s(10, 1.0))
    assert rise.per_s(30, 3.0) == 10.0
    assert math.isnan(rise.per_s(5, 4.0))
    assert rise.per_s(6, 5.0) == 1.0
    assert math.isnan(rise.per_s(7, 5.0))


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 0xDEADBEEF_00000007, 7),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, 1 << 63, 1 << 63),
        (pynvml.NVML_VALUE_TYPE_SIGNED_INT, 0xFFFFFFFE, -2),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, (1 << 64) - 2, -2),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, 0xFF0005, 5),
        (pynvml.NVML_VALUE_TYPE_DOUBLE, 0x3FF8000000000000, 1.5),
    ],
)
def test_a_value_is_read_by_its_type(kind: int, raw: int, value: float) -> None:
    """The union holds rubbish above a short type."""
    assert nvml_fields.decode(kind, raw) == value


def test_a_bit_error_rate_is_mantissa_and_exponent() -> None:
    """Bits 8 to 11, and the minus of bits 0 to 7."""
    assert nvml_links.bit_error_rate(0x30C) == pytest.approx(3e-12)
