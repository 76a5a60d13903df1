"""The list of training jobs, those in trouble first."""

from __future__ import annotations

from typing import ClassVar

from ringwatch_tui.screens.base import keys_of
from ringwatch_tui.screens.listing import Listing
from ringwatch_tui.state.query import Term
from ringwatch_tui.state.reducer import ConsoleState
from ringwatch_tui.views.job import job_table
from ringwatch_tui.views.lines import DIM, STRONG, Line, Span, Table, line


class Jobs(Listing):
    """Every job with a rank that reports."""

    SCREEN = "jobs"
    KIND = "job"
    BINDINGS: ClassVar = keys_of("jobs")

    def table(self, state: ConsoleState, monotonic_s: float, terms: tuple[Term, ...]) -> tuple[Table, int]:
        """Return the jobs."""
        del monotonic_s
        jobs = state.fleet.jobs if state.fleet is not None else ()
        return job_table(jobs, terms=terms, empty=self.nothing(len(jobs), _no_jobs)), len(jobs)


def _no_jobs(_cells: int) -> list[Line]:
    return [
        line(Span("No training job reports.", STRONG)),
        line(Span("Start one with telemetry:  ringwatch exec -- torchrun ...", DIM)),
    ]
