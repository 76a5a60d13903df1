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
from tests.nvml_emulator.emulator import A100, B200, H100, Emulator

from ringwatch_agent.sources.base import EventRecord, Reading
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
    (event,) = reading.events
    assert (event.kind, event.device) == (events.GPU_NOT_ANSWERING, "")


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


@pytest.mark.parametrize(
    ("board", "model", "links", "there", "absent"),
    [
        (H100, "NVIDIA H100 80GB HBM3", 18, "fabric_state", "nvlink_worst_symbol_ber"),
        (A100, "NVIDIA A100-SXM4-80GB", 12, "nvlink_rx_bytes_per_s", "temperature_margin_celsius"),
        (B200, "NVIDIA B200", 18, "nvlink_worst_symbol_ber", "retired_pages"),
    ],
)
def test_each_board_gives_what_it_has_and_no_more(
    driver: Emulator, source: NvmlSource, board: int, model: str, links: int, there: str, absent: str
) -> None:
    """What an architecture lacks is absent, never 0, and said to be missing."""
    driver.set(profile=board)
    source.open()
    reading = read_until(source, lambda reading: not math.isnan(value(reading, 0, there)))
    (table,) = reading.tables
    assert table.devices[0].model == model
    assert value(reading, 0, "nvlink_links") == links
    assert math.isnan(value(reading, 0, absent))
    read_until(source, lambda reading: value(reading, 0, "nvlink_rx_bytes_per_s") > 0)
    if absent != "nvlink_worst_symbol_ber":
        assert absent in source.missing()[GPU0]


def test_mig_instances_have_rows_of_their_own(driver: Emulator, source: NvmlSource) -> None:
    """Named for what they are; the divided GPU has no utilization, and nothing is a fault."""
    driver.set(gpu0__mig=1, gpu0__mig_instances=2)
    source.open()
    reading = source.read()
    (table,) = reading.tables
    names = [device.name for device in table.devices]
    assert names == ["gpu0", "gpu0/mig0 1g.10gb", "gpu0/mig1 1g.10gb", "gpu1"]
    assert table.devices[1].id.startswith("MIG-")
    assert (value(reading, 0, "mig_mode"), value(reading, 0, "mig_instances")) == (1, 2)
    assert math.isnan(value(reading, 0, "utilization_percent"))
    assert value(reading, 1, "memory_total_mib") == 10240
    assert not reading.events


def test_instances_that_are_taken_apart_are_not_lost(driver: Emulator, source: NvmlSource) -> None:
    """They are gone on purpose."""
    driver.set(gpu0__mig=1, gpu0__mig_instances=1)
    source.open()
    assert len(source.read().tables[0].devices) == 3
    driver.set(gpu0__mig=0, gpu0__mig_instances=0)
    driver.xid(0, 43)  # health and modes are read at once after an Xid
    reading = read_until(source, lambda reading: len(reading.tables[0].devices) == 2)
    assert all(event.kind == events.GPU_XID for event in reading.events)


def test_a_gpu_that_comes_back_under_another_index_is_the_same_gpu(
    driver: Emulator, source: NvmlSource
) -> None:
    """Rows are keyed by UUID; the name that people use follows the index."""
    source.open()
    source.read()
    driver.set(gpu0__last=1, reloads=1)
    with pytest.raises(SourceError, match="unloaded or replaced"):
        read_until(source, lambda _: False)
    reading = source.read()
    devices = reading.tables[0].devices
    assert [(device.id[:12], device.name) for device in devices] == [
        ("GPU-00000001", "gpu0"),
        ("GPU-00000000", "gpu1"),
    ]
    assert value(reading, 0, "state") == GpuState.OK
    assert not reading.events


def test_a_link_that_goes_down_is_an_event_with_its_number(driver: Emulator, source: NvmlSource) -> None:
    """Read at once after an Xid, else within ten seconds."""
    source.open()
    source.read()
    driver.set(gpu1__link4=0)
    driver.xid(1, 74)
    told: list[EventRecord] = []

    def down(reading: Reading) -> bool:
        told.extend(reading.events)
        return value(reading, 1, "nvlink_active") == 17

    read_until(source, down)
    (event,) = (event for event in told if event.kind == events.NVLINK_DOWN)
    assert (event.device[:12], event.fields["links"]) == ("GPU-00000001", "4")


def test_a_slow_gpu_is_asked_bit_by_bit(driver: Emulator, source: NvmlSource) -> None:
    """Two hundred milliseconds a call: it answers, and the reading says how slowly."""
    driver.set(gpu0__slow_ms=200)
    source.open()
    reading = read_until(source, lambda reading: value(reading, 0, "read_ms") > 1000)
    assert value(reading, 0, "state") == GpuState.OK
    assert value(reading, 1, "read_ms") < 1000


def test_a_gpu_whose_firmware_is_silent_is_asked_less(driver: Emulator, source: NvmlSource) -> None:
    """After Xid 119 each call may hold the driver for long: values go absent, the state stays known."""
    source.open()
    source.read()
    driver.xid(0, 119)
    reading = read_until(source, lambda reading: value(reading, 0, "reading_age_s") > 3.0)
    assert math.isnan(value(reading, 0, "power_watts"))
    assert value(reading, 0, "state") == GpuState.OK
    assert value(reading, 1, "power_watts") == pytest.approx(312.0)


def test_a_gpu_that_blocks_from_the_start_does_not_keep_others_from_being_read(
    driver: Emulator, source: NvmlSource
) -> None:
    """Who it is cannot be known; that it does not answer can."""
    driver.set(gpu0__block=1)
    source.open()
    reading = read_until(source, lambda reading: value(reading, 0, "state") == GpuState.NOT_ANSWERING)
    assert reading.tables[0].devices[0].id == "gpu0"
    assert value(reading, 1, "state") == GpuState.OK
    driver.set(gpu0__block=0)
    reading = read_until(source, lambda reading: value(reading, 0, "state") == GpuState.OK)
    assert reading.tables[0].devices[0].id == GPU0


def test_a_version_mismatch_says_what_it_means(driver: Emulator, source: NvmlSource) -> None:
    """The driver's words and what follows from them."""
    driver.set(mismatch=1)
    with pytest.raises(SourceError, match="version mismatch; the driver was upgraded"):
        source.open()


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
