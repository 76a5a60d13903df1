"""A window holds whole, fresh steps of the ranks that report, and knows pauses and peers."""

from dataclasses import replace

import numpy as np
from tests.collector.detectors.builders import NOW, Array, JobSpec, Op, job

from ringwatch_collector.detectors.window import peer_groups, window_of, working
from ringwatch_proto.layout import Collective


def test_rows_that_lack_a_rank_are_left_out() -> None:
    """The newest rows lack ranks whose batches are on their way."""
    view = job(JobSpec())
    step_s = view.step_s.copy()
    step_s[-2:, 1] = np.nan
    window = window_of(replace(view, step_s=step_s), NOW)
    assert window is not None
    assert window.rows[-1] == step_s.shape[0] - 3
    assert window.columns.tolist() == [0, 1, 2, 3]


def test_a_rank_that_stopped_reporting_is_no_column() -> None:
    """A silent node's ranks do not empty the window of the others."""
    view = job(JobSpec())
    step_s = view.step_s.copy()
    step_s[-100:, 3] = np.nan
    window = window_of(replace(view, step_s=step_s), NOW)
    assert window is not None
    assert window.columns.tolist() == [0, 1, 2]


def test_old_steps_say_nothing_about_now() -> None:
    """A job that stands still has no window."""
    assert window_of(job(JobSpec(), now_s=NOW - 60), NOW) is None


def test_an_empty_job_has_no_window() -> None:
    """A job without a single step yields nothing."""
    view = job(JobSpec(steps=6))
    assert window_of(replace(view, step_s=np.full_like(view.step_s, np.nan)), NOW) is None


def test_only_a_pause_of_all_ranks_is_a_pause() -> None:
    """One rank that pauses alone is a straggler, not a pause."""

    def together(base: Array) -> Array:
        base[50] = 1.0
        return base

    def alone(base: Array) -> Array:
        base[50, 2] = 1.0
        return base

    paused = window_of(job(JobSpec(pause_s=together)), NOW)
    single = window_of(job(JobSpec(pause_s=alone)), NOW)
    assert paused is not None
    assert single is not None
    assert paused.paused.sum() == 1
    assert single.paused.sum() == 0
    worked = working(paused)
    assert worked is not None
    assert worked.rows.size == paused.rows.size - 1


def test_peers_are_the_ranks_that_reduce_the_gradients_together() -> None:
    """In a pipeline the stages are apart, though a small reduction spans them."""
    stages = [range(4), range(4, 8)]
    ops = (
        Op(name="dp", groups=stages, transfer_s=0.01, share=1.0, bytes=1 << 28),
        Op(name="norm", groups=[range(8)], transfer_s=0.001, share=0.0, bytes=8),
        Op(
            name="pp",
            groups=[(0, 4), (1, 5)],
            transfer_s=0.001,
            share=0.0,
            kind=Collective.SEND,
            bytes=1 << 30,
        ),
    )
    view = job(JobSpec(ranks=8, steps=20, ops=ops))
    groups = peer_groups(view, np.arange(8))
    assert sorted(group.tolist() for group in groups) == [[0, 1, 2, 3], [4, 5, 6, 7]]
