"""Memory and time that a large fleet may take: steps of all jobs, learning in slices, events by kind."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from tests.collector.rig import batch, hello, step

from ringwatch_collector.fleet.job import JobPolicy
from ringwatch_collector.fleet.recent_events import RecentEvents
from ringwatch_collector.fleet.references import _median
from ringwatch_collector.fleet.state import FleetPolicy, FleetState
from ringwatch_collector.view import EventsView, SeenEvent


def _seen(at_s: float, kind: str) -> SeenEvent:
    return SeenEvent(
        node="n1", at_s=at_s, received_s=at_s, kind=kind, severity=1, source="s", device="", code=0, text="",
        fields={}, backfill=False,
    )  # fmt: skip


def test_jobs_together_keep_no_more_steps_than_their_memory() -> None:
    """Each keeps its newest steps; fewer of them."""
    now_s = time.time()
    budget = 4 << 20
    state = FleetState(FleetPolicy(jobs_bytes=budget, job=JobPolicy(steps=256)), Counter(), now_s)
    for at in range(8):
        node = state.hello(hello(f"n{at}", ranks=64, world_size=64, job=f"j{at}"), now_s)
        steps = b"".join(step(row, number) for row in range(64) for number in range(1, 201))
        state.batch(node, batch(1, blocks=[], steps=steps), "s", now_s)
    state.learn(now_s + 2.0, ())
    assert sum(job.window.size_bytes for job in state.jobs) <= budget
    for job in state.view(now_s + 2.0).jobs:
        assert job.steps[-1] == 200
        assert 32 <= job.steps.size < 200
        assert np.isfinite(job.step_s).all()


def test_a_small_fleet_keeps_all_the_steps_that_it_may() -> None:
    """The bound is for the large."""
    now_s = time.time()
    state = FleetState(FleetPolicy(), Counter(), now_s)
    node = state.hello(hello("n1", ranks=2), now_s)
    steps = b"".join(step(row, number) for row in range(2) for number in range(1, 201))
    state.batch(node, batch(1, blocks=[], steps=steps), "s", now_s)
    state.learn(now_s + 2.0, ())
    (job,) = state.view(now_s + 2.0).jobs
    assert job.steps.size == 200


def test_medians_of_a_reference_leave_out_what_is_absent() -> None:
    """As numpy's nanmedian, NaN where a column has nothing."""
    dice = np.random.default_rng(4)
    values = dice.standard_normal((9, 20)).astype(np.float32)
    values[dice.random(values.shape) < 0.4] = np.nan
    values[:, 3], values[0] = np.nan, 1.0
    values[0, 3] = np.nan
    told = np.isfinite(values).any(axis=0)
    np.testing.assert_allclose(_median(values, 0)[told], np.nanmedian(values[:, told], axis=0), rtol=1e-6)
    assert np.isnan(_median(values, 0)[3])


def test_events_are_had_by_kind_in_the_order_of_their_time() -> None:
    """However they came in."""
    events = RecentEvents(Counter())
    for number, (at_s, kind) in enumerate([(5.0, "a"), (1.0, "b"), (3.0, "a"), (2.0, "c")]):
        events.add("s", number, _seen(at_s, kind))
        assert isinstance(events.view(), EventsView)
    view = events.view()
    assert [event.at_s for event in view] == [1.0, 2.0, 3.0, 5.0]
    assert isinstance(view, EventsView)
    assert [event.at_s for event in view.of(("a", "b", "z"))] == [1.0, 3.0, 5.0]
    assert [event.at_s for event in view.of(("c",))] == [2.0]
    events.forget(3600.0 + 6.0)
    assert list(events.view()) == []
