"""GPUs through the real reader process, over an emulated driver that changes while it runs."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.nvml_emulator.emulator import Emulator

from ringwatch_agent.sources.base import Reading
from ringwatch_agent.sources.nvml import NvmlSource
from ringwatch_proto import events
from ringwatch_proto.errors import SourceError, SourceUnsupported, VerbError
from ringwatch_proto.signals import BY_NAME, GpuState

GPU0 = "GPU-00000000-0000-0000-0000-000000000000"
LOST, RESET_REQUIRED, UNKNOWN = 15, 16, 999


@pytest.fixture
def driver(tmp_path: Path) -> Emulator:
    """An emulated driver with two healthy GPUs."""
    if shutil.which("cc") is None:
        pytest.skip("the emulated driver needs a C compiler")
    driver = Emulator(tmp_path)
    driver.set(gpus=2, power=312000)
    return driver


@pytest.fixture
def source(driver: Emulator) -> Iterator[NvmlSource]:
    """A source over the emulated driver."""
    source = NvmlSource(environment=driver.environment)
    yield source
    source.close()


def value(reading: Reading, gpu: int, signal_name: str) -> float:
    """Return one cell of the GPU table."""
    (table,) = reading.tables
    column = table.signals.index(BY_NAME[f"gpu.{signal_name}"].id)
    return table.values[gpu * len(table.signals) + column]


def read_until(source: NvmlSource, holds: Callable[[Reading], bool]) -> Reading:
    """Read until something holds; a test that waits for nothing runs into its timeout."""
    while True:
        reading = source.read()
        if holds(reading):
            return reading
        time.sleep(0.05)


def test_a_healthy_gpu_gives_its_signals(source: NvmlSource) -> None:
    """Identity, gauges and units come through; what the board lacks is NaN."""
    source.open()
    reading = source.read()
    (table,) = reading.tables
    assert next(device.id for device in table.devices) == GPU0
    assert (table.devices[1].name, table.devices[1].pci_address) == ("gpu1", "0000:42:00.0")
    assert value(reading, 0, "power_watts") == pytest.approx(312.0)
    assert value(reading, 0, "memory_used_mib") == 40960
    assert value(reading, 1, "sm_clock_mhz") == 1755
    assert value(reading, 0, "nvlink_active") == 18
    assert value(reading, 0, "state") == GpuState.OK
    assert math.isnan(value(reading, 0, "fan_percent"))
    assert not reading.events


def test_counters_come_as_rates_and_a_reset_is_no_negative_one(driver: Emulator, source: NvmlSource) -> None:
    """Growth has a rate; a counter that fell has none, and then one again."""
    driver.set(pcie_bytes_rate=0, pcie_bytes=1000)
    source.open()
    source.read()
    driver.set(pcie_bytes=2000)
    read_until(source, lambda reading: value(reading, 0, "pcie_rx_bytes_per_s") > 0)
    driver.set(pcie_bytes=3)
    read_until(source, lambda reading: math.isnan(value(reading, 0, "pcie_rx_bytes_per_s")))
    assert value(source.read(), 0, "pcie_rx_bytes_per_s") == 0


def test_throttling_reasons_and_remaps_are_read(driver: Emulator, source: NvmlSource) -> None:
    """Bits and pending remaps cross as they are."""
    driver.set(gpu1__reasons=0x48, gpu1__remapped=2, gpu1__pending=1)
    source.open()
    reading = source.read()
    assert value(reading, 1, "clock_event_reasons") == 0x48
    assert (value(reading, 1, "remapped_rows"), value(reading, 1, "remap_pending")) == (2, 1)
    assert value(reading, 0, "clock_event_reasons") == 0


def test_what_a_board_does_not_support_is_nan_and_not_asked_again(
    driver: Emulator, source: NvmlSource
) -> None:
    """An unsupported call is left alone for an hour, even when it would work now."""
    driver.set(gpu0__no__power=1)
    source.open()
    reading = source.read()
    assert math.isnan(value(reading, 0, "power_watts"))
    assert value(reading, 0, "state") == GpuState.OK
    assert value(reading, 1, "power_watts") == pytest.approx(312.0)
    driver.set(gpu0__no__power=0)
    assert math.isnan(value(source.read(), 0, "power_watts"))


def test_a_lost_gpu_is_lost_and_its_values_are_nobodys(driver: Emulator, source: NvmlSource) -> None:
    """State, event and NaN; the other GPU is live."""
    source.open()
    source.read()
    driver.set(gpu0__error=LOST)
    reading = read_until(source, lambda reading: value(reading, 0, "state") == GpuState.LOST)
    assert math.isnan(value(reading, 0, "temperature_celsius"))
    assert value(reading, 0, "reading_age_s") >= 0
    assert value(reading, 1, "temperature_celsius") == 54
    (event,) = reading.events
    assert (event.kind, event.device) == (events.GPU_LOST, GPU0)
    assert "GPU is lost" in event.text


def test_a_gpu_lost_before_the_agent_began_has_a_row(driver: Emulator, source: NvmlSource) -> None:
    """NVML gives no handle for it: it is lost, and the others are read."""
    driver.set(gpu1__handle_error=LOST)
    source.open()
    reading = source.read()
    assert value(reading, 1, "state") == GpuState.LOST
    assert value(reading, 0, "state") == GpuState.OK


def test_a_gpu_that_needs_a_reset_or_fails_says_which(driver: Emulator, source: NvmlSource) -> None:
    """Two kinds of trouble, two states."""
    driver.set(gpu0__error=RESET_REQUIRED, gpu1__error=UNKNOWN)
    source.open()
    reading = source.read()
    assert value(reading, 0, "state") == GpuState.NEEDS_RESET
    assert value(reading, 1, "state") == GpuState.FAILING


def test_a_blocked_gpu_does_not_answer_while_the_others_do(driver: Emulator, source: NvmlSource) -> None:
    """One stuck call takes down one row; it comes back when the call does."""
    source.open()
    source.read()
    driver.set(gpu0__block=1)
    reading = read_until(source, lambda reading: value(reading, 0, "state") == GpuState.NOT_ANSWERING)
    assert value(reading, 0, "reading_age_s") <= 5.0
    assert math.isnan(value(reading, 0, "power_watts"))
    assert value(reading, 1, "power_watts") == pytest.approx(312.0)
    assert value(reading, 1, "reading_age_s") < 1.0
    assert [event.kind for event in reading.events] == [events.GPU_NOT_ANSWERING]


def test_a_driver_that_blocks_every_call_leaves_the_reader_able_to_say_so(
    driver: Emulator, source: NvmlSource
) -> None:
    """All GPUs do not answer, and the reading says it in time."""
    source.open()
    source.read()
    driver.set(all__block=1)
    reading = read_until(source, lambda reading: value(reading, 1, "state") == GpuState.NOT_ANSWERING)
    assert value(reading, 0, "state") == GpuState.NOT_ANSWERING


def test_a_driver_that_blocks_at_start_is_an_error_with_its_reason(
    driver: Emulator, source: NvmlSource
) -> None:
    """Opening comes back, and reading says what is waited for."""
    driver.set(init__block=1)
    source.open()
    with pytest.raises(SourceError, match="nvmlInit has not come back"):
        source.read()
    driver.set(init__block=0)


def test_a_reloaded_driver_is_read_again(driver: Emulator, source: NvmlSource) -> None:
    """The library cannot survive its driver: a new process can."""
    source.open()
    source.read()
    driver.set(unloaded=1)
    with pytest.raises(SourceError, match="unloaded or replaced"):
        read_until(source, lambda _: False)
    driver.set(unloaded=0)
    assert value(source.read(), 0, "state") == GpuState.OK


def test_a_gpu_that_disappears_keeps_its_row_as_lost(driver: Emulator, source: NvmlSource) -> None:
    """After a driver reload with one GPU less, that GPU is lost and not merely absent."""
    source.open()
    source.read()
    source.close()
    driver.set(gpus=1)
    reading = source.read()
    assert value(reading, 1, "state") == GpuState.LOST
    assert [event.kind for event in reading.events] == [events.GPU_LOST]


def test_a_killed_reader_is_replaced(source: NvmlSource) -> None:
    """The reader is expendable."""
    source.open()
    assert source._process is not None
    os.kill(source._process.pid, signal.SIGKILL)
    with pytest.raises(SourceError):
        source.read()
    assert value(source.read(), 0, "state") == GpuState.OK


def test_an_xid_is_an_event_with_its_gpu(driver: Emulator, source: NvmlSource) -> None:
    """NVML's own event set tells Xids where the kernel log cannot be read."""
    source.open()
    source.read()
    driver.xid(gpu=1, code=79)
    reading = read_until(source, lambda reading: bool(reading.events))
    (event,) = reading.events
    assert (event.kind, event.code, event.device[:12]) == (events.GPU_XID, 79, "GPU-00000001")


def test_clocks_are_reset_on_the_gpu_that_was_named(source: NvmlSource) -> None:
    """The verb reaches NVML; a GPU that is not here is an error."""
    source.open()
    source.reset_clocks(GPU0)
    with pytest.raises(VerbError, match="no GPU"):
        source.reset_clocks("GPU-ffffffff")


def test_a_machine_without_a_driver_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    """No library is "unsupported", with the reason."""
    source = NvmlSource(environment={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)})
    with pytest.raises(SourceUnsupported, match="Not Found"):
        source.open()
    source.close()


def test_the_reader_process_loads_nvml_and_little_else() -> None:
    """What is not loaded cannot be stuck in the driver, and costs no memory on every node."""
    never = ("grpc", "google.protobuf", "asyncio", "psutil", "numpy", "pynvml", "dataclasses", "inspect")
    program = f"""
import sys, ringwatch_agent.sources.nvml_reader
print(sorted(set(sys.modules) & set({never!r})))"""
    out = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
