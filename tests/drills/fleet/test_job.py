"""A simulated job as it runs."""

import numpy as np
import pytest

from ringwatch_drills.fleet.job import Pauses, RunningJob
from ringwatch_drills.fleet.plan import plan_fleet
from ringwatch_proto.layout import Phase, StepFlag


@pytest.fixture
def job() -> RunningJob:
    return RunningJob(plan_fleet(8).jobs[0], seed=1, begin_s=0.0, pauses=Pauses(every_steps=10, lasts_s=2.0))


def test_steps_that_ended_come_out_once_and_in_order(job: RunningJob) -> None:
    """Whatever the ticks are."""
    numbers = [step for now in (1.0, 1.1, 4.0, 9.0) for step in job.advance(now)[0]["step"][:, 0].tolist()]

    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 8


def test_durations_in_the_records_add_up_to_the_step(job: RunningJob) -> None:
    """Data, own work, collectives and pause are all there is to a step."""
    steps, collectives = job.advance(6.0)

    parts = steps["data_s"] + steps["compute_s"] + steps["pause_s"] + collectives["duration_s"].sum(axis=2)

    np.testing.assert_allclose(parts, steps["step_s"], rtol=1e-4)


def test_a_held_rank_stops_the_job_and_the_others_wait_in_a_collective(job: RunningJob) -> None:
    """As when one process is stopped."""
    job.advance(3.0)
    job.held[3] = job.stopped[3] = True
    job.advance(6.0)

    before = job.step
    steps, _ = job.advance(20.0)
    states = job.states(20.0, 1.0)

    assert len(steps) == 0
    assert job.step == before
    assert chr(states["process_state"][3]) == "T"
    assert states["phase"][3] == Phase.COMPUTE
    assert set(np.delete(states["phase"], 3).tolist()) == {int(Phase.COLLECTIVE)}
    assert (np.delete(states["launched"] - states["completed"], 3) == 1).all()


def test_a_rank_that_is_let_go_finishes_the_step_that_it_was_held_in(job: RunningJob) -> None:
    """The step then tells how long it took."""
    job.advance(3.0)
    job.held[3] = True
    job.advance(20.0)
    job.held[3] = False
    job.advance(21.0)

    steps, _ = job.advance(25.0)

    assert len(steps) > 0
    assert steps["step_s"][0].min() > 10.0
    assert steps["compute_s"][0].argmax() == 3


def test_a_pause_is_tagged_when_the_job_says_so(job: RunningJob) -> None:
    """Every tenth step here, and none of the others."""
    steps, _ = job.advance(10.0)

    tagged = steps["step"][(steps["flags"] & StepFlag.TAGGED_PAUSE).all(axis=1), 0]

    assert tagged.tolist() == [10]
    assert steps["pause_s"][10].min() > 2.0


def test_a_job_that_starts_again_goes_on_from_its_checkpoint(job: RunningJob) -> None:
    """Live, with counters from zero."""
    job.advance(9.5)
    job.ended = True
    job.alive[:] = False

    job.restart(30.0)

    assert job.step == 10
    assert job.alive.all()
    assert len(job.advance(36.0)[0]) > 0
