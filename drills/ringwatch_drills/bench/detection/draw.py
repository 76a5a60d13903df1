"""Draws runs from seeds: which trouble, where, how large, on what kind of job. Runs none of them.

Sources of numbers: shares of causes as in Meta's report on Llama 3 (419 interruptions of 16,384 H100), onset,
length and burstiness from StepFun's InfiniteHBD trace (inter-arrival CV 1.76: gamma of shape 0.32), fail-slow
sizes as in FALCON/Greyhound and ByteDance's what-if analysis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.scenario import (
    GUILTY,
    HANGS,
    HARD,
    SLOW,
    Noise,
    Scenario,
    Shape,
    Trouble,
)

SIZES: Final = (0.03, 0.05, 0.07, 0.10, 0.15, 0.20, 0.50, 1.00)
# Shapes by class of size: (data, pipeline, tensor).
_SHAPES: Final[dict[str, tuple[tuple[int, int, int], ...]]] = {
    "8-64": ((8, 1, 1), (16, 1, 1), (4, 2, 4), (8, 1, 8), (32, 1, 1), (4, 4, 4)),
    "128-512": ((16, 1, 8), (8, 4, 8), (16, 4, 8), (128, 1, 1), (32, 2, 4)),
    "1024": ((32, 4, 8), (128, 1, 8)),
    "4096": ((64, 8, 8),),
    "16384": ((128, 16, 8),),
}
# How often a kind starts an interruption of a large job; slow kinds share a tenth, as ByteRobust and
# InfiniteHBD let one hardware fault in ten begin as a slowdown. The rest by Llama 3's counts.
MIX: Final[dict[str, float]] = {
    "gpu_off_bus": 148, "gpu_memory": 72, "gsp_timeout": 36, "nvlink_fault": 12, "port_down": 35,
    "node_silent": 14, "rank_killed": 40, "rank_oom": 14,
    "hang_stopped": 5, "hang_blocked": 8, "hang_code": 20, "hang_gpu": 15,
    "gpu_slow": 8, "thermal": 6, "power_brake": 3, "clock_low": 4, "pcie_narrow": 6, "cpu_quota": 2,
    "cpu_contention": 4, "dataloader": 5, "node_slow": 2, "slow_link": 7, "nvlink_slow": 2,
    "slow_since_start": 3,
}  # fmt: skip
_BURST_SHAPE: Final = 0.32
# Far more than any seed that is given, so that no run of one seed is a run of another.
_REPEAT: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is simulated."""

    per_kind: dict[str, int]  # runs of each guilty kind by class of size
    curve: int  # runs of each size of the slowdown curve
    innocent: int
    double: int
    clean_steps: dict[str, int]  # steps of the long clean run by class of size
    clean_runs: dict[str, int]


PLANS: Final[dict[str, Plan]] = {
    "smoke": Plan(per_kind={"8-64": 1}, curve=1, innocent=1, double=1, clean_steps={"8-64": 300},
                  clean_runs={"8-64": 1}),
    "small": Plan(per_kind={"8-64": 2, "128-512": 1}, curve=4, innocent=3, double=6,
                  clean_steps={"128-512": 1500, "1024": 1500}, clean_runs={"128-512": 3, "1024": 3}),
    "full": Plan(per_kind={"8-64": 6, "128-512": 4, "1024": 2, "4096": 1}, curve=16, innocent=10, double=24,
                 clean_steps={"128-512": 4000, "1024": 4000, "4096": 1500, "16384": 300},
                 clean_runs={"128-512": 8, "1024": 6, "4096": 2, "16384": 1}),
}  # fmt: skip


