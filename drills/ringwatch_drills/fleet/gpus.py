"""GPUs of a simulated fleet: power, heat and clocks that follow the work, vectorised over the fleet."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringwatch_proto.signals import BY_NAME, GpuState

Floats = NDArray[np.float64]

MODEL: Final = "NVIDIA H100 80GB HBM3 (simulated)"
# Board figures of an H100 SXM: https://www.nvidia.com/en-us/data-center/h100/
MAX_CLOCK_MHZ: Final = 1980.0
_POWER_LIMIT_W: Final = 700.0
_IDLE_W: Final = 72.0
_SLOWDOWN_C: Final = 87.0
# Below this the slowdown lets go.
_HOLD_C: Final = 80.0
_INLET_C: Final = 27.0
_KELVIN_PER_WATT: Final = 0.06
# A real heat sink takes some 30 s; a drill has less time.
_HEAT_TIME_S: Final = 7.0

# NVML clocks event reasons.
_IDLE, _USER_CLOCKS, _POWER_CAP = 0x1, 0x2, 0x4
_HW_SLOWDOWN, _SW_THERMAL, _HW_THERMAL, _HW_BRAKE = 0x8, 0x20, 0x40, 0x80

COLUMNS: Final[tuple[str, ...]] = (
    "reading_age_s",
    "state",
    "utilization_percent",
    "memory_utilization_percent",
    "memory_used_mib",
    "memory_total_mib",
    "power_watts",
    "power_limit_watts",
    "temperature_celsius",
    "memory_temperature_celsius",
    "slowdown_temperature_celsius",
    "sm_clock_mhz",
    "sm_clock_max_mhz",
    "memory_clock_mhz",
    "clock_event_reasons",
    "ecc_corrected_per_s",
    "ecc_uncorrected",
    "remapped_rows",
    "remap_pending",
    "remap_failed",
    "nvlink_active",
    "nvlink_errors_per_s",
    "pcie_replays_per_s",
    "pcie_link_generation",
    "pcie_link_width",
    "pcie_link_width_max",
    "processes",
)
SIGNALS: Final = tuple(BY_NAME["gpu." + name].id for name in COLUMNS)
_STEADY: Final[dict[str, float]] = {
    "reading_age_s": 0.02,
    "memory_total_mib": 81559.0,
    "power_limit_watts": _POWER_LIMIT_W,
    "slowdown_temperature_celsius": _SLOWDOWN_C,
    "sm_clock_max_mhz": MAX_CLOCK_MHZ,
    "memory_clock_mhz": 2619.0,
    "nvlink_active": 18.0,
    "pcie_link_generation": 5.0,
    "pcie_link_width": 16.0,
    "pcie_link_width_max": 16.0,
}


class Gpus:
    """All GPUs, node by node. The public arrays are what faults and verbs change."""

    def __init__(self, count: int, seed: int) -> None:
        self._dice = np.random.default_rng([seed, 77])
        self.airflow = np.ones(count)
        self.brake = np.zeros(count, np.bool_)
        self.locked_mhz = np.full(count, np.nan)
        self.lost = np.zeros(count, np.bool_)
        self.clock_mhz = np.full(count, MAX_CLOCK_MHZ)
        self.temperature_c = 58.0 + self._dice.normal(0.0, 2.0, count)
        self.power_w = np.full(count, 500.0)
        self._place_c = self._dice.normal(0.0, 1.5, count)
        self._busy = np.zeros(count)

    @property
    def slowness(self) -> Floats:
        """Return the factor on compute time that the clocks make."""
        return np.where(self.lost, 1.0, MAX_CLOCK_MHZ / self.clock_mhz)

    def advance(self, busy: Floats, seconds: float) -> None:
        """Let heat, power and clocks follow for ``seconds``; ``busy`` is the share of time with work."""
        self._busy = busy
        clocks = self.clock_mhz / MAX_CLOCK_MHZ
        # Power goes with clock times voltage squared; a GPU that spins in a collective draws less.
        drawn = _IDLE_W + (0.35 + 0.6 * busy) * (busy > 0) * (_POWER_LIMIT_W - _IDLE_W) * clocks**2.2
        self.power_w = np.minimum(drawn + self._dice.normal(0.0, 4.0, busy.size), _POWER_LIMIT_W)
        settles_c = _INLET_C + self._place_c + _KELVIN_PER_WATT * self.power_w / self.airflow
        self.temperature_c += (settles_c - self.temperature_c) * (1.0 - np.exp(-seconds / _HEAT_TIME_S))
        self.clock_mhz = self._clocks(settles_c, seconds)

    def _clocks(self, settles_c: Floats, seconds: float) -> Floats:
        # Firmware looks at where the heat goes as well as where it is, or the loop would swing.
        heading_c = self.temperature_c + 0.5 * (settles_c - self.temperature_c)
        over_c = np.where(self.temperature_c > _HOLD_C, heading_c - (_SLOWDOWN_C - 1.0), -20.0)
        change = np.clip(-0.012 * over_c, -0.09, 0.05)
        clocks = self.clock_mhz * (1.0 + change * min(seconds, 2.0))
        ceiling = np.where(self.brake, 0.45 * MAX_CLOCK_MHZ, MAX_CLOCK_MHZ)
        ceiling = np.fmin(ceiling, self.locked_mhz)
        clipped: Floats = np.clip(np.minimum(clocks, ceiling), 345.0, MAX_CLOCK_MHZ)
        return clipped

    def reasons(self) -> NDArray[np.int64]:
        """Return the NVML clocks event reasons."""
        hot = (self.temperature_c > _HOLD_C) & (self.clock_mhz < 0.98 * MAX_CLOCK_MHZ)
        out = np.zeros(hot.size, np.int64)
        out[self._busy <= 0] |= _IDLE
        out[hot] |= _HW_SLOWDOWN | _HW_THERMAL | _SW_THERMAL
        out[self.brake] |= _HW_SLOWDOWN | _HW_BRAKE
        out[self.power_w >= _POWER_LIMIT_W] |= _POWER_CAP
        out[np.isfinite(self.locked_mhz)] |= _USER_CLOCKS
        return out

    def table(self) -> NDArray[np.float32]:
        """Return (gpus, columns) now; a lost GPU has a state and nothing else."""
        busy = self._busy > 0
        noise = self._dice.normal(0.0, 1.0, self._busy.size)
        moving = {
            "state": np.where(self.lost, GpuState.LOST, GpuState.OK),
            "utilization_percent": np.where(busy, np.clip(98.0 + noise, 0.0, 100.0), 0.0),
            "memory_utilization_percent": np.where(busy, np.clip(52.0 + 3.0 * noise, 0.0, 100.0), 0.0),
            "memory_used_mib": np.where(busy, 71240.0, 520.0),
            "power_watts": self.power_w,
            "temperature_celsius": np.round(self.temperature_c),
            "memory_temperature_celsius": np.round(self.temperature_c + 9.0),
            "sm_clock_mhz": np.round(self.clock_mhz / 15.0) * 15.0,
            "clock_event_reasons": self.reasons(),
            "processes": busy.astype(np.float64),
        }
        out = np.zeros((busy.size, len(COLUMNS)), np.float32)
        for column, name in enumerate(COLUMNS):
            out[:, column] = moving.get(name, _STEADY.get(name, 0.0))
        out[self.lost, 2:] = np.nan
        return out
