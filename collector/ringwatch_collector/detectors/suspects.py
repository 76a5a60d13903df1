"""A slow rank with what can be read about it. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ringwatch_collector.view import FleetView, JobView


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A slow rank with what is read about it. ``gpu_row`` is -1 when its GPU is not in the table."""

    view: FleetView
    job: JobView
    column: int
    gpu_row: int
    peer_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one check read: whether the cause holds, and the numbers in words."""

    holds: bool
    text: str


def suspect_of(view: FleetView, job: JobView, column: int) -> Suspect:
    """Return a rank with its GPU row and those of its job's other ranks."""
    row_of = {device: row for row, device in enumerate(view.gpu.devices)}
    rows = [row_of.get(gpu, -1) if gpu else -1 for gpu in job.gpu_of]
    peers = tuple(row for at, row in enumerate(rows) if at != column and row >= 0)
    return Suspect(view=view, job=job, column=column, gpu_row=rows[column], peer_rows=peers)
