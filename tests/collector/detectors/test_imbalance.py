"""Work that is uneven by the job's own making is said aside, and no rank is blamed for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.collector.detectors.builders import Array, JobSpec, Op, fleet, job

from ringwatch_collector.detectors.imbalance import Imbalance
from ringwatch_collector.view import FleetView
from ringwatch_proto.layout import Collective
from ringwatch_proto.records import Finding, Severity, Verdict

STAGES = [range(4), range(4, 8), range(8, 12), range(12, 16)]
PIPELINE = (
    Op(name="dp", groups=STAGES, transfer_s=0.02, share=0.9, kind=Collective.REDUCE_SCATTER, bytes=1 << 28),
    Op(name="world", groups=[range(16)], transfer_s=0.001, share=0.1, bytes=4),
)


def look(view: FleetView) -> list[Finding]:
    """Run the detector once."""
    return Imbalance().look(view)


def test_a_stage_that_has_more_to_do_is_structure() -> None:
    """All ranks of the last stage take longer in every step: nobody is slow."""
    work = np.repeat([0.06, 0.06, 0.06, 0.09], 4)
    (finding,) = look(fleet(job(JobSpec(ranks=16, ops=PIPELINE, work_s=work, noise=0.02))))
    assert (finding.cause, finding.verdict, finding.severity) == (
        "stage_imbalance",
        Verdict.STRUCTURAL,
        Severity.INFO,
    )
    assert finding.culprit.kind == "none"
    assert "12-15" in finding.summary


def mixed_lengths(seed: int = 3) -> Array:
    """Return factors of work as batches of mixed sequence lengths give."""
    return np.exp(0.2 * np.random.default_rng(seed).standard_normal((250, 8)))


def test_work_that_changes_hands_is_workload() -> None:
    """The last rank is another one in each step."""
    spec = JobSpec(ranks=8, noise=0.02, slow=lambda base: base * mixed_lengths())
    (finding,) = look(fleet(job(spec)))
    assert (finding.cause, finding.verdict) == ("uneven_work", Verdict.WORKLOAD)


def test_what_the_job_says_of_its_work_explains_it() -> None:
    """Sums of squared sequence lengths go with the time, so that is the cause."""
    (finding,) = look(fleet(job(JobSpec(ranks=8, noise=0.02, work_amount=mixed_lengths()))))
    assert finding.cause == "sequence_lengths"
    assert finding.why.inputs["explained_share"] > 0.8


def test_rare_long_stalls_of_random_ranks_are_stalls() -> None:
    """As garbage collection makes them: most steps are even."""

    def stalls(base: Array) -> Array:
        rng = np.random.default_rng(5)
        rows = np.flatnonzero(rng.random(250) < 0.2)
        base[rows, rng.integers(8, size=rows.size)] = 3.0
        return base

    (finding,) = look(fleet(job(JobSpec(ranks=8, noise=0.01, slow=stalls))))
    assert (finding.cause, finding.verdict) == ("random_stalls", Verdict.WORKLOAD)


def test_one_slow_rank_is_no_imbalance() -> None:
    """It is last in all steps, so it is a straggler's case."""

    def slow(base: Array) -> Array:
        base[:, 3] = 1.5
        return base

    assert look(fleet(job(JobSpec(ranks=8, noise=0.02, slow=slow)))) == []


@pytest.mark.parametrize("seed", range(3))
def test_even_work_says_nothing(seed: int) -> None:
    """Noise of two percent costs nobody a word."""
    assert look(fleet(job(JobSpec(ranks=16, ops=PIPELINE, noise=0.02, seed=seed)))) == []


def test_a_rank_that_does_not_say_its_work_keeps_the_rest_from_being_explained() -> None:
    """Absent is absent: nothing is explained by what was not told."""
    view = job(JobSpec(ranks=8, noise=0.02, work_amount=mixed_lengths()))
    assert view.work is not None
    work = view.work.copy()
    work[:, 2] = np.nan
    (finding,) = look(fleet(replace(view, work=work)))
    assert finding.cause == "uneven_work"
