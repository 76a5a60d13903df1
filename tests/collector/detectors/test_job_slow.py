"""A job that is slower without a culprit is said to be, with what it is not."""

import numpy as np
import pytest
from tests.collector.detectors.builders import Array, JobSpec, all_from, fleet, job, states

from ringwatch_collector.detectors.job_slow import JobSlow
from ringwatch_proto.records import Severity, Verdict


def test_a_job_all_of_whose_ranks_are_slower_is_cannot_tell() -> None:
    """Nobody is blamed; what grew is named."""
    (finding,) = JobSlow().look(fleet(job(JobSpec(steps=400, slow=all_from(60, 1.6)))))
    assert (finding.culprit.kind, finding.verdict) == ("none", Verdict.CANNOT_TELL)
    assert (finding.cause, finding.severity) == ("all_ranks_compute", Severity.WARNING)
    assert "data loading" in {ruled.cause for ruled in finding.ruled_out}


def test_ten_percent_is_told_without_paging() -> None:
    """A small change is information."""
    (finding,) = JobSlow().look(fleet(job(JobSpec(steps=400, noise=0.02, slow=all_from(60, 1.2)))))
    assert finding.severity is Severity.INFO


def test_uneven_work_is_the_workloads() -> None:
    """Another rank is last in each step: no rank is slow."""

    def rotating(base: Array) -> Array:
        rng = np.random.default_rng(5)
        steps = np.arange(80, base.shape[0])
        base[steps, rng.integers(0, base.shape[1], steps.size)] = 2.0
        return base

    (finding,) = JobSlow().look(fleet(job(JobSpec(ranks=8, steps=400, slow=rotating))))
    assert (finding.cause, finding.verdict) == ("rotating_ranks", Verdict.WORKLOAD)


@pytest.mark.parametrize(
    "spec",
    [JobSpec(steps=400), JobSpec(steps=400, noise=0.3), JobSpec(slow=all_from(60, 2.0), reference=False)],
)
def test_a_healthy_job_and_one_without_history_are_nothing(spec: JobSpec) -> None:
    """Without a reference "slower" has no meaning."""
    assert JobSlow().look(fleet(job(spec))) == []


def test_a_short_change_is_not_believed() -> None:
    """Ten seconds are not long."""
    assert JobSlow().look(fleet(job(JobSpec(steps=400, slow=all_from(320, 1.6))))) == []


def test_busy_hosts_ask_for_more() -> None:
    """Where ranks wait for CPUs a somewhat slower job is the hosts' load."""
    busy = states(4, runqueue_share=np.full(4, 0.4, np.float32))
    view = job(JobSpec(steps=400, slow=all_from(60, 1.5)), states=busy)
    assert JobSlow().look(fleet(view)) == []
