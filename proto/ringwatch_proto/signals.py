"""The catalogue of every signal: id on the wire, name, unit, kind, table and meaning.

A signal is one column of one table. Counters cross the wire as rates over the interval, computed
where wraps and resets are seen, because float32 cannot hold a 64-bit counter. Ids never change
their meaning and are never used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Table(IntEnum):
    """Tables of the wire; the values are those of the protobuf enum of the same name."""

    GPU = 1
    PORT = 2
    HOST = 3
    SOURCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One column.

    ``kind`` is ``gauge`` (a value now), ``rate`` (a counter's change a second over the interval),
    ``state`` (an enumeration or flag) or ``age`` (seconds since the row was last really read).
    """

    id: int
    name: str
    table: Table
    unit: str
    kind: str
    help: str

    @property
    def metric(self) -> str:
        """Name on a Prometheus page: ``ringwatch_<table>_<thing>_<unit>``."""
        return "ringwatch_" + self.name.replace(".", "_")


class GpuState(IntEnum):
    """Values of ``gpu.state``."""

    OK = 0
    LOST = 1
    NEEDS_RESET = 2
    NOT_ANSWERING = 3
    FAILING = 4


def _gpu(id: int, name: str, unit: str, kind: str, help: str) -> Signal:
    return Signal(id=id, name="gpu." + name, table=Table.GPU, unit=unit, kind=kind, help=help)


def _port(id: int, name: str, unit: str, kind: str, help: str) -> Signal:
    return Signal(id=id, name="port." + name, table=Table.PORT, unit=unit, kind=kind, help=help)


def _host(id: int, name: str, unit: str, kind: str, help: str) -> Signal:
    return Signal(id=id, name="host." + name, table=Table.HOST, unit=unit, kind=kind, help=help)


def _source(id: int, name: str, unit: str, kind: str, help: str) -> Signal:
    return Signal(id=id, name="source." + name, table=Table.SOURCE, unit=unit, kind=kind, help=help)


