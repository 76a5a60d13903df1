"""The timetable of a step."""

import numpy as np
import pytest

from ringwatch_drills.fleet.plan import JobPlan, operations_of, plan_fleet
from ringwatch_drills.fleet.steps import Conditions, Timetable, draw, timetable


def timed(job: JobPlan, **changes: object) -> Timetable:
    ranks = job.world_size
    values: dict[str, object] = {
        "slowness": np.ones(ranks),
        "stall_s": np.zeros(ranks),
        "data_s": np.zeros(ranks),
        "link": np.ones(ranks),
        "pause_s": 0.0,
        **changes,
    }
    operations = operations_of(job)
    chance = draw(job, operations, np.random.default_rng(3))
    return timetable(job, operations, np.zeros(ranks), chance, Conditions(**values))  # type: ignore[arg-type]


@pytest.fixture
def job() -> JobPlan:
    return plan_fleet(16).jobs[0]


def one(ranks: int, rank: int, value: float, rest: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    array = np.full(ranks, rest)
    array[rank] = value
    return array


def test_a_slow_rank_waits_least_in_its_group(job: JobPlan) -> None:
    """The one that others wait for does not wait."""
    table = timed(job, slowness=one(job.world_size, 11, 1.6, 1.0))

    first = table.ends_s[:, 0] - table.starts_s[:, 0]
    group = job.groups["tp"][11 // job.tensor_parallel]

    assert group[np.argmin(first[group])] == 11
    assert first[group].min() < 0.2 * np.median(first[group])


def test_a_rank_that_never_arrives_holds_up_the_whole_job(job: JobPlan) -> None:
    """A hang spreads through the groups without any code for it."""
    table = timed(job, stall_s=one(job.world_size, 5, np.inf, 0.0))

    assert np.isinf(table.next_begin_s).all()
    assert np.isinf(table.starts_s[5, 0])
    assert np.isfinite(np.delete(table.starts_s[:, 0], 5)).all()


def test_a_slow_link_stretches_the_transfers_that_cross_it_and_no_others(job: JobPlan) -> None:
    """Tensor-parallel groups stay on their node and see nothing of it."""
    healthy = timed(job)
    slow = timed(job, link=one(job.world_size, 5, 9.0, 1.0))

    def least(table: Timetable, operation: int, members: list[int]) -> float:
        return float((table.ends_s - table.starts_s)[members, operation].min())

    roles = [operation.role for operation in operations_of(job)]
    inside, across = roles.index("tp"), roles.index("dp")
    column = next(group for group in job.groups["dp"] if 5 in group).tolist()
    assert least(slow, across, column) > 5 * least(healthy, across, column)
    assert least(slow, inside, [5]) == pytest.approx(least(healthy, inside, [5]))


def test_a_pause_is_the_same_for_all_and_lies_after_the_last_collective(job: JobPlan) -> None:
    """A checkpoint blames nobody."""
    table = timed(job, pause_s=2.5)

    pauses = table.next_begin_s - table.ends_s[:, -1]

    assert pauses.min() > 2.5
    assert np.ptp(pauses) < 0.05
