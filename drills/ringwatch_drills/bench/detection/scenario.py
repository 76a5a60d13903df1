"""What one simulated run is: shape, pace, noise, and what goes wrong when. Nothing here moves.

No constant is shared with a detector; where a number stands for the world, its source stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# Kinds of trouble that accuse a rank, its GPU, its node or a link.
GUILTY: Final = (
    "gpu_slow",  # a GPU that is slow without a word of the driver
    "thermal",
    "power_brake",
    "clock_low",
    "pcie_narrow",
    "cpu_quota",
    "cpu_contention",
    "dataloader",
    "node_slow",  # all ranks of a node, by CPU contention
    "slow_link",
    "nvlink_slow",
    "slow_since_start",
    "gpu_off_bus",
    "gpu_memory",
    "nvlink_fault",
    "gsp_timeout",
    "port_down",
    "rank_killed",
    "rank_oom",
    "node_silent",
    "hang_stopped",
    "hang_blocked",
    "hang_code",
    "hang_gpu",
)
# Kinds in which nobody is to blame: the right answer pages nobody.
INNOCENT: Final = (
    "clean",
    "red_herrings",
    "checkpoint",
    "gc_everywhere",
    "sequence_imbalance",
    "stage_imbalance",
    "congestion",
    "storage_slow",
    "drifting_noise",
    "user_stopped",
)
HARD: Final = frozenset(
    {"gpu_off_bus", "gpu_memory", "nvlink_fault", "gsp_timeout", "port_down", "rank_killed", "rank_oom"}
)
HANGS: Final = frozenset({"hang_stopped", "hang_blocked", "hang_code", "hang_gpu"})
SLOW: Final = frozenset(set(GUILTY) - HARD - HANGS - {"node_silent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How ranks are laid out, as Megatron-LM does it: tensor fastest, then data, then pipeline."""

    data: int
    pipeline: int = 1
    tensor: int = 1
    per_node: int = 8

    @property
    def ranks(self) -> int:
        """Return the number of ranks."""
        return self.data * self.pipeline * self.tensor

    @property
    def nodes(self) -> int:
        """Return the number of nodes."""
        return -(-self.ranks // self.per_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How uneven healthy work is.

    ``tail`` is the degrees of freedom of Student's t; ``drift`` the coefficient of an AR(1) a rank,
    ``drift_sigma`` its spread; ``sequence`` the spread of work a rank and step, as batches of mixed lengths
    give; ``silicon`` that of the parts, for good; ``bump_chance`` of a stall of ``bump_s`` a rank and step.
    """

    sigma: float = 0.01
    tail: float = 3.0
    drift: float = 0.0
    drift_sigma: float = 0.0
    sequence: float = 0.0
    silicon: float = 0.006
    bump_chance: float = 0.0003
    bump_s: float = 0.1
    transfer_sigma: float = 0.05
    leave_s: float = 0.0001


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that goes wrong ``after_s`` seconds into the run. ``size`` 0.1 is 10 % slower."""

    kind: str
    rank: int = 0
    size: float = 0.0
    after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run. ``lasts_s`` counts from its begin; ``look_s`` is how often the detectors look."""

    name: str
    seed: int
    shape: Shape
    step_s: float
    transport: str  # tcp or rdma
    noise: Noise = field(default_factory=Noise)
    troubles: tuple[Trouble, ...] = ()
    checkpoint_every: int = 0
    checkpoint_s: float = 0.0
    tagged: bool = False
    says_work: bool = False
    lasts_s: float = 120.0
    look_s: float = 1.0
    dense_s: float = 0.0  # for so long after an onset they look every half second
    devices: bool = True

    @property
    def onset_s(self) -> float:
        """Return when the first trouble begins, or infinity."""
        return min((trouble.after_s for trouble in self.troubles), default=float("inf"))