SIGNALS: Final[tuple[Signal, ...]] = (
    _gpu(1, "reading_age_s", "s", "age", "seconds since NVML last answered for this GPU"),
    _gpu(2, "state", "", "state", "0 ok, 1 lost, 2 needs reset, 3 not answering, 4 reads fail"),
    _gpu(3, "utilization_percent", "%", "gauge", "share of the last sample in which a kernel ran"),
    _gpu(4, "memory_utilization_percent", "%", "gauge", "share of the sample with memory traffic"),
    _gpu(5, "memory_used_mib", "MiB", "gauge", "device memory in use"),
    _gpu(6, "memory_total_mib", "MiB", "gauge", "device memory there is"),
    _gpu(7, "power_watts", "W", "gauge", "board power draw"),
    _gpu(8, "power_limit_watts", "W", "gauge", "enforced power limit"),
    _gpu(9, "temperature_celsius", "C", "gauge", "GPU core temperature"),
    _gpu(10, "memory_temperature_celsius", "C", "gauge", "memory temperature"),
    _gpu(11, "slowdown_temperature_celsius", "C", "gauge", "core temperature that slows the GPU"),
    _gpu(12, "sm_clock_mhz", "MHz", "gauge", "current SM clock"),
    _gpu(13, "sm_clock_max_mhz", "MHz", "gauge", "highest SM clock of the board"),
    _gpu(14, "memory_clock_mhz", "MHz", "gauge", "current memory clock"),
    _gpu(15, "clock_event_reasons", "bits", "state", "NVML clocks event reasons bit mask"),
    _gpu(16, "ecc_corrected_per_s", "1/s", "rate", "corrected memory errors"),
    _gpu(17, "ecc_uncorrected", "1", "gauge", "uncorrected memory errors since driver load"),
    _gpu(18, "remapped_rows", "1", "gauge", "rows remapped after uncorrectable errors"),
    _gpu(19, "remap_pending", "", "state", "1 when a row remap waits for a reset"),
    _gpu(20, "remap_failed", "", "state", "1 when a row could not be remapped"),
    _gpu(21, "nvlink_active", "1", "gauge", "NVLinks that are up"),
    _gpu(22, "nvlink_errors_per_s", "1/s", "rate", "NVLink CRC, replay and recovery errors"),
    _gpu(23, "nvlink_rx_bytes_per_s", "B/s", "rate", "NVLink bytes received"),
    _gpu(24, "nvlink_tx_bytes_per_s", "B/s", "rate", "NVLink bytes sent"),
    _gpu(25, "pcie_rx_bytes_per_s", "B/s", "rate", "PCIe bytes received"),
    _gpu(26, "pcie_tx_bytes_per_s", "B/s", "rate", "PCIe bytes sent"),
    _gpu(27, "pcie_replays_per_s", "1/s", "rate", "PCIe replays"),
    _gpu(28, "pcie_link_generation", "", "gauge", "current PCIe generation"),
    _gpu(29, "pcie_link_width", "lanes", "gauge", "current PCIe width"),
    _gpu(30, "pcie_link_width_max", "lanes", "gauge", "widest PCIe link of board and slot"),
    _gpu(31, "processes", "1", "gauge", "processes with a compute context"),
    _gpu(32, "fan_percent", "%", "gauge", "fan speed"),
    _port(100, "reading_age_s", "s", "age", "seconds since the port's counters were last read"),
    _port(101, "up", "", "state", "1 when the link is up"),
    _port(102, "speed_gbit_per_s", "Gbit/s", "gauge", "negotiated speed"),
    _port(103, "rx_bytes_per_s", "B/s", "rate", "bytes received"),
    _port(104, "tx_bytes_per_s", "B/s", "rate", "bytes sent"),
    _port(105, "rx_errors_per_s", "1/s", "rate", "receive errors"),
    _port(106, "tx_errors_per_s", "1/s", "rate", "transmit errors"),
    _port(107, "rx_drops_per_s", "1/s", "rate", "received packets dropped"),
    _port(108, "tx_drops_per_s", "1/s", "rate", "packets dropped before they were sent"),
    _port(109, "carrier_changes_per_s", "1/s", "rate", "times the carrier came or went"),
    _port(110, "symbol_errors_per_s", "1/s", "rate", "InfiniBand symbol errors"),
    _port(111, "link_downed_per_s", "1/s", "rate", "InfiniBand link downs"),
    _port(112, "link_recoveries_per_s", "1/s", "rate", "InfiniBand link error recoveries"),
    _port(113, "out_of_sequence_per_s", "1/s", "rate", "RDMA packets out of sequence"),
    _port(114, "congestion_notices_per_s", "1/s", "rate", "congestion notification packets sent"),
    _port(115, "ecn_marked_per_s", "1/s", "rate", "RoCE packets that came ECN-marked"),
    _port(116, "pause_rx_per_s", "1/s", "rate", "pause frames received"),
    _port(117, "pause_tx_per_s", "1/s", "rate", "pause frames sent"),
    _port(118, "queue_backlog_bytes", "B", "gauge", "bytes waiting in the egress queue"),
    _port(119, "queue_overlimits_per_s", "1/s", "rate", "times the egress queue held a packet back"),
    _host(200, "reading_age_s", "s", "age", "seconds since the host row was last read"),
    _host(201, "cpu_percent", "%", "gauge", "CPU time used, of all CPUs"),
    _host(202, "cpu_steal_percent", "%", "gauge", "CPU time taken by the hypervisor"),
    _host(203, "load_1m", "1", "gauge", "run-queue length, one-minute mean"),
    _host(204, "cpu_pressure_percent", "%", "gauge", "time some task waited for a CPU (PSI, 10 s)"),
    _host(205, "memory_pressure_percent", "%", "gauge", "time some task waited for memory (PSI)"),
    _host(206, "io_pressure_percent", "%", "gauge", "time some task waited for I/O (PSI)"),
    _host(207, "memory_available_mib", "MiB", "gauge", "memory that can be had without swapping"),
    _host(208, "memory_total_mib", "MiB", "gauge", "memory there is"),
    _host(209, "swap_used_mib", "MiB", "gauge", "swap in use"),
    _host(210, "cpus", "1", "gauge", "logical CPUs"),
    _host(211, "uptime_s", "s", "gauge", "time since boot"),
    _host(212, "processes_blocked", "1", "gauge", "processes in uninterruptible sleep"),
    _host(213, "oom_kills_per_s", "1/s", "rate", "processes killed for lack of memory"),
    _source(300, "up", "", "state", "1 when the last read of the source succeeded"),
    _source(301, "age_s", "s", "age", "seconds since the last successful read"),
    _source(302, "duration_ms", "ms", "gauge", "how long the last read took"),
    _source(303, "failures", "1", "gauge", "failed reads since the agent started"),
)

BY_ID: Final[dict[int, Signal]] = {signal.id: signal for signal in SIGNALS}
BY_NAME: Final[dict[str, Signal]] = {signal.name: signal for signal in SIGNALS}


def columns_of(table: Table) -> tuple[Signal, ...]:
    """Return the signals of one table in the order of their ids."""
    return tuple(signal for signal in SIGNALS if signal.table == table)
