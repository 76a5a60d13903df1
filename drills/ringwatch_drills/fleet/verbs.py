"""How simulated nodes answer verbs: from the world, and with an effect on the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ringwatch_drills.fleet import gpus
from ringwatch_drills.fleet.world import World
from ringwatch_proto import probe
from ringwatch_proto.errors import VerbRefused
from ringwatch_proto.v1 import telemetry_pb2 as pb
from ringwatch_proto.verbs import check_request

# TFLOP/s of a dense product on a healthy GPU of the simulation: a round number, measured nowhere.
_GEMM_TFLOPS: Final = 600.0

Answer = Callable[[World, int, pb.VerbRequest], pb.VerbResult]


def answer(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    """Carry a verb out on a simulated node; refuse what the list or the node does not allow."""
    try:
        check_request(request.verb, request.arguments)
    except VerbRefused as refused:
        return pb.VerbResult(status=pb.VERB_STATUS_REFUSED, text=str(refused))
    run = VERBS.get(request.verb)
    if run is None:
        return pb.VerbResult(status=pb.VERB_STATUS_REFUSED, text=f"this node's policy has no {request.verb}")
    return run(world, node, request)


def _done(text: str, **facts: str) -> pb.VerbResult:
    return pb.VerbResult(status=pb.VERB_STATUS_DONE, text=text, facts=facts)


def _failed(text: str) -> pb.VerbResult:
    return pb.VerbResult(status=pb.VERB_STATUS_FAILED, text=text)


def _gpu_row(world: World, node: int, request: pb.VerbRequest) -> int | None:
    for gpu in range(world.plan.gpus_per_node):
        if world.plan.gpu_id(node, gpu) == request.arguments["gpu"]:
            return node * world.plan.gpus_per_node + gpu
    return None


def _inspect_gpu(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    row = _gpu_row(world, node, request)
    if row is None:
        return _failed(f"no GPU {request.arguments['gpu']} on this node")
    if world.gpus.lost[row]:
        return _failed("NVML: GPU is lost")
    values = world.gpus.table()[row]
    facts = {
        "gpu." + name: f"{value:g}"
        for name, value in zip(gpus.COLUMNS, values.tolist(), strict=True)
        if np.isfinite(value)
    }
    text = (
        f"{facts['gpu.temperature_celsius']} C, {facts['gpu.power_watts']} W, "
        f"SM {facts['gpu.sm_clock_mhz']} of {facts['gpu.sm_clock_max_mhz']} MHz"
    )
    return _done(text, **facts)


def _reset_clocks(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    row = _gpu_row(world, node, request)
    if row is None:
        return _failed(f"no GPU {request.arguments['gpu']} on this node")
    if world.gpus.lost[row]:
        return _failed("NVML: GPU is lost")
    if request.dry_run:
        return _done("would take back the locked SM clocks of one GPU")
    world.gpus.locked_mhz[row] = np.nan
    # In the simulation somebody cleans the filter when the clocks are given back: a drill must end.
    world.gpus.airflow[row] = 1.0
    return _done("locked SM clocks taken back; simulated: with them the air flows again")


def _inspect_node(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    del request
    lines = world.kernel_lines[node][-5:]
    lost = int(world.gpus.lost.reshape(world.plan.nodes, -1)[node].sum())
    there = world.plan.gpus_per_node - lost
    text = "\n".join([f"{there} of {world.plan.gpus_per_node} GPUs answer", *lines])
    return _done(text, **{"node.gpus_answering": str(there), "node.kernel_faults": str(len(lines))})


def _inspect_process(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    found = world.rank_of_pid(node, int(request.arguments["pid"]))
    if found is None or not found[0].alive[found[1]]:
        return _failed(f"no training process {request.arguments['pid']}")
    job, rank = found
    state = "T" if job.stopped[rank] else "R"
    return _done(
        f"rank {rank} of {job.plan.name}: state {state}, no CPU quota",
        **{"process.state": state, "process.rank": str(rank), "process.job": job.plan.name},
    )


def _continue_process(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    found = world.rank_of_pid(node, int(request.arguments["pid"]))
    if found is None or not found[0].alive[found[1]]:
        return _failed(f"no training process {request.arguments['pid']}")
    job, rank = found
    if request.dry_run:
        return _done(f"would send SIGCONT to rank {rank}")
    if job.stopped[rank]:
        job.stopped[rank] = job.held[rank] = False
    return _done(f"SIGCONT sent to rank {rank}")


def _probe(world: World, node: int, request: pb.VerbRequest) -> pb.VerbResult:
    """Say what a probe would find in the world as it is: lost GPUs are wrong, slow ones slow.

    Unlike a real agent it does not refuse beside a job: nothing here could move the job away.
    """
    level = request.arguments["level"]
    if request.dry_run:
        return _done(f"dry run: would work out the {level} probe of a simulated node")
    result = probe.ProbeResult(
        node=world.plan.node_name(node),
        at_s=world.now_s,
        level=level,
        seconds=0.0,
        measures=tuple(_measure(world, node, gpu) for gpu in range(world.plan.gpus_per_node)),
        skipped=("simulated: nothing was loaded; memory, copies, pairs and storage have no model",),
    )
    facts = {"result": probe.to_json(result), "passed": "no" if result.wrong else "yes"}
    if result.wrong:
        return pb.VerbResult(status=pb.VERB_STATUS_FAILED, text="; ".join(result.wrong), facts=facts)
    return _done(f"simulated: {len(result.measures)} GPUs compute", **facts)


def _measure(world: World, node: int, gpu: int) -> probe.Measure:
    row = node * world.plan.gpus_per_node + gpu
    lost = bool(world.gpus.lost[row])
    return probe.Measure(
        name="gemm",
        device=world.plan.gpu_id(node, gpu),
        kind="simulated GPU",
        value=None if lost else _GEMM_TFLOPS / float(world.gpus.slowness[row]),
        unit="TFLOP/s",
        wrong="NVML: GPU is lost" if lost else "",
    )


VERBS: Final[dict[str, Answer]] = {
    "gpu.inspect": _inspect_gpu,
    "gpu.reset_clocks": _reset_clocks,
    "node.inspect": _inspect_node,
    "node.probe": _probe,
    "process.inspect": _inspect_process,
    "process.continue": _continue_process,
}
