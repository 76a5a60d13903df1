"""What a GPU says of being slow: clocks event reasons, clock, PCIe. Compares with the job's other GPUs."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_collector.detectors.places import percent
from ringwatch_collector.detectors.suspects import Reading, Suspect
from ringwatch_proto.signals import BY_NAME

CLOCK_WINDOW_S: Final = 15.0
# NVML clocks event reasons (nvml.h): each bit says why the clock is below its maximum.
SW_POWER_CAP, HW_SLOWDOWN = 0x4, 0x8
SW_THERMAL, HW_THERMAL, HW_POWER_BRAKE = 0x20, 0x40, 0x80
REASON_SHARE: Final = 0.5
CLOCK_RATIO: Final = 0.95


def _reason_share(suspect: Suspect, bits: int) -> tuple[float, float]:
    """Return the share of readings with any of the bits, of this GPU and of its peers typically."""
    _, values = suspect.view.gpu.window(BY_NAME["gpu.clock_event_reasons"].id, CLOCK_WINDOW_S)
    own = values[:, suspect.gpu_row]
    own = own[np.isfinite(own)]
    if own.size == 0:
        return float("nan"), float("nan")
    share = float((own.astype(np.int64) & bits != 0).mean())
    peers = values[:, list(suspect.peer_rows)]
    seen = np.isfinite(peers)
    hit = (np.where(seen, peers, 0).astype(np.int64) & bits != 0) & seen
    per_peer = hit.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return share, float(np.median(per_peer)) if per_peer.size else 0.0


def _reason(suspect: Suspect, bits: int, words: str) -> Reading | None:
    if suspect.gpu_row < 0:
        return None
    share, peers = _reason_share(suspect, bits)
    if np.isnan(share):
        return None
    seen = f"{words} in {percent(share)} of the last {CLOCK_WINDOW_S:.0f} s, its peers {percent(peers)}"
    holds = share >= REASON_SHARE and peers < REASON_SHARE
    return Reading(holds=holds, text=f"{seen}; {_clock_words(suspect)}{_heat_words(suspect)}")


def thermal(suspect: Suspect) -> Reading | None:
    """Read the thermal slowdown bits, and a hardware slowdown of a hot GPU."""
    reading = _reason(suspect, SW_THERMAL | HW_THERMAL, "its GPU slowed down for heat (bits 0x20, 0x40)")
    if reading is None or reading.holds or not _is_hot(suspect):
        return reading
    return _reason(suspect, HW_SLOWDOWN, "its GPU, hot, was slowed down by hardware (bit 0x8)")


def power_brake(suspect: Suspect) -> Reading | None:
    """Read the power brake bit, and a hardware slowdown of a GPU that is not hot."""
    reading = _reason(suspect, HW_POWER_BRAKE, "its GPU got the power brake (bit 0x80)")
    if reading is None or reading.holds or _is_hot(suspect):
        return reading
    return _reason(suspect, HW_SLOWDOWN, "its GPU, not hot, was slowed down by hardware (bit 0x8)")


def power_cap(suspect: Suspect) -> Reading | None:
    """Read the power cap: normal under load, and a cause only where clocks lie under the peers'."""
    reading = _reason(suspect, SW_POWER_CAP, "its GPU is held at its power limit (bit 0x4)")
    ratio = _clock_ratio(suspect)
    if reading is None or np.isnan(ratio):
        return reading
    share, _ = _reason_share(suspect, SW_POWER_CAP)
    return Reading(holds=share >= REASON_SHARE and ratio < CLOCK_RATIO, text=reading.text)


def _latest(suspect: Suspect, signal: str) -> tuple[float, float]:
    """Return the newest value of the suspect's GPU and the median of its peers."""
    if suspect.gpu_row < 0:
        return float("nan"), float("nan")
    values = suspect.view.gpu.latest(BY_NAME[signal].id)
    peers = values[list(suspect.peer_rows)]
    peers = peers[np.isfinite(peers)]
    return float(values[suspect.gpu_row]), float(np.median(peers)) if peers.size else float("nan")


def _clock_ratio(suspect: Suspect) -> float:
    own, peers = _latest(suspect, "gpu.sm_clock_mhz")
    return own / peers if peers > 0 else float("nan")


def _clock_words(suspect: Suspect) -> str:
    own, peers = _latest(suspect, "gpu.sm_clock_mhz")
    return "SM clock unknown" if np.isnan(own) else f"SM clock {own:.0f} MHz, its peers {peers:.0f} MHz"


def _heat_words(suspect: Suspect) -> str:
    own, peers = _latest(suspect, "gpu.temperature_celsius")
    return "" if np.isnan(own) else f"; {own:.0f} C, its peers {peers:.0f} C"


def _is_hot(suspect: Suspect) -> bool:
    own, peers = _latest(suspect, "gpu.temperature_celsius")
    limit, _ = _latest(suspect, "gpu.slowdown_temperature_celsius")
    return own >= limit - 3.0 or own >= peers + 12.0


def low_clock(suspect: Suspect) -> Reading | None:
    """Read the SM clock against the peers."""
    ratio = _clock_ratio(suspect)
    if np.isnan(ratio):
        return None
    return Reading(holds=ratio < CLOCK_RATIO, text=f"{_clock_words(suspect)} ({percent(ratio)})")


def pcie(suspect: Suspect) -> Reading | None:
    """Read generation and width of the PCIe link against the peers."""
    width, peer_width = _latest(suspect, "gpu.pcie_link_width")
    generation, peer_generation = _latest(suspect, "gpu.pcie_link_generation")
    if np.isnan(width):
        return None
    text = f"PCIe gen {generation:.0f} x{width:.0f}, its peers gen {peer_generation:.0f} x{peer_width:.0f}"
    return Reading(holds=width < peer_width or generation < peer_generation, text=text)
