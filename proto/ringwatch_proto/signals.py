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
    _gpu(33, "slow_reading_age_s", "s", "age", "seconds since health, links and modes were last read"),
    _gpu(34, "read_ms", "ms", "gauge", "how long the last round of NVML calls took"),
    _gpu(
        35,
        "recovery_action",
        "",
        "state",
        "0 none, 1 GPU reset, 2 node reboot, 3 drain P2P, 4 drain and reset",
    ),
    _gpu(36, "memory_reserved_mib", "MiB", "gauge", "device memory that the driver keeps"),
    _gpu(37, "bar1_used_mib", "MiB", "gauge", "BAR1 window in use"),
    _gpu(38, "mean_power_watts", "W", "rate", "mean power of the interval, by the energy counter"),
    _gpu(39, "power_limit_default_watts", "W", "gauge", "power limit that the board came with"),
    _gpu(40, "shutdown_temperature_celsius", "C", "gauge", "core temperature that shuts the GPU down"),
    _gpu(41, "memory_temperature_max_celsius", "C", "gauge", "memory temperature that slows the GPU"),
    _gpu(42, "temperature_margin_celsius", "C", "gauge", "degrees left to the nearest slowdown point"),
    _gpu(43, "power_capped_percent", "%", "rate", "time that the power limit held clocks down"),
    _gpu(44, "sw_thermal_percent", "%", "rate", "time that the driver held clocks down for heat"),
    _gpu(45, "hw_thermal_percent", "%", "rate", "time that hardware held clocks down for heat"),
    _gpu(46, "power_brake_percent", "%", "rate", "time under the power brake"),
    _gpu(47, "ecc_mode", "", "state", "1 when ECC is on"),
    _gpu(48, "ecc_mode_pending", "", "state", "what ecc_mode becomes at the next reset"),
    _gpu(49, "ecc_corrected", "1", "gauge", "corrected memory errors since driver load"),
    _gpu(50, "ecc_corrected_total", "1", "gauge", "corrected memory errors of the board's life"),
    _gpu(51, "ecc_uncorrected_total", "1", "gauge", "uncorrected memory errors of the board's life"),
    _gpu(52, "ecc_dram_corrected", "1", "gauge", "corrected DRAM errors since driver load"),
    _gpu(53, "ecc_dram_uncorrected", "1", "gauge", "uncorrected DRAM errors since driver load"),
    _gpu(54, "ecc_sram_corrected", "1", "gauge", "corrected SRAM errors since driver load"),
    _gpu(55, "ecc_sram_uncorrected", "1", "gauge", "uncorrected SRAM errors since driver load"),
    _gpu(56, "ecc_dram_corrected_total", "1", "gauge", "corrected DRAM errors of the board's life"),
    _gpu(57, "ecc_dram_uncorrected_total", "1", "gauge", "uncorrected DRAM errors of the board's life"),
    _gpu(58, "ecc_sram_corrected_total", "1", "gauge", "corrected SRAM errors of the board's life"),
    _gpu(59, "ecc_sram_uncorrected_total", "1", "gauge", "uncorrected SRAM errors of the board's life"),
    _gpu(60, "sram_threshold_exceeded", "", "state", "1 when SRAM errors call for replacement"),
    _gpu(61, "ecc_sram_l2_total", "1", "gauge", "uncorrected SRAM errors of the L2 cache, board's life"),
    _gpu(62, "ecc_sram_sm_total", "1", "gauge", "uncorrected SRAM errors of the SMs, board's life"),
    _gpu(63, "ecc_sram_pcie_total", "1", "gauge", "uncorrected SRAM errors of the PCIe unit, board's life"),
    _gpu(64, "ecc_sram_mcu_total", "1", "gauge", "uncorrected SRAM errors of microcontrollers, board's life"),
    _gpu(65, "ecc_sram_other_total", "1", "gauge", "uncorrected SRAM errors of other units, board's life"),
    _gpu(66, "remapped_rows_corrected", "1", "gauge", "rows remapped after corrected errors"),
    _gpu(67, "remap_banks_low", "1", "gauge", "memory banks with few spare rows left"),
    _gpu(68, "remap_banks_exhausted", "1", "gauge", "memory banks with no spare row left"),
    _gpu(69, "repair_pending", "", "state", "1 when a channel or TPC repair waits for a reset"),
    _gpu(70, "memory_unrepairable", "", "state", "1 when memory cannot be repaired any more"),
    _gpu(71, "retired_pages", "1", "gauge", "retired pages (boards before Ampere)"),
    _gpu(72, "retired_pages_pending", "", "state", "1 when a page retirement waits for a reset"),
    _gpu(73, "nvlink_links", "1", "gauge", "NVLinks that the GPU has"),
    _gpu(74, "nvlink_worst_errors_per_s", "1/s", "rate", "errors of the link with most of them"),
    _gpu(75, "nvlink_worst_link", "", "state", "which link that is; absent while none has any"),
    _gpu(76, "nvlink_recoveries_failed", "1", "gauge", "NVLink recoveries that failed, since driver load"),
    _gpu(77, "nvlink_worst_symbol_ber", "1", "gauge", "symbol bit error rate of the worst link"),
    _gpu(78, "pcie_link_generation_max", "", "gauge", "highest PCIe generation of board and slot"),
    _gpu(79, "pcie_corrected_per_s", "1/s", "rate", "corrected PCIe errors"),
    _gpu(80, "pcie_uncorrected", "1", "gauge", "non-fatal and fatal PCIe errors since driver load"),
    _gpu(81, "fabric_state", "", "state", "1 not started, 2 in progress, 3 completed, 4 ended with an error"),
    _gpu(82, "fabric_health", "", "state", "1 healthy, 2 unhealthy, 3 limited"),
    _gpu(83, "fabric_health_bits", "bits", "state", "NVML fabric health mask"),
    _gpu(84, "encoder_utilization_percent", "%", "gauge", "video encoder utilization"),
    _gpu(85, "decoder_utilization_percent", "%", "gauge", "video decoder utilization"),
    _gpu(86, "sm_activity_percent", "%", "gauge", "SM activity since the reading before"),
    _gpu(87, "sm_occupancy_percent", "%", "gauge", "warps resident of those that the SMs could hold"),
    _gpu(88, "tensor_activity_percent", "%", "gauge", "tensor core activity since the reading before"),
    _gpu(89, "dram_activity_percent", "%", "gauge", "memory bandwidth used since the reading before"),
    _gpu(90, "process_memory_mib", "MiB", "gauge", "device memory of all compute processes"),
    _gpu(91, "persistence_mode", "", "state", "1 when the driver stays loaded without clients"),
    _gpu(92, "compute_mode", "", "state", "0 default, 2 prohibited, 3 exclusive process"),
    _gpu(93, "mig_mode", "", "state", "1 when the GPU is divided (MIG)"),
    _gpu(94, "mig_mode_pending", "", "state", "what mig_mode becomes at the next reset"),
    _gpu(95, "mig_instances", "1", "gauge", "MIG instances that there are; each has a row of its own"),
    _gpu(96, "virtualization_mode", "", "state", "0 none, 1 pass-through, 2 vGPU, 3 vGPU host, 4 vSGA host"),
    _gpu(97, "gsp_firmware", "", "state", "1 when the GPU runs GSP firmware"),
    _gpu(98, "c2c_links_active", "1", "gauge", "chip-to-chip links to the CPU that are up"),
    _gpu(99, "c2c_errors_per_s", "1/s", "rate", "chip-to-chip link errors and replays"),
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
    _port(
        120,
        "physical_state",
        "",
        "state",
        "IB physical state: 2 polling, 3 disabled, 4 training, 5 link up, 6 recovery",
    ),
    _port(121, "operational", "", "state", "1 when the interface's operstate is up"),
    _port(122, "errors_age_s", "s", "age", "seconds since the error counters of the port were last read"),
    _port(
        123,
        "counters_saturated",
        "1",
        "gauge",
        "error counters stuck at the limit of their width: they count no more",
    ),
    _port(124, "rx_packets_per_s", "1/s", "rate", "packets received"),
    _port(125, "tx_packets_per_s", "1/s", "rate", "packets sent"),
    _port(
        126,
        "transmit_wait_per_s",
        "1/s",
        "rate",
        "port clock ticks with data to send and no credit; compare one model only",
    ),
    _port(127, "remote_physical_errors_per_s", "1/s", "rate", "packets that another hop had marked bad"),
    _port(
        128,
        "switch_relay_errors_per_s",
        "1/s",
        "rate",
        "packets that could not be forwarded; multicast loops count too",
    ),
    _port(
        129, "local_integrity_errors_per_s", "1/s", "rate", "times local physical errors passed their limit"
    ),
    _port(130, "buffer_overruns_per_s", "1/s", "rate", "excessive input buffer overruns"),
    _port(
        131,
        "rx_constraint_errors_per_s",
        "1/s",
        "rate",
        "received packets that a partition or filter check dropped",
    ),
    _port(
        132,
        "tx_constraint_errors_per_s",
        "1/s",
        "rate",
        "packets not sent because of a partition or filter check",
    ),
    _port(133, "management_drops_per_s", "1/s", "rate", "management packets dropped (VL15)"),
    _port(
        134, "sequence_naks_per_s", "1/s", "rate", "NAKs for a wrong sequence: loss on what this port sends"
    ),
    _port(135, "implied_naks_per_s", "1/s", "rate", "ACKs that imply a lost read or atomic"),
    _port(136, "ack_timeouts_per_s", "1/s", "rate", "times a sender's ACK timer ran out"),
    _port(
        137, "rnr_exhausted_per_s", "1/s", "rate", "receiver-not-ready retries used up: the connection is cut"
    ),
    _port(138, "out_of_buffer_per_s", "1/s", "rate", "drops because no receive work request waited"),
    _port(
        139, "duplicate_requests_per_s", "1/s", "rate", "requests that came twice: loss on the peer's path"
    ),
    _port(140, "completion_errors_per_s", "1/s", "rate", "requests that completed with an error"),
    _port(141, "completions_flushed_per_s", "1/s", "rate", "requests flushed; usual when a job ends"),
    _port(142, "retries_exceeded_per_s", "1/s", "rate", "transport retries used up: NCCL's error 12"),
    _port(
        143, "rnr_retries_exceeded_per_s", "1/s", "rate", "receiver-not-ready retries used up, requester side"
    ),
    _port(
        144,
        "remote_access_errors_per_s",
        "1/s",
        "rate",
        "remote access errors: memory keys, usually software",
    ),
    _port(145, "adaptive_retransmits_per_s", "1/s", "rate", "RoCE adaptive retransmissions"),
    _port(146, "adaptive_timeouts_per_s", "1/s", "rate", "RoCE time-outs after adaptive retransmission"),
    _port(147, "slow_restarts_per_s", "1/s", "rate", "RoCE slow restarts: a victim of congestion"),
    _port(
        148,
        "congestion_notices_handled_per_s",
        "1/s",
        "rate",
        "congestion notices that this port obeyed: its sends are slowed",
    ),
    _port(149, "icrc_errors_per_s", "1/s", "rate", "RoCE packets with a bad invariant CRC"),
    _port(150, "rx_crc_errors_per_s", "1/s", "rate", "Ethernet frames with a bad CRC"),
    _port(151, "rx_missed_per_s", "1/s", "rate", "frames for which NIC or ring had no room"),
    _port(152, "phy_symbol_errors_per_s", "1/s", "rate", "symbol errors that FEC could not fix"),
    _port(
        153,
        "fec_corrected_bits_per_s",
        "1/s",
        "rate",
        "bits that FEC fixed; normal from 100G on, watch the trend",
    ),
    _port(154, "fec_uncorrected_blocks_per_s", "1/s", "rate", "blocks that FEC could not fix"),
    _port(155, "phy_link_downs_per_s", "1/s", "rate", "link downs that the PHY counted"),
    _port(156, "phy_discards_per_s", "1/s", "rate", "packets dropped for lack of buffer in the NIC"),
    _port(157, "priority_discards_per_s", "1/s", "rate", "the same, summed over the priorities"),
    _port(158, "pause_storms_per_s", "1/s", "rate", "pause storms that the NIC noticed"),
    _port(159, "efa_no_completions_per_s", "1/s", "rate", "EFA commands that were never completed"),
    _port(160, "efa_rx_drops_per_s", "1/s", "rate", "EFA packets dropped on receive"),
    _port(161, "efa_timeouts_per_s", "1/s", "rate", "EFA retransmission time-outs"),
    _port(162, "efa_unresponsive_per_s", "1/s", "rate", "times an EFA peer did not respond"),
    _port(163, "efa_impaired_per_s", "1/s", "rate", "times an EFA connection was impaired"),
    _port(164, "pause_rx_priority0_per_s", "1/s", "rate", "PFC pause frames received for priority 0"),
    _port(165, "pause_rx_priority1_per_s", "1/s", "rate", "PFC pause frames received for priority 1"),
    _port(166, "pause_rx_priority2_per_s", "1/s", "rate", "PFC pause frames received for priority 2"),
    _port(167, "pause_rx_priority3_per_s", "1/s", "rate", "PFC pause frames received for priority 3"),
    _port(168, "pause_rx_priority4_per_s", "1/s", "rate", "PFC pause frames received for priority 4"),
    _port(169, "pause_rx_priority5_per_s", "1/s", "rate", "PFC pause frames received for priority 5"),
    _port(170, "pause_rx_priority6_per_s", "1/s", "rate", "PFC pause frames received for priority 6"),
    _port(171, "pause_rx_priority7_per_s", "1/s", "rate", "PFC pause frames received for priority 7"),
    _port(172, "pause_tx_priority0_per_s", "1/s", "rate", "PFC pause frames sent for priority 0"),
    _port(173, "pause_tx_priority1_per_s", "1/s", "rate", "PFC pause frames sent for priority 1"),
    _port(174, "pause_tx_priority2_per_s", "1/s", "rate", "PFC pause frames sent for priority 2"),
    _port(175, "pause_tx_priority3_per_s", "1/s", "rate", "PFC pause frames sent for priority 3"),
    _port(176, "pause_tx_priority4_per_s", "1/s", "rate", "PFC pause frames sent for priority 4"),
    _port(177, "pause_tx_priority5_per_s", "1/s", "rate", "PFC pause frames sent for priority 5"),
    _port(178, "pause_tx_priority6_per_s", "1/s", "rate", "PFC pause frames sent for priority 6"),
    _port(179, "pause_tx_priority7_per_s", "1/s", "rate", "PFC pause frames sent for priority 7"),
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
    _host(214, "memory_stall_percent", "%", "gauge", "time all tasks waited for memory (PSI full, 10 s)"),
    _host(215, "io_stall_percent", "%", "gauge", "time all tasks waited for I/O (PSI full, 10 s)"),
    _host(216, "swap_total_mib", "MiB", "gauge", "swap there is"),
    _host(217, "swap_ins_per_s", "1/s", "rate", "pages read back from swap"),
    _host(218, "major_faults_per_s", "1/s", "rate", "page faults that had to read a disk"),
    _host(219, "hugepages_total", "1", "gauge", "huge pages that are set aside"),
    _host(220, "hugepages_free", "1", "gauge", "of those, free ones"),
    _host(221, "numa_misses_per_s", "1/s", "rate", "pages allocated on another NUMA node than was wanted"),
    _host(
        222,
        "numa_free_spread_percent",
        "%",
        "gauge",
        "free share of the freest NUMA node minus that of the fullest",
    ),
    _host(223, "hardware_age_s", "s", "age", "seconds since EDAC, machine-check and PCIe counters were read"),
    _host(
        224,
        "memory_corrected_per_s",
        "1/s",
        "rate",
        "corrected errors of the host's memory, all modules (EDAC)",
    ),
    _host(
        225,
        "memory_uncorrected",
        "1",
        "gauge",
        "uncorrected errors of the host's memory since its driver loaded (EDAC)",
    ),
    _host(226, "machine_checks_per_s", "1/s", "rate", "machine-check exceptions, all CPUs"),
    _host(227, "pcie_corrected_per_s", "1/s", "rate", "corrected PCIe errors, all devices (AER)"),
    _host(
        228, "pcie_nonfatal", "1", "gauge", "uncorrected non-fatal PCIe errors since boot, all devices (AER)"
    ),
    _host(229, "pcie_fatal", "1", "gauge", "fatal PCIe errors since boot, all devices (AER)"),
    _host(230, "disks_age_s", "s", "age", "seconds since the disks were read"),
    _host(
        231,
        "disk_busy_percent",
        "%",
        "gauge",
        "share of the interval that the busiest disk had I/O in flight",
    ),
    _host(232, "disk_wait_ms", "ms", "gauge", "mean time of an I/O on the slowest disk over the interval"),
    _host(233, "disk_read_bytes_per_s", "B/s", "rate", "bytes read, all disks"),
    _host(234, "disk_write_bytes_per_s", "B/s", "rate", "bytes written, all disks"),
    _host(235, "disk_errors_per_s", "1/s", "rate", "I/O errors that disks reported"),
    _host(236, "nvme_not_live", "1", "gauge", "NVMe controllers that are not live"),
    _host(237, "mounts_age_s", "s", "age", "seconds since the mounts were looked at"),
    _host(238, "mounts_watched", "1", "gauge", "file systems that are asked how they are"),
    _host(239, "mounts_not_answering", "1", "gauge", "file systems that do not answer within the deadline"),
    _host(
        240,
        "mount_slowest_s",
        "s",
        "gauge",
        "how long the slowest file system took, or has been taking, to answer",
    ),
    _host(241, "file_systems_read_only", "1", "gauge", "file systems that the kernel made read-only"),
    _host(242, "file_systems_full", "1", "gauge", "file systems without a free block or inode for users"),
    _host(
        243,
        "file_system_used_percent",
        "%",
        "gauge",
        "use of the fullest local file system, blocks or inodes",
    ),
    _host(244, "sensors_age_s", "s", "age", "seconds since temperatures and fans were read"),
    _host(
        245,
        "inlet_temperature_celsius",
        "C",
        "gauge",
        "temperature of the air that comes in, where a sensor says so",
    ),
    _host(246, "cpu_temperature_celsius", "C", "gauge", "hottest CPU package"),
    _host(247, "disk_temperature_celsius", "C", "gauge", "hottest NVMe drive"),
    _host(248, "fan_slowest_rpm", "rpm", "gauge", "slowest fan that turns"),
    _host(249, "fans_stopped", "1", "gauge", "fans that raise an alarm or stand still below their minimum"),
    _host(250, "sensor_alarms", "1", "gauge", "sensors that raise a critical alarm"),
    _host(251, "clock_age_s", "s", "age", "seconds since the clock was asked"),
    _host(252, "clock_synchronised", "", "state", "1 when the kernel says that something keeps its clock"),
    _host(253, "clock_offset_s", "s", "gauge", "offset that the kernel still corrects"),
    _host(
        254, "clock_error_bound_s", "s", "gauge", "largest error of the clock that the kernel reckons with"
    ),
    _host(255, "clock_frequency_ppm", "ppm", "gauge", "how much the clock's frequency is corrected"),
    _host(256, "processes_age_s", "s", "age", "seconds since the processes were looked through"),
    _host(257, "processes", "1", "gauge", "processes there are"),
    _host(258, "processes_uninterruptible", "1", "gauge", "processes in state D"),
    _host(259, "processes_zombie", "1", "gauge", "processes that ended and were not reaped"),
    _host(260, "file_descriptors_used_percent", "%", "gauge", "open files, of the system's limit"),
    _host(261, "pids_used_percent", "%", "gauge", "process ids in use, of the limit"),
    _host(262, "conntrack_used_percent", "%", "gauge", "tracked connections, of the table's limit"),
    _host(263, "nvswitches", "1", "gauge", "NVSwitch devices"),
    _host(264, "fabric_manager_up", "", "state", "1 when the fabric manager runs"),
    _host(265, "persistence_daemon_up", "", "state", "1 when nvidia-persistenced runs"),
    _host(266, "time_daemon_up", "", "state", "1 when a daemon that keeps the clock runs"),
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


def is_whole_gpu(device: str) -> bool:
    """Return whether a row of the GPU table is a GPU; a MIG instance has a row too, and is a part of one.

    Ids are NVML's UUIDs: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
    """
    return not device.startswith("MIG-")
