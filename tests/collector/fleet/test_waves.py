"""Batches that wait for a look: nothing of them depends on when they are written, or with which others."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from tests.collector.rig import batch, collective, event, gpu_block, hello, rank_state, step

from ringwatch_collector.fleet.rank_rows import RankRows
from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.fleet.waves import Waves
from ringwatch_collector.view import FleetView
from ringwatch_proto import layout
from ringwatch_proto.signals import BY_NAME

NODES, STEPS = 7, 12
POWER = BY_NAME["gpu.power_watts"].id


def _fed(*, at_once: bool, seed: int) -> FleetView:
    """Return a fleet of three jobs, each batch written at once or all together."""
    dice = np.random.default_rng(seed)
    now_s = float(int(time.time()))
    state = FleetState(FleetPolicy(), Counter(), now_s)
    nodes = [
        state.hello(hello(f"n{at}", ranks=2, first_rank=2 * at, world_size=14, job=f"j{at % 3}"), now_s)
        for at in range(NODES)
    ]
    for number in range(1, STEPS):
        for node in dice.permutation(NODES).tolist():
            made = batch(
                number,
                blocks=[gpu_block(value=float(dice.integers(1, 99)))],
                wall_ns=round((now_s - STEPS + number) * 1e9),
                steps=step(0, number, 0.1 * node) + step(1, number, 0.2),
                collectives=collective(0, number, 0, 0.01 * node) + collective(1, number, 1, 0.02),
                rank_states=rank_state(0, number) + rank_state(1, number + node),
            )
            state.batch(nodes[node], made, "s", now_s)
            if at_once:
                state.settle()
    return state.view(now_s)


def test_batches_written_together_leave_what_they_leave_one_by_one() -> None:
    """The newest reading stands, history holds every second, steps and states are those of their ranks."""
    one, many = _fed(at_once=True, seed=3), _fed(at_once=False, seed=3)
    np.testing.assert_array_equal(one.gpu.latest(POWER), many.gpu.latest(POWER))
    np.testing.assert_array_equal(one.gpu.window(POWER, 30)[1], many.gpu.window(POWER, 30)[1])
    assert [job.job for job in one.jobs] == [job.job for job in many.jobs]
    for before, after in zip(one.jobs, many.jobs, strict=True):
        np.testing.assert_array_equal(before.ranks, after.ranks)
        np.testing.assert_array_equal(before.step_s, after.step_s)
        np.testing.assert_array_equal(before.collective_s, after.collective_s)
        np.testing.assert_array_equal(before.states.step, after.states.step)


def test_a_node_that_catches_up_has_one_batch_a_wave() -> None:
    """No wave holds two batches whose order would matter."""
    waves = Waves()
    for node in (0, 1, 0, 0, 2, 1):
        waves.of(node).begin(node, 0.0, 0.0, live=True)
    assert [wave.nodes for wave in waves.take()] == [[0, 1, 2], [0, 1], [0]]
    assert list(waves.take()) == []


def test_a_rank_that_died_stays_dead_though_its_last_state_waited_with_the_event() -> None:
    """What a batch says of its ranks is written before what its events say."""
    now_s = time.time()
    state = FleetState(FleetPolicy(), Counter(), now_s)
    node = state.hello(hello("n1", ranks=1), now_s)
    died = event(1, kind="rank.died", job="train", rank="0", pid="100")
    state.batch(node, batch(1, events=[died], rank_states=rank_state(0, 5)), "s", now_s)
    (job,) = state.view(now_s).jobs
    assert not job.states.alive[0]
    assert job.states.phase[0] == layout.Phase.COMPUTE


def test_what_is_looked_at_does_not_change_until_the_look_is_over() -> None:
    """A look may last over several turns of the loop, in which batches come."""
    now_s = time.time()
    state = FleetState(FleetPolicy(), Counter(), now_s)
    node = state.hello(hello("n1"), now_s)
    state.batch(node, batch(1, blocks=[gpu_block(value=1.0)]), "s", now_s)
    view = state.view(now_s)
    with state.looking():
        state.batch(node, batch(2, blocks=[gpu_block(value=2.0)]), "s", now_s + 1)
        state.settle()
        assert view.gpu.latest(POWER).tolist() == [1.0, 1.0]
    assert state.view(now_s + 1).gpu.latest(POWER).tolist() == [2.0, 2.0]


def test_rows_of_a_node_that_changes_its_ranks_are_used_again() -> None:
    """A fleet that restarts jobs for months keeps the rows that it has."""
    rows = RankRows()
    first = rows.assign(0, 8, 2)
    rows.assign(1, 8, 2)
    for _ in range(1000):
        rows.assign(0, 4, 1)
        rows.assign(0, 8, 2)
    assert rows.assign(0, 8, 2) == first
    assert rows.ranks["run"].size <= 64


def test_rank_rows_that_a_node_did_not_name_belong_to_nobody() -> None:
    """Neither do those of a node that named none."""
    rows = RankRows()
    first, _ = rows.assign(3, 2, 0)
    found = rows.rows_of(np.array([3, 3, 3, 0]), np.array([0, 1, 2, 0]))
    assert found.tolist() == [first, first + 1, -1, -1]