def runs(plan: Plan, seed: int) -> Iterator[tuple[str, Scenario]]:
    """Yield (suite, run) for everything but the public data."""
    for size_class, count in plan.per_kind.items():
        for number in range(count):
            for at, kind in enumerate(GUILTY):
                yield "faults", _guilty(kind, size_class, seed + _REPEAT * (1 + number) + at, None)
    for number in range(plan.curve):
        for at, size in enumerate(SIZES):
            kind = ("gpu_slow", "dataloader", "thermal", "cpu_contention")[number % 4]
            yield (
                "curve",
                _guilty(kind, "8-64" if number % 2 else "128-512", seed + 50_000 + 100 * number + at, size),
            )
    for number in range(plan.innocent):
        for at, kind in enumerate(_INNOCENT):
            yield "innocent", _innocent(kind, seed + 100_000 + 100 * number + at)
    for number in range(plan.double):
        yield "two", _double(seed + 150_000 + number)
    for size_class, count in plan.clean_runs.items():
        for number in range(count):
            yield "clean", _clean(size_class, plan.clean_steps[size_class], seed + 200_000 + 10 * number)


def _dice(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 0])


def _shape(dice: np.random.Generator, size_class: str) -> Shape:
    shapes = _SHAPES[size_class]
    data, pipeline, tensor = shapes[dice.integers(len(shapes))]
    return Shape(data=data, pipeline=pipeline, tensor=tensor)


def _noise(dice: np.random.Generator, *, drift: float = 0.0) -> Noise:
    """Return a job's noise: heavy tails, parts that differ, now and then a stall."""
    return Noise(
        sigma=float(np.exp(dice.uniform(np.log(0.004), np.log(0.03)))),
        tail=float(dice.choice([3.0, 4.0, 8.0])),
        drift=0.9 if drift else 0.0,
        drift_sigma=drift,
        silicon=float(dice.uniform(0.003, 0.012)),
        bump_chance=float(dice.choice([0.0, 0.0003, 0.001])),
        bump_s=float(dice.uniform(0.02, 0.3)),
        transfer_sigma=float(dice.uniform(0.02, 0.12)),
    )


def _step_s(dice: np.random.Generator) -> float:
    """Return a step's length: a quarter second for small jobs, tens of seconds for the largest models."""
    return float(np.exp(dice.uniform(np.log(0.3), np.log(20.0))))


def _base(
    dice: np.random.Generator, seed: int, name: str, *, shape: Shape, step_s: float, noise: Noise
) -> Scenario:
    return Scenario(
        name=name, seed=seed, shape=shape, step_s=step_s, noise=noise,
        transport="rdma" if shape.tensor > 1 or shape.ranks > 64 else "tcp",
        checkpoint_every=int(dice.choice([0, 0, 60])), checkpoint_s=float(dice.uniform(2.0, 4.0)) * step_s,
        tagged=bool(dice.random() < 0.5),
        look_s=max(1.0, round(step_s / 2)),
    )  # fmt: skip


