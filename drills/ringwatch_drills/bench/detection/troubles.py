"""What each kind of trouble does to the simulated world when it begins, in one table. Detects nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection.devices import Devices
from ringwatch_drills.bench.detection.feed import JOB, Feed, Processes, gpu_name, port_name
from ringwatch_drills.bench.detection.physics import Job
from ringwatch_drills.bench.detection.scenario import Scenario, Trouble
from ringwatch_proto import events


@dataclass(slots=True, kw_only=True)
class World:
    """What troubles reach for. ``later`` holds what happens after the trouble itself."""

    scenario: Scenario
    job: Job
    devices: Devices
    feed: Feed
    processes: Processes
    dice: np.random.Generator
    later: list[tuple[float, Callable[[float], None]]] = field(default_factory=list)

    def node(self, rank: int) -> int:
        """Return the node of a rank."""
        return int(self.job.node_of[rank])

    def on_node(self, rank: int) -> slice:
        """Return the ranks of the rank's node."""
        per_node = self.scenario.shape.per_node
        first = self.node(rank) * per_node
        return slice(first, min(first + per_node, self.scenario.shape.ranks))

    def after(self, at_s: float, delay_s: float, send: Callable[[float], None]) -> None:
        """Do something at a later time."""
        self.later.append((at_s + delay_s, send))

    def stop_rank(self, rank: int, at_s: float) -> None:
        """Let a rank never come to its next collective."""
        starts = self.job.now.starts_s[:, rank]
        coming = np.flatnonzero(starts > at_s)
        self.job.conditions.held[rank] = True
        if coming.size:
            self.job.hold_now(rank, int(coming[0]))


Begin = Callable[[World, Trouble, float], None]
# NVML clocks event reasons (nvml.h).
_POWER_CAP, _HW_SLOWDOWN, _SW_THERMAL, _HW_THERMAL, _BRAKE = 0x4, 0x8, 0x20, 0x40, 0x80


