"""GPUs, ports and flows of a simulated run as their own counters tell them. Slows nobody by itself."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_drills.bench.detection.scenario import Scenario
from ringwatch_proto import layout
from ringwatch_proto.signals import BY_NAME, Table, columns_of

Array = NDArray[np.float64]
Block = NDArray[np.float32]

_MAX_MHZ: Final = 1755.0
_SLOWDOWN_C: Final = 90.0
FLOW_TYPE: Final = np.dtype(list(layout.FLOW_FIELDS))


def column(name: str) -> int:
    """Return the column of a signal in its table's block."""
    signal = BY_NAME[name]
    return [each.id for each in columns_of(signal.table)].index(signal.id)


class Devices:
    """Blocks of (rows, signals) a table; troubles write into ``gpu`` and ``port`` columns."""

    def __init__(self, scenario: Scenario) -> None:
        self._dice = np.random.default_rng([scenario.seed, 2])
        shape = scenario.shape
        self.ports = shape.ranks if scenario.transport == "rdma" else shape.nodes
        self.clock = np.full(shape.ranks, _MAX_MHZ)
        self.heat = 55.0 + self._dice.normal(0.0, 4.0, shape.ranks)
        self.bits = np.zeros(shape.ranks, np.int64)
        self.gpu_state = np.zeros(shape.ranks)
        self.width = np.full(shape.ranks, 16.0)
        self.up = np.ones(self.ports)
        self.errors = np.zeros(self.ports)
        self.speed = np.full(self.ports, 400.0 if scenario.transport == "rdma" else 100.0)
        self.held_back = np.zeros(self.ports)
        self.nvlink_errors = np.zeros(shape.ranks)
        self.steal = np.zeros(shape.nodes)
        self.io_pressure = np.full(shape.nodes, 0.3)
        self.extra: dict[str, Array] = {}
        self._shape = shape

    def gpu(self) -> Block:
        """Return the GPU block of now."""
        ranks, dice = self._shape.ranks, self._dice
        out = np.full((ranks, len(columns_of(Table.GPU))), np.nan, np.float32)
        clock = np.minimum(self.clock + dice.normal(0.0, 4.0, ranks), _MAX_MHZ + 10)
        values: dict[str, Array | float] = {
            "reading_age_s": 0.03,
            "state": self.gpu_state,
            "utilization_percent": np.clip(96.0 + dice.normal(0, 2, ranks), 0, 100),
            "power_watts": 620.0 * (self.clock / _MAX_MHZ) ** 2 + dice.normal(0, 12, ranks),
            "power_limit_watts": 700.0,
            "temperature_celsius": self.heat + dice.normal(0.0, 0.7, ranks),
            "slowdown_temperature_celsius": _SLOWDOWN_C,
            "sm_clock_mhz": clock,
            "sm_clock_max_mhz": _MAX_MHZ,
            "clock_event_reasons": self.bits.astype(np.float64),
            "ecc_corrected_per_s": 0.0,
            "ecc_uncorrected": 0.0,
            "remapped_rows": 0.0,
            "nvlink_active": 18.0,
            "nvlink_errors_per_s": self.nvlink_errors,
            "pcie_link_generation": 5.0,
            "pcie_link_width": self.width,
            "pcie_link_width_max": 16.0,
        }
        for name, value in (values | dict(self.extra)).items():
            out[:, column(f"gpu.{name}")] = value
        gone = self.gpu_state == 1
        for name in ("sm_clock_mhz", "temperature_celsius", "power_watts", "clock_event_reasons"):
            out[gone, column(f"gpu.{name}")] = np.nan
        return out

    def port(self) -> Block:
        """Return the port block of now."""
        out = np.zeros((self.ports, len(columns_of(Table.PORT))), np.float32)
        out[:, column("port.reading_age_s")] = 0.1
        out[:, column("port.up")] = self.up
        out[:, column("port.speed_gbit_per_s")] = self.speed
        out[:, column("port.tx_bytes_per_s")] = 2e9 * self.up
        out[:, column("port.symbol_errors_per_s")] = self.errors
        out[:, column("port.out_of_sequence_per_s")] = self.errors
        out[:, column("port.queue_overlimits_per_s")] = self.held_back
        return out

    def host(self) -> Block:
        """Return the host block of now."""
        nodes = self._shape.nodes
        out = np.full((nodes, len(columns_of(Table.HOST))), np.nan, np.float32)
        out[:, column("host.reading_age_s")] = 0.1
        out[:, column("host.cpu_percent")] = 20.0 + self._dice.normal(0, 3, nodes)
        out[:, column("host.cpu_steal_percent")] = self.steal
        out[:, column("host.io_pressure_percent")] = self.io_pressure
        out[:, column("host.cpu_pressure_percent")] = np.where(self.steal > 1, 40.0, 0.5)
        return out

    def flow(self, peer: bytes, slow: float) -> NDArray[np.void]:
        """Return the flow record of a node towards its neighbour; ``slow`` 1 is healthy."""
        out = np.zeros(1, FLOW_TYPE)
        rate = 6e10 * float(self._dice.lognormal(0.0, 0.3)) if slow <= 1.05 else 1e11 / 8 / slow
        out["peer"] = peer
        out["sockets"], out["interval_s"] = 4, 1.0
        out["delivery_bits_per_s"] = rate
        out["busy_s"] = 0.3 if slow <= 1.05 else 0.95
        out["unsent_bytes"] = 2e3 if slow <= 1.05 else 4e5
        out["rtt_s"] = 2e-4
        out["tx_bytes_per_s"] = out["rx_bytes_per_s"] = 1.5e9
        return out
