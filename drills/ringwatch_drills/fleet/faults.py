"""What can go wrong in a simulated fleet, by name: how it begins and how it is undone.

A fault changes the world and nothing else; what follows from it is for the world to work out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ringwatch_drills.fleet.world import Target, World
from ringwatch_proto import events
from ringwatch_proto.records import Severity

Change = Callable[[World, Target], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFault:
    """One fault. ``strikes`` is gpu, node or rank; ``needs`` is the transport that the job must have."""

    name: str
    help: str
    strikes: str
    begin: Change
    undo: Change
    needs: str = ""


def _block_air(world: World, target: Target) -> None:
    # A dust-clogged heat sink: the closed loop of heat and clock does the rest.
    world.gpus.airflow[world.flat_gpu(target)] = 0.30


def _clear_air(world: World, target: Target) -> None:
    world.gpus.airflow[world.flat_gpu(target)] = 1.0


def _node(world: World, target: Target) -> slice:
    begin = target.node * world.plan.gpus_per_node
    return slice(begin, begin + world.plan.gpus_per_node)


def _brake(world: World, target: Target) -> None:
    world.gpus.brake[_node(world, target)] = True


def _release_brake(world: World, target: Target) -> None:
    world.gpus.brake[_node(world, target)] = False


def _lose_gpu(world: World, target: Target) -> None:
    world.gpus.lost[world.flat_gpu(target)] = True
    gpu = world.plan.gpu_id(target.node, target.gpu)
    pci = pci_address(target.gpu)
    found = world.rank_at(target)
    pid = world.pid_of(found[0].plan, found[1]) if found else 0
    line = f"NVRM: Xid (PCI:{pci[:-2]}): 79, pid={pid}, name=python3, GPU has fallen off the bus."
    world.kernel_lines[target.node].append(line)
    world.say(
        target.node,
        events.GPU_XID,
        Severity.CRITICAL,
        "kmsg",
        line,
        device=gpu,
        code=79,
        fields={"pci": pci, "pid": str(pid)},
    )
    world.say(target.node, events.GPU_LOST, Severity.CRITICAL, "nvml", "GPU is lost", device=gpu)
    if found:
        found[0].held[found[1]] = True


def _replace_gpu(world: World, target: Target) -> None:
    world.gpus.lost[world.flat_gpu(target)] = False
    gpu = world.plan.gpu_id(target.node, target.gpu)
    world.say(target.node, events.GPU_RECOVERED, Severity.INFO, "nvml", "GPU answers again", device=gpu)
    _go_on(world, target)


def _slow_egress(world: World, target: Target) -> None:
    world.network.egress[target.node] = 9.0


def _restore_egress(world: World, target: Target) -> None:
    world.network.egress[target.node] = 1.0


def _stop(world: World, target: Target) -> None:
    found = world.rank_at(target)
    if found:
        found[0].held[found[1]] = found[0].stopped[found[1]] = True


def _go_on(world: World, target: Target) -> None:
    found = world.rank_at(target)
    if found is None:
        return
    job, rank = found
    job.held[rank] = job.stopped[rank] = False
    if job.ended or not job.alive[rank]:
        world.restart_job(job)


def _kill(world: World, target: Target) -> None:
    found = world.rank_at(target)
    if found is None:
        return
    job, rank = found
    job.held[rank], job.alive[rank] = True, False
    fields = {
        "job": job.plan.name,
        "rank": str(rank),
        "pid": str(world.pid_of(job.plan, rank)),
        "signal": "9",
    }
    text = f"rank {rank} ended without a goodbye"
    world.say(target.node, events.RANK_DIED, Severity.CRITICAL, "steps", text, fields=fields)


def _stall_loader(world: World, target: Target) -> None:
    found = world.rank_at(target)
    if found:
        found[0].extra_data_s[found[1]] = 0.45
        world.blocked[target.node] = 3.0


def _restore_loader(world: World, target: Target) -> None:
    found = world.rank_at(target)
    if found:
        found[0].extra_data_s[found[1]] = 0.0
        world.blocked[target.node] = 0.0


def _silence(world: World, target: Target) -> None:
    world.silent[target.node] = True


def _speak(world: World, target: Target) -> None:
    world.silent[target.node] = False


def _nothing(world: World, target: Target) -> None:
    del world, target


def pci_address(gpu: int) -> str:
    """Return the PCI address of a node's GPU."""
    return f"0000:{0x1B + gpu * 0x11:02x}:00.0"


FAULTS: Final[tuple[SimulatedFault, ...]] = (
    SimulatedFault(
        name="thermal",
        help="one GPU overheats and slows down",
        strikes="gpu",
        begin=_block_air,
        undo=_clear_air,
    ),
    SimulatedFault(
        name="power-brake",
        help="the board brakes all GPUs of a node",
        strikes="node",
        begin=_brake,
        undo=_release_brake,
    ),
    SimulatedFault(
        name="gpu-off-bus",
        help="a GPU falls off the PCIe bus (Xid 79)",
        strikes="gpu",
        begin=_lose_gpu,
        undo=_replace_gpu,
    ),
    SimulatedFault(
        name="slow-link",
        help="a node sends at a ninth of its rate",
        strikes="node",
        begin=_slow_egress,
        undo=_restore_egress,
        needs="tcp",
    ),
    SimulatedFault(name="hang", help="one rank is stopped", strikes="rank", begin=_stop, undo=_go_on),
    SimulatedFault(name="dead-rank", help="one rank is killed", strikes="rank", begin=_kill, undo=_go_on),
    SimulatedFault(
        name="dataloader",
        help="one rank waits for its data",
        strikes="rank",
        begin=_stall_loader,
        undo=_restore_loader,
    ),
    SimulatedFault(
        name="agent-silent", help="a node's agent stops", strikes="node", begin=_silence, undo=_speak
    ),
    SimulatedFault(name="none", help="nothing happens", strikes="none", begin=_nothing, undo=_nothing),
)

BY_NAME: Final[dict[str, SimulatedFault]] = {fault.name: fault for fault in FAULTS}


def default_target(world: World, fault: SimulatedFault) -> Target:
    """Return where the fault strikes when nobody says: the same place for the same seed."""
    jobs = [job for job in world.plan.jobs if fault.needs in ("", job.transport)] or list(world.plan.jobs)
    job = jobs[world.plan.seed % len(jobs)] if fault.needs else jobs[0]
    return Target(
        node=job.first_node + (7 + 4 * world.plan.seed) % job.nodes,
        gpu=(2 + world.plan.seed) % job.gpus_per_node,
    )
