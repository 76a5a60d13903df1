"""What each kind of trouble does to the simulated world when it begins, in one table. Detects nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ringwatch_drills.bench.detection import innocent
from ringwatch_drills.bench.detection.feed import JOB, gpu_name, port_name
from ringwatch_drills.bench.detection.scenario import Trouble
from ringwatch_drills.bench.detection.world import World
from ringwatch_proto import events

Begin = Callable[[World, Trouble, float], None]
# NVML clocks event reasons (nvml.h).
_HW_SLOWDOWN, _SW_THERMAL, _HW_THERMAL, _BRAKE = 0x8, 0x20, 0x40, 0x80


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
    "clean": innocent.nothing,
    "red_herrings": innocent.herrings,
    "checkpoint": innocent.nothing,
    "gc_everywhere": innocent.stalls,
    "sequence_imbalance": innocent.nothing,
    "drifting_noise": innocent.nothing,
    "stage_imbalance": innocent.heavy_stage,
    "congestion": innocent.congestion,
    "storage_slow": innocent.storage,
    "user_stopped": innocent.nothing,
}
