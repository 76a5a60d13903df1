"""Ports, TCP flows and hosts of a simulated fleet, as its jobs load them."""

from __future__ import annotations

import socket
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.fleet.job import RunningJob
from ringwatch_drills.fleet.plan import FleetPlan
from ringwatch_proto.layout import FLOW_FIELDS
from ringwatch_proto.signals import BY_NAME

FLOW_TYPE: Final = np.dtype(list(FLOW_FIELDS))
PORT_COLUMNS: Final = (
    "reading_age_s",
    "up",
    "speed_gbit_per_s",
    "rx_bytes_per_s",
    "tx_bytes_per_s",
    "rx_errors_per_s",
    "tx_errors_per_s",
    "rx_drops_per_s",
    "tx_drops_per_s",
    "carrier_changes_per_s",
    "symbol_errors_per_s",
    "link_downed_per_s",
    "link_recoveries_per_s",
    "out_of_sequence_per_s",
)
HOST_COLUMNS: Final = (
    "reading_age_s",
    "cpu_percent",
    "cpu_steal_percent",
    "load_1m",
    "cpu_pressure_percent",
    "memory_pressure_percent",
    "io_pressure_percent",
    "memory_available_mib",
    "memory_total_mib",
    "swap_used_mib",
    "cpus",
    "uptime_s",
    "processes_blocked",
    "oom_kills_per_s",
)
PORT_SIGNALS: Final = tuple(BY_NAME["port." + name].id for name in PORT_COLUMNS)
HOST_SIGNALS: Final = tuple(BY_NAME["host." + name].id for name in HOST_COLUMNS)

# One rail a GPU, as on an HGX board, and one Ethernet port a node.
_RAIL_GBIT, _ETHERNET_GBIT = 400.0, 200.0
_CPUS: Final = 192.0


class Network:
    """Ports and flows. ``egress`` is (nodes,): the factor by which a node's sending is slowed."""

    def __init__(self, plan: FleetPlan, seed: int) -> None:
        self._plan = plan
        self._dice = np.random.default_rng([seed, 78])
        self.egress = np.ones(plan.nodes)
        self._addresses = [mapped_address(plan.address(node)) for node in range(plan.nodes)]

    def ports(self, jobs: list[RunningJob]) -> NDArray[np.float32]:
        """Return (nodes, ports, columns): the rails first, the Ethernet port last."""
        rails = self._plan.gpus_per_node
        out = np.zeros((self._plan.nodes, rails + 1, len(PORT_COLUMNS)), np.float32)
        out[..., 0], out[..., 1] = 0.02, 1.0
        out[:, :rails, 2], out[:, rails, 2] = _RAIL_GBIT, _ETHERNET_GBIT
        out[..., 3:5] = self._dice.uniform(2e3, 2e4, (*out.shape[:2], 2))
        for job in jobs:
            self._load(out, job)
        return out

    def _load(self, out: NDArray[np.float32], job: RunningJob) -> None:
        plan = job.plan
        here = slice(plan.first_node, plan.first_node + plan.nodes)
        rails = plan.gpus_per_node
        rate = traffic_bytes_per_s(job) * self._dice.normal(1.0, 0.03, (plan.nodes, rails, 2))
        if plan.transport == "rdma":
            out[here, :rails, 3:5] = rate
        else:
            out[here, rails, 3:5] = rate.sum(axis=1)
        sick = self.egress[here] > 1.0
        column = PORT_COLUMNS.index("symbol_errors_per_s" if plan.transport == "rdma" else "tx_drops_per_s")
        ports = slice(0, rails) if plan.transport == "rdma" else slice(rails, rails + 1)
        out[here, ports, column] = np.where(sick, 340.0, 0.0)[:, None]

    def flows(self, job: RunningJob, interval_s: float) -> NDArray[Any]:
        """Return (nodes, 2) flow records of a TCP job: to the next and to the previous node of its ring."""
        plan = job.plan
        at = np.arange(plan.nodes)
        peers = np.stack([(at + 1) % plan.nodes, (at - 1) % plan.nodes], axis=1) + plan.first_node
        out = np.zeros(peers.shape, FLOW_TYPE)
        out["peer"] = np.array(self._addresses, "S16")[peers]
        slow = self.egress[plan.first_node : plan.first_node + plan.nodes, None]
        noise = self._dice.lognormal(0.0, 0.1, peers.shape)
        # Data goes to the next node of the ring; to the previous one go acknowledgements and little else.
        bulk = np.array([1.0, 0.04])
        rate = traffic_bytes_per_s(job) * plan.gpus_per_node * bulk * noise
        out["sockets"], out["interval_s"] = 16, interval_s
        out["delivery_bits_per_s"] = 1.7e11 * noise / slow
        out["busy_s"] = np.minimum(interval_s * 0.12 * bulk * noise * slow, interval_s * 0.97)
        out["unsent_bytes"] = np.where((slow > 1) & (bulk == 1), 3.1e6 * noise, 0.0)
        out["rtt_s"] = 60e-6 * noise * np.where(bulk == 1, slow, 1.0)
        out["min_rtt_s"] = 30e-6
        out["retransmits_per_s"] = np.where((slow > 1) & (bulk == 1), 42.0 * noise, 0.0)
        out["tx_bytes_per_s"], out["rx_bytes_per_s"] = rate, rate[:, ::-1]
        return out

    def hosts(
        self, loaded: NDArray[np.bool_], blocked: NDArray[np.float64], up_s: float
    ) -> NDArray[np.float32]:
        """Return (nodes, columns)."""
        nodes = self._plan.nodes
        noise = self._dice.normal(0.0, 1.0, nodes)
        moving: dict[str, NDArray[np.float64] | float] = {
            "reading_age_s": 0.02,
            "cpu_percent": np.where(loaded, 9.0, 0.6) + 0.2 * noise,
            "load_1m": np.where(loaded, 17.0, 0.3) + 0.2 * np.abs(noise),
            "cpu_pressure_percent": np.abs(0.3 * noise),
            "io_pressure_percent": np.where(blocked > 0, 18.0, np.abs(0.4 * noise)),
            "memory_available_mib": np.where(loaded, 1_310_000.0, 2_010_000.0) + 900.0 * noise,
            "memory_total_mib": 2_064_000.0,
            "cpus": _CPUS,
            "uptime_s": up_s,
            "processes_blocked": blocked,
        }
        out = np.zeros((nodes, len(HOST_COLUMNS)), np.float32)
        for column, name in enumerate(HOST_COLUMNS):
            out[:, column] = moving.get(name, 0.0)
        return out


def traffic_bytes_per_s(job: RunningJob) -> float:
    """Return what one rank sends over the network while the job moves, 0 while it stands."""
    if job.ended or not np.isfinite(job.current.done_s):
        return 0.0
    crossing = sum(operation.bytes for operation in job.operations if operation.crosses_nodes)
    return crossing / job.step_s


def mapped_address(address: str) -> bytes:
    """Return an IPv4 address as the 16 bytes of its IPv6 form."""
    return b"\x00" * 10 + b"\xff\xff" + socket.inet_aton(address)
