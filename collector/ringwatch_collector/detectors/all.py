"""The table of detectors that run, in the order in which they are shown. Decides nothing."""

from __future__ import annotations

from typing import Final

from ringwatch_collector.detectors.agent_silent import AgentSilent
from ringwatch_collector.detectors.base import Detector
from ringwatch_collector.detectors.gpu_faults import GpuFaults
from ringwatch_collector.detectors.gpu_health import GpuHealth
from ringwatch_collector.detectors.gpu_limits import GpuLimits
from ringwatch_collector.detectors.hang import Hang
from ringwatch_collector.detectors.host_faults import HostFaults, SourceDown
from ringwatch_collector.detectors.imbalance import Imbalance
from ringwatch_collector.detectors.job_pause import JobPause
from ringwatch_collector.detectors.job_slow import JobSlow
from ringwatch_collector.detectors.loss import Loss
from ringwatch_collector.detectors.port_down import PortDown
from ringwatch_collector.detectors.rack_limits import RackLimits
from ringwatch_collector.detectors.rank_died import RankDied
from ringwatch_collector.detectors.slow_collective import SlowCollective
from ringwatch_collector.detectors.straggler_compute import ComputeStraggler
from ringwatch_collector.detectors.straggler_dataloader import DataLoaderStraggler

ALL: Final[tuple[Detector, ...]] = (
    GpuFaults(),
    GpuHealth(),
    RankDied(),
    Hang(),
    PortDown(),
    HostFaults(),
    AgentSilent(),
    ComputeStraggler(),
    DataLoaderStraggler(),
    SlowCollective(),
    GpuLimits(),
    RackLimits(),
    JobPause(),
    JobSlow(),
    Imbalance(),
    Loss(),
    SourceDown(),
)
