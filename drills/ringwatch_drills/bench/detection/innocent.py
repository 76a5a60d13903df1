"""Troubles for which nobody is to blame, and what only looks like trouble. Detects nothing."""

from __future__ import annotations

from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.feed import gpu_name
from ringwatch_drills.bench.detection.scenario import Trouble
from ringwatch_drills.bench.detection.world import World
from ringwatch_proto import events

# The NVML clocks event reason of a GPU at its power limit, which is normal under load.
POWER_CAP: Final = 0x4


def nothing(world: World, trouble: Trouble, at_s: float) -> None:
    """Do nothing."""
    del world, trouble, at_s


def herrings(world: World, trouble: Trouble, at_s: float) -> None:
    """Put out what looks like trouble and slows nobody."""
    shape, dice, devices = world.scenario.shape, world.dice, world.devices
    some = dice.choice(shape.ranks, size=min(6, shape.ranks), replace=False)
    devices.bits[some[:3]] |= POWER_CAP
    devices.heat[some[-1]] = 84.0
    devices.width[some[-2]] = 16.0
    devices.errors[dice.integers(devices.ports)] = 0.4
    devices.extra["ecc_corrected_per_s"] = np.where(np.arange(shape.ranks) == some[0], 0.2, 0.0)
    del trouble
    for number, (code, text) in enumerate(((13, "Graphics Exception"), (43, "Ch 00000010"), (45, "Ch 0"))):
        rank = int(some[number])
        line = f"NVRM: Xid (PCI:0000:0{rank % 8}:00): {code}, pid={4000 + rank % 8}, name=python, {text}"

        world.feed.event(world.node(rank), events.GPU_XID, at_s, code=code, text=line, device=gpu_name(rank))


def congestion(world: World, trouble: Trouble, at_s: float) -> None:
    """Slow every transfer that crosses nodes."""
    del at_s
    world.job.conditions.fabric = 1.0 + trouble.size / 0.11


def storage(world: World, trouble: Trouble, at_s: float) -> None:
    """Let every rank wait for data."""
    del at_s
    world.job.conditions.data_s += trouble.size * world.scenario.step_s
    world.devices.io_pressure[:] = 30.0


def stalls(world: World, trouble: Trouble, at_s: float) -> None:
    """Let ranks stall at random, as garbage collection does."""
    del at_s
    ranks = world.scenario.shape.ranks
    world.job.conditions.bumps = trouble.size / max(1e-9, ranks * world.scenario.noise.bump_chance)


def heavy_stage(world: World, trouble: Trouble, at_s: float) -> None:
    """Give the last stage more to do."""
    del at_s
    shape = world.scenario.shape
    world.job.conditions.stage[-shape.data * shape.tensor :] = 1.0 + trouble.size