def _guilty(kind: str, size_class: str, seed: int, size: float | None) -> Scenario:
    dice = _dice(seed)
    shape, step_s = _shape(dice, size_class), _step_s(dice)
    if kind == "nvlink_slow":
        shape = Shape(data=max(2, shape.ranks // 8), tensor=8)
    if kind in ("node_slow", "node_silent", "slow_link", "port_down") and shape.nodes < 4:
        shape = Shape(data=4 * 8)
    size = float(np.exp(dice.uniform(np.log(0.1), np.log(1.0)))) if size is None else size
    warm_s = 0.0 if kind == "slow_since_start" else (40 + dice.uniform(0, 10)) * step_s + 20.0
    rank = int(dice.integers(shape.ranks))
    lasts_s = warm_s + _patience_s(kind, step_s) + (60.0 * step_s if kind == "slow_since_start" else 0.0)
    base = _base(dice, seed, kind, shape=shape, step_s=step_s, noise=_noise(dice))
    sharp = kind in HARD or kind in HANGS or kind == "node_silent"
    return _with(base, troubles=(Trouble(kind=kind, rank=rank, size=size, after_s=warm_s),), lasts_s=lasts_s,
                 look_s=min(base.look_s, 2.0) if sharp else base.look_s,
                 dense_s=25.0 if sharp else 0.0)  # fmt: skip


def _patience_s(kind: str, step_s: float) -> float:
    """Return how long a fault is watched: long enough for the slowest published rule that is compared."""
    if kind in SLOW:
        return max(40.0, 30.0 * step_s)
    return 70.0 if kind in HARD else max(60.0, 25.0 * step_s) if kind in HANGS else 40.0


_INNOCENT: Final = (
    "red_herrings", "checkpoint", "gc_everywhere", "sequence_imbalance", "stage_imbalance", "congestion",
    "storage_slow", "drifting_noise",
)  # fmt: skip


def _innocent(kind: str, seed: int) -> Scenario:
    dice = _dice(seed)
    shape = _shape(dice, "8-64" if dice.random() < 0.5 else "128-512")
    if kind == "stage_imbalance":
        shape = Shape(data=4, pipeline=4, tensor=4)
    step_s, noise = _step_s(dice), _noise(dice, drift=0.05 if kind == "drifting_noise" else 0.0)
    if kind == "sequence_imbalance":
        noise = Noise(sigma=noise.sigma, tail=noise.tail, sequence=float(dice.uniform(0.12, 0.3)))
    if kind == "gc_everywhere":
        noise = Noise(sigma=noise.sigma, tail=noise.tail, bump_chance=0.001, bump_s=0.4 * step_s)
    base = _base(dice, seed, kind, shape=shape, step_s=step_s, noise=noise)
    base = _with(base, says_work=kind == "sequence_imbalance" and bool(dice.random() < 0.5))
    if kind == "checkpoint":
        base = _with(base, checkpoint_every=20)
    since_start = kind in ("stage_imbalance", "sequence_imbalance", "checkpoint", "drifting_noise")
    after_s = 0.0 if since_start else 40 * step_s + 20.0
    size = float(dice.uniform(0.3, 0.8)) if kind != "gc_everywhere" else 1.0
    return _with(
        base, troubles=(Trouble(kind=kind, size=size, after_s=after_s),), lasts_s=after_s + 60 * step_s + 60.0
    )


def _double(seed: int) -> Scenario:
    """Return a run with two faults on different nodes, as close as bursts bring them."""
    dice = _dice(seed)
    shape, step_s = Shape(data=16, pipeline=int(dice.choice([1, 2])), tensor=4), _step_s(dice) / 2
    kinds = dice.choice(["gpu_slow", "thermal", "dataloader", "cpu_contention", "pcie_narrow"], size=2)
    replicas = dice.choice(shape.data, size=2, replace=False)
    ranks = [int(replica) * shape.tensor + int(dice.integers(shape.tensor)) for replica in replicas]
    warm_s = 45 * step_s + 20.0
    gap_s = min(20 * step_s, float(dice.gamma(_BURST_SHAPE, 10 * step_s / _BURST_SHAPE)))
    troubles = tuple(
        Trouble(kind=str(kind), rank=rank, size=float(dice.uniform(0.15, 0.6)), after_s=warm_s + at * gap_s)
        for at, (kind, rank) in enumerate(zip(kinds, ranks, strict=True))
    )
    base = _base(dice, seed, "two", shape=shape, step_s=step_s, noise=_noise(dice))
    return _with(base, troubles=troubles, lasts_s=warm_s + gap_s + max(50.0, 40 * step_s))


def _clean(size_class: str, steps: int, seed: int) -> Scenario:
    """Return a long healthy run of long steps: most rank-days for the least work."""
    dice = _dice(seed)
    shape, step_s = _shape(dice, size_class), float(dice.uniform(10.0, 25.0))
    base = _base(
        dice,
        seed,
        "clean",
        shape=shape,
        step_s=step_s,
        noise=_noise(dice, drift=float(dice.choice([0.0, 0.0, 0.02]))),
    )
    return _with(
        base, troubles=(Trouble(kind="clean"),), lasts_s=steps * step_s, look_s=round(step_s), devices=False
    )


def _with(scenario: Scenario, **changes: object) -> Scenario:
    from dataclasses import replace

    return replace(scenario, **changes)  # type: ignore[arg-type]
