"""A loss that is no number, or many times what it was, is told; single batches and absent losses are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.collector.detectors.builders import Array, JobSpec, fleet, job

from ringwatch_collector.detectors.loss import Loss
from ringwatch_collector.view import FleetView, JobView
from ringwatch_proto.layout import StepFlag
from ringwatch_proto.records import Finding, Severity, Verdict

STEPS, RANKS = 120, 8


def falling() -> Array:
    """Return a healthy loss: it falls, and batches differ."""
    steps = np.arange(STEPS)[:, None]
    return 2.0 + 3.0 / (1.0 + 0.05 * steps) + 0.1 * np.random.default_rng(2).standard_normal((STEPS, RANKS))


def view_of(loss: Array, broken: dict[int, list[int]] | None = None) -> FleetView:
    """Return a job with this loss; ``broken`` is steps before the newest -> ranks without a number."""
    made: JobView = job(JobSpec(ranks=RANKS, steps=STEPS))
    flags, told = made.flags.copy(), loss.astype(np.float32)
    for back, ranks in (broken or {}).items():
        flags[-1 - back, ranks] |= int(StepFlag.LOSS_NOT_FINITE)
        told[-1 - back, ranks] = np.nan
    return fleet(replace(made, loss=told, flags=flags))


def look(view: FleetView) -> list[Finding]:
    """Run the detector once."""
    return Loss().look(view)


ALL_RANKS = list(range(RANKS))


def test_a_loss_without_a_number_on_all_ranks_names_nobody() -> None:
    """From the first bad step on all ranks have it."""
    (finding,) = look(view_of(falling(), {0: ALL_RANKS, 1: ALL_RANKS, 2: ALL_RANKS}))
    assert (finding.cause, finding.severity, finding.verdict) == (
        "loss_not_finite",
        Severity.CRITICAL,
        Verdict.CANNOT_TELL,
    )
    assert finding.culprit.kind == "none"


def test_the_one_rank_that_had_it_first_is_named() -> None:
    """The others follow in the next step, by the sum of gradients."""
    (finding,) = look(view_of(falling(), {0: ALL_RANKS, 1: ALL_RANKS, 2: [5]}))
    assert (finding.cause, finding.culprit.rank) == ("loss_not_finite_first", 5)
    assert any("batch" in doubt for doubt in finding.unsure)


def test_one_step_without_a_number_is_a_skipped_step() -> None:
    """Gradient scalers do that on purpose."""
    assert look(view_of(falling(), {0: ALL_RANKS})) == []


def test_what_was_over_before_is_not_said_again() -> None:
    """Two bad steps an hour of steps ago, numbers since."""
    assert look(view_of(falling(), {30: ALL_RANKS, 31: ALL_RANKS})) == []


def test_a_loss_of_many_times_what_it_was_is_a_spike() -> None:
    """For three steps on the median rank."""
    loss = falling()
    loss[-3:] *= 8.0
    (finding,) = look(view_of(loss))
    assert (finding.cause, finding.severity) == ("loss_spike", Severity.WARNING)
    assert finding.why.inputs["steps"] == 3.0


def test_a_single_batch_that_jumps_is_none() -> None:
    """One step of ten times the loss."""
    loss = falling()
    loss[-2] *= 10.0
    assert look(view_of(loss)) == []


def test_a_job_that_tells_no_loss_is_left_alone() -> None:
    """Absent is not broken."""
    assert look(view_of(np.full((STEPS, RANKS), np.nan))) == []
    assert look(fleet(job(JobSpec(ranks=RANKS, steps=STEPS)))) == []


def test_a_healthy_loss_says_nothing() -> None:
    """It falls and trembles."""
    assert look(view_of(falling())) == []
