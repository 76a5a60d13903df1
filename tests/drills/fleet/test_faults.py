"""Faults of the simulated fleet, and their undoing."""

import numpy as np
import pytest

from ringwatch_drills.fleet.faults import BY_NAME, FAULTS, SimulatedFault, default_target
from ringwatch_drills.fleet.plan import plan_fleet
from ringwatch_drills.fleet.world import World
from ringwatch_drills.truth import TRUTHS


@pytest.fixture
def world() -> World:
    world = World(plan_fleet(8), 0.0, nccl_timeout_s=20.0)
    go(world, 5)
    return world


def go(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.advance(world.now_s + 1.0)


def median_step_s(world: World) -> list[float]:
    return [job.step_s for job in world.jobs]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_can_be_undone(world: World, fault: SimulatedFault) -> None:
    """Afterwards both jobs run as before."""
    before = median_step_s(world)
    target = default_target(world, fault)

    fault.begin(world, target)
    go(world, 12)
    fault.undo(world, target)
    go(world, 45)

    steps = [job.step for job in world.jobs]
    go(world, 4)
    assert all(job.step > step for job, step in zip(world.jobs, steps, strict=True))
    np.testing.assert_allclose(median_step_s(world), before, rtol=0.15)


@pytest.mark.parametrize("name", ["thermal", "power-brake", "slow-link", "dataloader"])
def test_a_slow_fault_slows_its_job_and_no_other(world: World, name: str) -> None:
    """The job of the target pays."""
    before = median_step_s(world)
    fault = BY_NAME[name]
    target = default_target(world, fault)

    fault.begin(world, target)
    go(world, 25)

    for job, was in zip(world.jobs, before, strict=True):
        if job.plan.holds(target.node):
            assert job.step_s > 1.15 * was
        else:
            assert job.step_s < 1.1 * was


@pytest.mark.parametrize("name", ["hang", "dead-rank", "gpu-off-bus"])
def test_a_hard_fault_stops_its_job_until_nccl_gives_up(world: World, name: str) -> None:
    """The time-out comes last and is never the cause."""
    fault = BY_NAME[name]
    target = default_target(world, fault)
    found = world.rank_at(target)
    assert found is not None
    job = found[0]

    fault.begin(world, target)
    go(world, 10)
    stood_at = job.step
    go(world, 5)
    assert (job.step, job.ended) == (stood_at, False)

    go(world, 20)
    reasons = [
        event.fields["reason"] for event in world.take_events(target.node) if event.kind == "rank.left"
    ]
    assert job.ended
    assert all("NCCL watchdog" in reason for reason in reasons)


def test_there_is_a_truth_for_every_fault() -> None:
    """A drill without a right answer teaches nothing."""
    assert {fault.name for fault in FAULTS} <= set(TRUTHS)
