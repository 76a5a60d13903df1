"""Which file of sysfs, or which ethtool statistic, is which signal of a port. Reads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

# Read once a second: signal -> file under /sys/class/net/<interface>/.
NET_FAST: Final[Mapping[str, str]] = {
    "rx_bytes_per_s": "statistics/rx_bytes",
    "tx_bytes_per_s": "statistics/tx_bytes",
    "rx_errors_per_s": "statistics/rx_errors",
    "tx_errors_per_s": "statistics/tx_errors",
    "rx_drops_per_s": "statistics/rx_dropped",
    "tx_drops_per_s": "statistics/tx_dropped",
    "carrier_changes_per_s": "carrier_changes",
}
NET_SLOW: Final[Mapping[str, str]] = {
    "rx_crc_errors_per_s": "statistics/rx_crc_errors",
    "rx_missed_per_s": "statistics/rx_missed_errors",
}
# Read once a second: signal -> file under /sys/class/infiniband/<device>/ports/<port>/. Each of these asks
# the device, so that only what a person watches live is here.
RDMA_FAST: Final[Mapping[str, str]] = {
    "rx_bytes_per_s": "counters/port_rcv_data",
    "tx_bytes_per_s": "counters/port_xmit_data",
    "transmit_wait_per_s": "counters/port_xmit_wait",
    "link_downed_per_s": "counters/link_downed",
}
# Documentation/ABI/stable/sysfs-class-infiniband of the kernel; for hw_counters its
# drivers/infiniband/hw/mlx5/counters.c and
# https://enterprise-support.nvidia.com/s/article/understanding-mlx5-linux-counters-and-status-parameters
RDMA_SLOW: Final[Mapping[str, str]] = {
    "rx_packets_per_s": "counters/port_rcv_packets",
    "tx_packets_per_s": "counters/port_xmit_packets",
    "rx_errors_per_s": "counters/port_rcv_errors",
    "tx_drops_per_s": "counters/port_xmit_discards",
    "symbol_errors_per_s": "counters/symbol_error",
    "link_recoveries_per_s": "counters/link_error_recovery",
    "remote_physical_errors_per_s": "counters/port_rcv_remote_physical_errors",
    "switch_relay_errors_per_s": "counters/port_rcv_switch_relay_errors",
    "local_integrity_errors_per_s": "counters/local_link_integrity_errors",
    "buffer_overruns_per_s": "counters/excessive_buffer_overrun_errors",
    "rx_constraint_errors_per_s": "counters/port_rcv_constraint_errors",
    "tx_constraint_errors_per_s": "counters/port_xmit_constraint_errors",
    "management_drops_per_s": "counters/VL15_dropped",
    "out_of_sequence_per_s": "hw_counters/out_of_sequence",
    "sequence_naks_per_s": "hw_counters/packet_seq_err",
    "implied_naks_per_s": "hw_counters/implied_nak_seq_err",
    "ack_timeouts_per_s": "hw_counters/local_ack_timeout_err",
    "rnr_exhausted_per_s": "hw_counters/rnr_nak_retry_err",
    "out_of_buffer_per_s": "hw_counters/out_of_buffer",
    "duplicate_requests_per_s": "hw_counters/duplicate_request",
    "completion_errors_per_s": "hw_counters/req_cqe_error",
    "completions_flushed_per_s": "hw_counters/req_cqe_flush_error",
    "retries_exceeded_per_s": "hw_counters/req_transport_retries_exceeded",
    "rnr_retries_exceeded_per_s": "hw_counters/req_rnr_retries_exceeded",
    "remote_access_errors_per_s": "hw_counters/req_remote_access_errors",
    "adaptive_retransmits_per_s": "hw_counters/roce_adp_retrans",
    "adaptive_timeouts_per_s": "hw_counters/roce_adp_retrans_to",
    "slow_restarts_per_s": "hw_counters/roce_slow_restart",
    "congestion_notices_per_s": "hw_counters/np_cnp_sent",
    "congestion_notices_handled_per_s": "hw_counters/rp_cnp_handled",
    "ecn_marked_per_s": "hw_counters/np_ecn_marked_roce_packets",
    "icrc_errors_per_s": "hw_counters/rx_icrc_encapsulated",
    # AWS EFA has names of its own.
    "efa_rx_drops_per_s": "hw_counters/rx_drops",
    "efa_timeouts_per_s": "hw_counters/retrans_timeout_events",
    "efa_unresponsive_per_s": "hw_counters/unresponsive_remote_events",
    "efa_impaired_per_s": "hw_counters/impaired_remote_conn_events",
}
# The same driver counts this one a device, not a port.
RDMA_DEVICE: Final[Mapping[str, str]] = {"efa_no_completions_per_s": "hw_counters/no_completion_cmds"}
# These two count 32-bit words (InfiniBand specification, PortCountersExtended).
WORDS: Final = frozenset({"rx_bytes_per_s", "tx_bytes_per_s"})
# Classic InfiniBand error counters stop at the top of their width instead of wrapping.
SATURATING: Final = frozenset(
    signal
    for signal, file in {**RDMA_SLOW, **RDMA_FAST}.items()
    if file.startswith("counters/") and "packets" not in file and signal not in WORDS
)
LIMITS: Final = frozenset({(1 << 8) - 1, (1 << 16) - 1, (1 << 32) - 1})

# Statistic of a driver -> signal; the first group is a priority. Several names may feed one signal: mlx5,
# bnxt, ice and i40e each have their own; those of mlx5 are described in the kernel's
# Documentation/networking/device_drivers/ethernet/mellanox/mlx5/counters.rst
_ETHTOOL: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), signal)
    for pattern, signal in (
        (r"rx_symbol_err_phy|rx_pcs_symbol_err_phy", "phy_symbol_errors_per_s"),
        (r"rx_corrected_bits_phy|rx_fec_corrected_bits", "fec_corrected_bits_per_s"),
        (
            r"fec_uncorrectable_blocks|rx_fec_uncorrectable_blocks|fec_uncorr_blocks",
            "fec_uncorrected_blocks_per_s",
        ),
        (r"link_down_events_phy|link_down_events", "phy_link_downs_per_s"),
        (r"rx_discards_phy", "phy_discards_per_s"),
        (r"rx_prio[0-7]_(?:buf_)?discards?|rx_discard_bytes_cos[0-7]", "priority_discards_per_s"),
        (r"rx_prio([0-7])_pause", "pause_rx_priority{}_per_s"),
        (r"tx_prio([0-7])_pause", "pause_tx_priority{}_per_s"),
        (r"rx_pfc_ena_frames_pri([0-7])", "pause_rx_priority{}_per_s"),
        (r"tx_pfc_ena_frames_pri([0-7])", "pause_tx_priority{}_per_s"),
        (r"(?:port\.)?rx_priority_([0-7])_xoff(?:\.nic)?", "pause_rx_priority{}_per_s"),
        (r"(?:port\.)?tx_priority_([0-7])_xoff(?:\.nic)?", "pause_tx_priority{}_per_s"),
        (r"rx_pause_ctrl_phy|rx_global_pause|rx_pause_frames|link_xoff_rx(?:\.nic)?", "pause_rx_per_s"),
        (r"tx_pause_ctrl_phy|tx_global_pause|tx_pause_frames|link_xoff_tx(?:\.nic)?", "pause_tx_per_s"),
        (r"tx_pause_storm_(?:warning|error)_events", "pause_storms_per_s"),
    )
)


@lru_cache(maxsize=4096)
def ethtool_signal(statistic: str) -> str:
    """Return the signal that a driver's statistic counts for, empty for one that is not looked at."""
    for pattern, signal in _ETHTOOL:
        found = pattern.fullmatch(statistic)
        if found:
            return signal.format(*found.groups())
    return ""


def ethtool_counts(statistics: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up the statistics of one interface by signal."""
    counts: dict[str, int] = {}
    for name, count in statistics:
        if signal := ethtool_signal(name):
            counts[signal] = counts.get(signal, 0) + count
    return counts