def _slow(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    world.job.conditions.slow[trouble.rank] *= 1.0 + trouble.size


def _clocks(world: World, trouble: Trouble, bits: int) -> None:
    world.job.conditions.slow[trouble.rank] *= 1.0 + trouble.size
    world.devices.clock[trouble.rank] /= 1.0 + trouble.size
    world.devices.bits[trouble.rank] |= bits


def _thermal(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    _clocks(world, trouble, int(world.dice.choice([_SW_THERMAL, _HW_THERMAL | _HW_SLOWDOWN])))
    world.devices.heat[trouble.rank] = 90.5


def _brake(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    _clocks(world, trouble, _BRAKE | _HW_SLOWDOWN)


def _clock_low(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    _clocks(world, trouble, 0)


def _pcie(world: World, trouble: Trouble, at_s: float) -> None:
    _slow(world, trouble, at_s)
    world.devices.width[trouble.rank] = 4.0


def _quota(world: World, trouble: Trouble, at_s: float) -> None:
    _slow(world, trouble, at_s)
    world.processes.throttled[trouble.rank] = trouble.size / (1.0 + trouble.size)


def _contention(world: World, trouble: Trouble, at_s: float) -> None:
    _slow(world, trouble, at_s)
    world.processes.runqueue[trouble.rank] = min(0.9, 0.2 + trouble.size)


def _loader(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    world.job.conditions.data_s[trouble.rank] += trouble.size * world.scenario.step_s


def _node(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    ranks = world.on_node(trouble.rank)
    world.job.conditions.slow[ranks] *= 1.0 + trouble.size
    world.processes.runqueue[ranks] = min(0.9, 0.2 + trouble.size)
    world.devices.steal[world.node(trouble.rank)] = 25.0


def _link(world: World, trouble: Trouble, at_s: float) -> None:
    """Slow what leaves a node so much that a step takes ``size`` longer."""
    del at_s
    node = world.node(trouble.rank)
    world.job.conditions.link[node] = 1.0 + trouble.size / 0.11
    if world.scenario.transport == "rdma":
        port = trouble.rank
        world.devices.errors[port] = 400.0
        if world.dice.random() < 0.5:
            world.devices.speed[port] = 100.0
    elif world.dice.random() < 0.5:
        world.devices.held_back[node] = 3000.0


def _nvlink_slow(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    world.job.conditions.inside[world.node(trouble.rank)] = 1.0 + trouble.size / 0.02
    world.devices.nvlink_errors[trouble.rank] = 300.0


def _xid(code: int, text: str, *, lost: bool = False, deadly: bool = True) -> Begin:
    def begin(world: World, trouble: Trouble, at_s: float) -> None:
        rank = trouble.rank
        line = f"NVRM: Xid (PCI:0000:{rank % 8:02x}:00): {code}, pid={4000 + rank % 8}, name=python, {text}"

        world.feed.event(world.node(rank), events.GPU_XID, at_s, code=code, text=line,
                         device=gpu_name(rank), fields={"pid": 4000 + rank % 8})  # fmt: skip
        if lost:
            world.devices.gpu_state[rank] = 1
        if deadly:
            world.stop_rank(rank, at_s)
            _others_die(world, rank, at_s + 40.0)

    return begin


def _others_die(world: World, first: int, at_s: float) -> None:
    """Let the others' watchdogs end them with words about a lost peer: symptoms, not causes."""
    ranks = [rank for rank in range(min(16, world.scenario.shape.ranks)) if rank != first]

    def end(now_s: float) -> None:
        for rank in ranks:
            world.feed.event(
                world.node(rank), events.RANK_LEFT, now_s + 0.001 * rank,
                fields={"job": JOB, "rank": rank, "pid": 4000 + rank % world.scenario.shape.per_node,
                        "reason": "exception: NCCL watchdog: collective timed out, connection closed"},
            )  # fmt: skip

    world.after(at_s, 0.0, end)


def _port(world: World, trouble: Trouble, at_s: float) -> None:
    rank = trouble.rank
    port = rank if world.scenario.transport == "rdma" else world.node(rank)
    world.devices.up[port] = 0.0

    world.feed.event(world.node(rank), events.PORT_DOWN, at_s, device=port_name(port),
                     text=f"{port_name(port)}: link is down")  # fmt: skip
    _stall(world, trouble, at_s)


def _killed(oom: bool) -> Begin:
    def begin(world: World, trouble: Trouble, at_s: float) -> None:
        rank, pid = trouble.rank, 4000 + trouble.rank % world.scenario.shape.per_node
        world.stop_rank(rank, at_s)
        world.processes.alive[rank] = False

        fields = {"job": JOB, "rank": rank, "pid": pid, "signal": 9}
        if oom:
            world.feed.event(world.node(rank), events.KERNEL_OOM, at_s - 0.1, fields={"pid": pid},
                             text=f"Out of memory: Killed process {pid} (python)")  # fmt: skip
        world.feed.event(world.node(rank), events.RANK_DIED, at_s, fields=fields)
        _others_die(world, rank, at_s + float(world.dice.choice([0.8, 45.0])))

    return begin


def _silent(world: World, trouble: Trouble, at_s: float) -> None:
    node = world.node(trouble.rank)
    world.feed.silent[node] = True
    for rank in range(*world.on_node(trouble.rank).indices(world.scenario.shape.ranks)):
        world.stop_rank(rank, at_s)
    world.after(at_s, 0.5, lambda _: world.feed.fleet.connected(f"n{node:05d}", connected=False))


def _stopped(world: World, trouble: Trouble, at_s: float) -> None:
    world.stop_rank(trouble.rank, at_s)
    world.processes.stopped[trouble.rank] = True


def _blocked(world: World, trouble: Trouble, at_s: float) -> None:
    world.stop_rank(trouble.rank, at_s)
    world.processes.letter[trouble.rank] = ord("D")


def _in_code(world: World, trouble: Trouble, at_s: float) -> None:
    world.stop_rank(trouble.rank, at_s)


def _stall(world: World, trouble: Trouble, at_s: float) -> None:
    """Let a rank stay in a collective that its peers have left, or be held from the next step on."""
    inside = np.flatnonzero(world.job.now.ends_s[:-1, trouble.rank] > at_s)
    if inside.size:
        world.job.stall_now(int(inside[0]), trouble.rank)
    else:
        world.job.conditions.held[trouble.rank] = True


# Innocent troubles.


def _nothing(world: World, trouble: Trouble, at_s: float) -> None:
    del world, trouble, at_s


def _herrings(world: World, trouble: Trouble, at_s: float) -> None:
    """Put out what looks like trouble and slows nobody."""
    shape, dice, devices = world.scenario.shape, world.dice, world.devices
    some = dice.choice(shape.ranks, size=min(6, shape.ranks), replace=False)
    devices.bits[some[:3]] |= _POWER_CAP
    devices.heat[some[-1]] = 84.0
    devices.width[some[-2]] = 16.0
    devices.errors[dice.integers(devices.ports)] = 0.4
    devices.extra["ecc_corrected_per_s"] = np.where(np.arange(shape.ranks) == some[0], 0.2, 0.0)
    del trouble
    for number, (code, text) in enumerate(((13, "Graphics Exception"), (43, "Ch 00000010"), (45, "Ch 0"))):
        rank = int(some[number])
        line = f"NVRM: Xid (PCI:0000:0{rank % 8}:00): {code}, pid={4000 + rank % 8}, name=python, {text}"

        world.feed.event(world.node(rank), events.GPU_XID, at_s, code=code, text=line, device=gpu_name(rank))


def _congestion(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    world.job.conditions.fabric = 1.0 + trouble.size / 0.11


def _storage(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    world.job.conditions.data_s += trouble.size * world.scenario.step_s
    world.devices.io_pressure[:] = 30.0


def _gc(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    ranks = world.scenario.shape.ranks
    world.job.conditions.bumps = trouble.size / max(1e-9, ranks * world.scenario.noise.bump_chance)


def _stage(world: World, trouble: Trouble, at_s: float) -> None:
    del at_s
    shape = world.scenario.shape
    world.job.conditions.stage[-shape.data * shape.tensor :] = 1.0 + trouble.size


BEGIN: Final[dict[str, Begin]] = {
    "gpu_slow": _slow,
    "slow_since_start": _slow,
    "thermal": _thermal,
    "power_brake": _brake,
    "clock_low": _clock_low,
    "pcie_narrow": _pcie,
    "cpu_quota": _quota,
    "cpu_contention": _contention,
    "dataloader": _loader,
    "node_slow": _node,
    "slow_link": _link,
    "nvlink_slow": _nvlink_slow,
    "gpu_off_bus": _xid(79, "GPU has fallen off the bus.", lost=True),
    "gpu_memory": _xid(48, "An uncorrectable double bit error (DBE) has been detected on GPU"),
    "nvlink_fault": _xid(74, "NVLink: fatal error detected on link 3"),
    "gsp_timeout": _xid(119, "Timeout after 6s of waiting for RPC response from GPU0 GSP!"),
    "port_down": _port,
    "rank_killed": _killed(oom=False),
    "rank_oom": _killed(oom=True),
    "node_silent": _silent,
    "hang_stopped": _stopped,
    "hang_blocked": _blocked,
    "hang_code": _in_code,
    "hang_gpu": _stall,
    "clean": _nothing,
    "red_herrings": _herrings,
    "checkpoint": _nothing,
    "gc_everywhere": _gc,
    "sequence_imbalance": _nothing,
    "drifting_noise": _nothing,
    "stage_imbalance": _stage,
    "congestion": _congestion,
    "storage_slow": _storage,
    "user_stopped": _nothing,
}
