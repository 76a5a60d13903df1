"""Where the target of a runbook lies in a view of the fleet. Reads no value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ringwatch_collector.view import FleetView, JobView, TableView
from ringwatch_proto.records import Subject
from ringwatch_runbooks.model import Value

# A value and its age in seconds; None where the value is absent.
Found = tuple[Value, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target, found in a view: rows and columns are -1 where there is none."""

    view: FleetView
    target: Subject
    node: int
    gpu_row: int
    job: JobView | None
    column: int


def place_of(view: FleetView, target: Subject) -> Place:
    """Return where a target lies in a view."""
    names = view.nodes.names
    node = names.index(target.node) if target.node in names else -1
    job, column = _rank_of(view, target)
    device = target.device
    if column >= 0 and job is not None:
        device = device or job.gpu_of[column]
        node = node if node >= 0 else int(job.node_of[column])
    row = row_of(view.gpu, node, device) if device else -1
    return Place(view=view, target=target, node=node, gpu_row=row, job=job, column=column)


def _rank_of(view: FleetView, target: Subject) -> tuple[JobView | None, int]:
    """Return the job and the column of a target: by its rank, or by the GPU that a rank has."""
    for job in view.jobs:
        if target.job and job.job != target.job:
            continue
        if target.job and target.rank >= 0 and target.rank in job.ranks:
            return job, int(np.flatnonzero(job.ranks == target.rank)[0])
        if target.device and target.device in job.gpu_of:
            return job, list(job.gpu_of).index(target.device)
        if target.job:
            return job, -1
    return None, -1


def row_of(table: TableView, node: int, device: str = "") -> int:
    """Return the row of a device of a node; of the node's only kind of row when no device is named."""
    for row in np.flatnonzero(table.node_of == node).tolist() if node >= 0 else []:
        if not device or table.devices[row] == device:
            return int(row)
    return -1
