"""Pauses of the whole job are named as such, cost time and blame nobody."""

import numpy as np
import pytest
from tests.collector.detectors.builders import NOW, Array, JobSpec, fleet, from_step, job, states

from ringwatch_collector.detectors.all import ALL
from ringwatch_collector.detectors.job_pause import JobPause
from ringwatch_proto.layout import Phase
from ringwatch_proto.records import Severity, Verdict


def every(steps: int, lasts_s: float, first: int = 10) -> object:
    """Return a pause of all ranks every so many steps."""

    def pauses(base: Array) -> Array:
        base[:] = 0.0
        base[first::steps] = lasts_s
        return base

    return pauses


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("noise", [0.05, 0.25])
def test_a_periodic_pause_is_told_with_its_period(tagged: bool, noise: float) -> None:
    """Whether or not the job said that it is a checkpoint."""
    view = fleet(job(JobSpec(noise=noise, tagged=tagged, pause_s=every(30, 0.8))))  # type: ignore[arg-type]
    (finding,) = JobPause().look(view)
    assert (finding.verdict, finding.severity) == (Verdict.PAUSE, Severity.INFO)
    assert (finding.culprit.kind, finding.culprit.job) == ("none", "llm")
    assert "every 30 steps" in finding.summary
    others = [each for rule in ALL if rule.name != "job.pause" for each in rule.look(view)]
    assert [each for each in others if each.severity > Severity.INFO] == []


def test_one_short_pause_is_a_busy_moment() -> None:
    """A host that was busy once is no checkpoint."""
    spec = JobSpec(pause_s=every(1000, 0.5, first=100))  # type: ignore[arg-type]
    assert JobPause().look(fleet(job(spec))) == []


def test_one_long_pause_is_a_pause() -> None:
    """Ten seconds of all ranks together."""
    spec = JobSpec(pause_s=every(1000, 10.0, first=200))  # type: ignore[arg-type]
    (finding,) = JobPause().look(fleet(job(spec)))
    assert "once" in finding.summary


def test_pauses_at_odd_steps_are_not_called_periodic() -> None:
    """Three pauses without a rhythm are not a checkpoint."""

    def odd(base: Array) -> Array:
        base[:] = 0.0
        base[[40, 55, 130, 140, 201]] = 0.6
        return base

    assert JobPause().look(fleet(job(JobSpec(pause_s=odd)))) == []


def test_a_pause_of_one_rank_is_no_pause() -> None:
    """One rank that does it alone is a straggler."""
    spec = JobSpec(pause_s=from_step(0, 2, 0.5, 0.0))
    assert JobPause().look(fleet(job(spec))) == []


def test_a_job_that_pauses_now_is_told_while_it_does() -> None:
    """Every rank is in the pause since long, none in a collective."""
    age = np.full(4, 30.0, np.float32)
    seen = states(4, phase=np.full(4, int(Phase.PAUSE)), phase_age_s=age, beat_age_s=age)
    (finding,) = JobPause().look(fleet(job(JobSpec(steps=40), now_s=NOW - 30.0, states=seen)))
    assert finding.verdict is Verdict.PAUSE
    assert finding.gpus_held == 4
