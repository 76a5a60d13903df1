"""Durations alone tell transfer from waiting, and who is late from who is early."""

import numpy as np
from tests.collector.detectors.builders import NOW, JobSpec, from_step, job

from ringwatch_collector.detectors.waits import transfers_of, waits_of
from ringwatch_collector.detectors.window import window_of


def test_the_late_rank_is_the_one_that_waits_least() -> None:
    """A rank whose work takes twice as long is late by about its extra work."""
    window = window_of(job(JobSpec(noise=0.02, slow=from_step(0, 2, 2.0))), NOW)
    assert window is not None
    waits = waits_of(window, window.recent(5.0, 10))
    late_s = waits.late_s.mean(axis=0)
    assert int(np.argmax(late_s)) == 2
    assert 0.04 < late_s[2] < 0.08
    assert np.abs(late_s[[0, 1, 3]]).max() < 0.01


def test_structural_lateness_is_taken_off() -> None:
    """A rank that was always late is not late by that."""
    work = np.array([0.06, 0.06, 0.09, 0.06])
    window = window_of(job(JobSpec(noise=0.02, work_s=work)), NOW)
    assert window is not None
    assert np.abs(waits_of(window, window.recent(5.0, 10)).late_s.mean(axis=0)).max() < 0.005


def test_transfer_is_unknown_where_a_member_does_not_report() -> None:
    """The last one to arrive may be the one that is not seen."""
    view = job(JobSpec())
    view.step_s[-100:, 1] = np.nan
    window = window_of(view, NOW)
    assert window is not None
    assert np.isnan(transfers_of(window, slice(0, window.rows.size))).all()
