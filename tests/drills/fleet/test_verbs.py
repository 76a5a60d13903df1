"""Verbs on simulated nodes."""

import pytest

from ringwatch_drills.fleet.faults import BY_NAME, default_target
from ringwatch_drills.fleet.plan import plan_fleet
from ringwatch_drills.fleet.verbs import answer
from ringwatch_drills.fleet.world import World
from ringwatch_proto import probe
from ringwatch_proto.v1 import telemetry_pb2 as pb


@pytest.fixture
def world() -> World:
    world = World(plan_fleet(8), 0.0)
    go(world, 3)
    return world


def go(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.advance(world.now_s + 1.0)


def ask(world: World, node: int, verb: str, **arguments: str) -> pb.VerbResult:
    return answer(world, node, pb.VerbRequest(verb=verb, arguments=arguments))


def test_resetting_the_clocks_heals_an_overheated_gpu(world: World) -> None:
    """A dry run changes nothing."""
    fault = BY_NAME["thermal"]
    target = default_target(world, fault)
    gpu, row = world.plan.gpu_id(target.node, target.gpu), world.flat_gpu(target)
    fault.begin(world, target)
    go(world, 20)

    dry = pb.VerbRequest(verb="gpu.reset_clocks", arguments={"gpu": gpu}, dry_run=True)
    assert answer(world, target.node, dry).status == pb.VERB_STATUS_DONE
    go(world, 10)
    assert world.gpus.slowness[row] > 1.2

    assert ask(world, target.node, "gpu.reset_clocks", gpu=gpu).status == pb.VERB_STATUS_DONE
    go(world, 40)
    assert world.gpus.slowness[row] == 1.0


def test_continuing_a_stopped_process_lets_its_job_go_on(world: World) -> None:
    """The process is found by its pid, as a real agent finds it."""
    fault = BY_NAME["hang"]
    target = default_target(world, fault)
    found = world.rank_at(target)
    assert found is not None
    job, rank = found
    pid = str(world.pid_of(job.plan, rank))
    fault.begin(world, target)
    go(world, 5)
    stood_at = job.step

    assert ask(world, target.node, "process.inspect", pid=pid).facts["process.state"] == "T"
    assert ask(world, target.node, "process.continue", pid=pid).status == pb.VERB_STATUS_DONE
    go(world, 5)
    assert job.step > stood_at


def test_a_lost_gpu_does_not_answer(world: World) -> None:
    """And the node says what its kernel said."""
    fault = BY_NAME["gpu-off-bus"]
    target = default_target(world, fault)
    fault.begin(world, target)

    gpu = world.plan.gpu_id(target.node, target.gpu)

    assert ask(world, target.node, "gpu.inspect", gpu=gpu).status == pb.VERB_STATUS_FAILED
    assert "Xid" in ask(world, target.node, "node.inspect").text


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("shell.run", {}),
        ("gpu.inspect", {}),
        ("gpu.inspect", {"gpu": "GPU; rm"}),
        ("process.terminate", {"pid": "77"}),
    ],
)
def test_what_is_not_on_the_list_is_refused(world: World, verb: str, arguments: dict[str, str]) -> None:
    """With a reason."""
    result = ask(world, 0, verb, **arguments)

    assert result.status == pb.VERB_STATUS_REFUSED
    assert result.text


def test_a_probe_fails_for_a_lost_gpu_and_passes_once_it_is_replaced(world: World) -> None:
    """A dry run measures nothing; each probe carries a result that the collector can judge."""
    fault = BY_NAME["gpu-off-bus"]
    target = default_target(world, fault)
    fault.begin(world, target)
    lost = ask(world, target.node, "node.probe", level="full")
    assert lost.status == pb.VERB_STATUS_FAILED
    assert probe.from_json(lost.facts["result"]).wrong

    fault.undo(world, target)
    well = ask(world, target.node, "node.probe", level="full")
    assert well.status == pb.VERB_STATUS_DONE
    assert probe.judge(probe.from_json(well.facts["result"]), ()).passed
    dry = pb.VerbRequest(verb="node.probe", arguments={"level": "full"}, dry_run=True)
    assert not answer(world, target.node, dry).facts
