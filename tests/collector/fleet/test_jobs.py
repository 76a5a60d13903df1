"""Jobs: steps and collectives of many nodes in one window, restarts, references, bounds."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from tests.collector.rig import batch, collective, event, hello, rank_state, step

from ringwatch_collector.fleet.job import JobPolicy
from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.view import JobView
from ringwatch_proto import layout


class Fleet:
    """A fleet state that is fed as ingest feeds it."""

    def __init__(self, **policy: int) -> None:
        self.dropped: Counter[str] = Counter()
        self.state = FleetState(FleetPolicy(job=JobPolicy(**policy)), self.dropped, time.time())
        self._sequence = 0

    def hello(self, node: str = "n1", **names: object) -> None:
        """Take a Hello."""
        self.state.hello(hello(node, **names), time.time())  # type: ignore[arg-type]

    def batch(self, node: str = "n1", events: tuple[object, ...] = (), **packed: bytes) -> None:
        """Take a batch."""
        self._sequence += 1
        known = self.state.nodes.get(node)
        assert known is not None
        made = batch(self._sequence, blocks=[], events=events, **packed)  # type: ignore[arg-type]
        self.state.batch(known, made, "s1", time.time())

    def job(self) -> JobView:
        """Return the one job."""
        (job,) = self.state.view(time.time()).jobs
        return job


def _steps(rows: range, numbers: range, step_s: float = 0.1) -> bytes:
    return b"".join(step(row, number, step_s) for row in rows for number in numbers)


def test_ranks_of_many_nodes_stand_in_rank_order_whatever_order_they_came_in() -> None:
    """Values follow their rank."""
    fleet = Fleet()
    fleet.hello("b", ranks=2, first_rank=2, world_size=4)
    fleet.batch("b", steps=step(0, 1, 0.2) + step(1, 1, 0.3))
    fleet.hello("a", ranks=2, first_rank=0, world_size=4)
    fleet.batch("a", steps=step(0, 1, 0.0) + step(1, 1, 0.1))
    job = fleet.job()
    assert job.ranks.tolist() == [0, 1, 2, 3]
    assert job.node_of.tolist() == [1, 1, 0, 0]
    assert job.steps.tolist() == [1]
    np.testing.assert_allclose(job.step_s[0], [0.0, 0.1, 0.2, 0.3], rtol=1e-6)
    fleet.batch("b", steps=step(0, 2, 0.5))
    assert fleet.job().step_s[1, 2] == np.float32(0.5)


def test_a_step_that_some_ranks_have_not_finished_is_nan_for_them() -> None:
    """Absent is not zero."""
    fleet = Fleet()
    fleet.hello(ranks=2)
    fleet.batch(steps=step(0, 1) + step(0, 2) + step(1, 1))
    job = fleet.job()
    assert job.steps.tolist() == [1, 2]
    assert np.isnan(job.step_s[1, 1])


def test_the_window_slides_and_keeps_its_newest_steps() -> None:
    """However long a job runs, memory stays."""
    fleet = Fleet(steps=32)
    fleet.hello(ranks=1)
    for begin in range(1, 500, 10):
        fleet.batch(steps=_steps(range(1), range(begin, begin + 10)))
    job = fleet.job()
    assert job.steps.tolist() == list(range(469, 501))
    assert not np.isnan(job.step_s).any()


def test_one_rank_with_a_step_from_nowhere_does_not_wipe_the_window() -> None:
    """It is counted as outside of the window."""
    fleet = Fleet()
    fleet.hello(ranks=4)
    fleet.batch(steps=_steps(range(4), range(1, 11)))
    fleet.batch(steps=step(2, 2**50))
    assert fleet.job().steps.tolist() == list(range(1, 11))
    assert fleet.dropped["step_outside_window"] == 1


def test_when_most_ranks_jump_the_window_goes_with_them() -> None:
    """A job that loads another checkpoint in the same processes goes on from there."""
    fleet = Fleet()
    fleet.hello(ranks=4)
    fleet.batch(steps=_steps(range(4), range(5000, 5010)))
    fleet.batch(steps=_steps(range(4), range(100, 103)))
    assert fleet.job().steps.tolist() == [100, 101, 102]


def test_collectives_are_told_apart_by_communicator_and_place() -> None:
    """Each (communicator, slot) is one column; its members come from the communicator."""
    fleet = Fleet()
    fleet.hello(ranks=3, communicator_ranks=(0, 2))
    fleet.batch(
        steps=_steps(range(3), range(1, 2)),
        collectives=collective(0, 1, 0, 0.01) + collective(0, 1, 1, 0.02) + collective(2, 1, 1, 0.03),
    )
    job = fleet.job()
    assert [(slot.communicator, slot.slot, slot.bytes) for slot in job.slots] == [
        ("dp", 0, 4096),
        ("dp", 1, 4096),
    ]
    assert job.slots[0].members.tolist() == [True, False, True]
    np.testing.assert_allclose(job.collective_s[0, 1], [0.02, np.nan, 0.03], rtol=1e-6)
    assert job.collective_start_s.shape == (1, 2, 3)


def test_slots_beyond_the_cap_are_counted() -> None:
    """Memory is bounded, and nothing is dropped silently."""
    fleet = Fleet(most_slots=2)
    fleet.hello(ranks=1)
    fleet.batch(collectives=b"".join(collective(0, 1, slot, 0.01) for slot in range(5)))
    assert len(fleet.job().slots) == 2
    assert fleet.dropped["collective_slot_beyond_cap"] == 3


def test_a_collective_of_a_communicator_that_was_not_named_is_counted() -> None:
    """It gets no slot."""
    fleet = Fleet()
    fleet.hello(ranks=1)
    fleet.batch(collectives=collective(0, 1, 0, 0.01, communicator=7))
    fleet.state.settle()
    assert fleet.dropped["communicator_not_named"] == 1
    assert not fleet.job().slots


def test_ranks_that_come_back_under_other_pids_are_a_new_run() -> None:
    """Its window is empty, and records and Hellos of the run before change nothing."""
    fleet = Fleet()
    fleet.hello("a", ranks=1, first_rank=0, world_size=2)
    fleet.hello("b", ranks=1, first_rank=1, world_size=2)
    fleet.batch("a", steps=step(0, 50))
    before = fleet.job().started_s
    fleet.hello("a", ranks=1, first_rank=0, world_size=2, first_pid=900, schema_id=2)
    fleet.batch("b", steps=step(0, 51))
    fleet.hello("b", ranks=1, first_rank=1, world_size=2)
    job = fleet.job()
    assert job.started_s > before
    assert job.ranks.tolist() == [0]
    assert job.steps.size == 0
    assert fleet.dropped["record_of_an_earlier_run"] == 1
    assert fleet.dropped["rank_of_an_earlier_run"] == 1
    fleet.hello("b", ranks=1, first_rank=1, world_size=2, first_pid=901, schema_id=2)
    fleet.batch("b", steps=step(0, 1))
    assert fleet.job().ranks.tolist() == [0, 1]


def test_a_goodbye_ends_a_rank_and_a_death_leaves_its_phase() -> None:
    """Ended and dead are not the same."""
    fleet = Fleet()
    fleet.hello(ranks=2)
    fleet.batch(rank_states=rank_state(0, 1) + rank_state(1, 1))
    left = event(1, kind="rank.left", job="train", rank="0", pid="100")
    died = event(2, kind="rank.died", job="train", rank="1", pid="101")
    fleet.batch(events=(left, died))
    states = fleet.job().states
    assert states.phase.tolist() == [layout.Phase.ENDED, layout.Phase.COMPUTE]
    assert states.alive.tolist() == [False, False]


def test_an_event_about_a_rank_of_another_node_is_not_believed() -> None:
    """A node speaks for its own ranks."""
    fleet = Fleet()
    fleet.hello("a", ranks=1)
    fleet.hello("b", ranks=0)
    fleet.batch("a", rank_states=rank_state(0, 1))
    fleet.batch("b", events=(event(1, kind="rank.died", job="train", rank="0", pid="100"),))
    assert fleet.job().states.alive.tolist() == [True]


def test_a_job_whose_ranks_are_gone_is_dropped_after_its_time() -> None:
    """It stays on the screens for ten minutes."""
    fleet = Fleet()
    fleet.hello(ranks=1)
    fleet.hello(ranks=0, schema_id=2)
    now = time.time()
    for later, count in ((2.0, 1), (599.0, 1), (700.0, 0)):
        fleet.state.learn(now + later, ())
        assert len(fleet.state.jobs) == count


def _healthy(fleet: Fleet, numbers: range) -> None:
    """Two ranks, the second of which always comes 5 ms late into the one collective."""
    fleet.batch(
        steps=_steps(range(2), numbers),
        collectives=b"".join(collective(0, n, 0, 0.025) + collective(1, n, 0, 0.020) for n in numbers),
    )


def test_the_reference_is_learned_from_healthy_steps_after_the_first_five() -> None:
    """Warm-up teaches nothing; structural lateness becomes part of the reference."""
    fleet = Fleet()
    fleet.hello(ranks=2)
    fleet.batch(steps=_steps(range(2), range(1, 6), step_s=9.0))
    _healthy(fleet, range(6, 25))
    now = time.time()
    fleet.state.learn(now + 2, ())
    assert fleet.job().reference_steps == 0
    assert np.isnan(fleet.job().reference_step_s)
    _healthy(fleet, range(25, 26))
    fleet.state.learn(now + 4, ())
    job = fleet.job()
    assert job.reference_steps == 20
    assert abs(job.reference_step_s - 0.1) < 1e-6
    np.testing.assert_allclose(job.reference_compute_s, [0.05, 0.05], rtol=1e-5)
    np.testing.assert_allclose(job.reference_transfer_s, [0.020], rtol=1e-5)
    np.testing.assert_allclose(job.reference_wait_s, [[0.005, 0.0]], atol=1e-6)


def test_nothing_is_learned_while_the_job_is_under_an_incident() -> None:
    """A fault must not become the reference."""
    fleet = Fleet()
    fleet.hello(ranks=2)
    _healthy(fleet, range(1, 60))
    fleet.state.learn(time.time() + 2, {"train"})
    assert fleet.job().reference_steps == 0


def test_tagged_pauses_teach_nothing() -> None:
    """A checkpoint step is not a usual step."""
    fleet = Fleet()
    fleet.hello(ranks=1)
    fleet.batch(steps=b"".join(step(0, n, 5.0, flags=layout.StepFlag.TAGGED_PAUSE) for n in range(1, 60)))
    fleet.state.learn(time.time() + 2, ())
    assert fleet.job().reference_steps == 0


def test_the_reference_follows_slow_change_only_after_it_stayed_healthy() -> None:
    """What is seen now is taken over a minute later, and only in part, if no incident came meanwhile."""
    fleet = Fleet(steps=32)
    fleet.hello(ranks=1)
    fleet.batch(steps=_steps(range(1), range(1, 40), step_s=0.1))
    now = time.time()
    fleet.state.learn(now + 2, ())
    fleet.batch(steps=_steps(range(1), range(40, 80), step_s=0.2))
    fleet.state.learn(now + 130, ())
    fleet.state.learn(now + 140, {"train"})
    fleet.state.learn(now + 300, ())
    assert abs(fleet.job().reference_step_s - 0.1) < 1e-6
    fleet.state.learn(now + 370, ())
    assert abs(fleet.job().reference_step_s - 0.12) < 1e-6


def test_a_large_job_keeps_fewer_steps_within_its_budget() -> None:
    """Never fewer than 32."""
    fleet = Fleet(budget_bytes=1 << 20)
    fleet.hello(ranks=512)
    fleet.batch(steps=_steps(range(512), range(1, 300)))
    assert fleet.job().steps.tolist() == list(range(268, 300))


def test_durations_that_no_clock_gives_are_absent() -> None:
    """Negative, infinite and endless are not durations."""
    fleet = Fleet()
    fleet.hello(ranks=3)
    fleet.batch(steps=step(0, 1, -1.0) + step(1, 1, float("inf")) + step(2, 1, 1e30))
    assert np.isnan(fleet.job().step_s).all()
