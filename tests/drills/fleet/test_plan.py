"""The plan of a simulated fleet."""

import pytest

from ringwatch_drills.fleet.plan import operations_of, plan_fleet


@pytest.mark.parametrize("nodes", [1, 2, 4, 7, 64])
def test_groups_of_a_role_hold_every_rank_once(nodes: int) -> None:
    """A collective that left a rank out would leave it without a time."""
    for job in plan_fleet(nodes).jobs:
        for groups in job.groups.values():
            assert sorted(groups.ravel().tolist()) == list(range(job.world_size))


def test_tensor_parallel_groups_stay_on_one_node_and_data_parallel_ones_do_not() -> None:
    """As on real machines, where tensor parallelism needs NVLink."""
    job = plan_fleet(64).jobs[0]

    crossing = {operation.role: operation.crosses_nodes for operation in operations_of(job)}

    assert crossing == {"tp": False, "pp": True, "dp": True, "mp": True}


def test_no_two_communicators_share_index_or_name_within_a_job() -> None:
    """Packed records refer to them by index."""
    plan = plan_fleet(64)
    indexes = [index for job in plan.jobs for index, _, _ in job.communicators()]

    assert len(set(indexes)) == len(indexes)
    for job in plan.jobs:
        names = [name for _, name, _ in job.communicators()]
        assert len(set(names)) == len(names)


def test_the_work_of_a_step_is_whole_even_where_a_role_is_missing() -> None:
    """A job without a pipeline does as much between its remaining collectives."""
    for job in (*plan_fleet(64).jobs, *plan_fleet(8).jobs, *plan_fleet(1).jobs):
        assert sum(operation.work_share for operation in operations_of(job)) == pytest.approx(1.0)
