"""History as the collector's own memory holds it: the last minutes at full resolution. On the loop."""

from __future__ import annotations

import numpy as np

from ringwatch_collector.fleet.state import FleetState
from ringwatch_collector.history.ask import MOST_LINES, Ask
from ringwatch_collector.history.grid import Grid, means
from ringwatch_collector.view import Floats

Key = tuple[str, str, str]  # node, device, job
Lines = dict[Key, Floats]


def held_from_s(fleet: FleetState, ask: Ask, now_s: float) -> float:
    """Return since when memory holds what is asked for; now when it does not hold it at all."""
    if ask.signal is not None:
        return max(now_s - fleet.tables[ask.signal.table].history_s, fleet.started_s)
    job = fleet.jobs.get(ask.job)
    if job is None or ask.series != "job.step_s":
        return now_s
    ended_s = job.view().ended_s
    return float(np.nanmin(ended_s)) if np.isfinite(ended_s).any() else now_s


def lines(fleet: FleetState, ask: Ask, grid: Grid) -> Lines:
    """Return the means of each device, or of the job."""
    fleet.settle()
    return _devices(fleet, ask, grid) if ask.signal is not None else _job(fleet, ask, grid)


def _devices(fleet: FleetState, ask: Ask, grid: Grid) -> Lines:
    assert ask.signal is not None
    node = fleet.nodes.get(ask.node)
    binding = node.bindings.get(ask.signal.table) if node is not None else None
    if binding is None:
        return {}
    wanted = [
        (binding.first + at, device)
        for at, device in enumerate(binding.devices)
        if not ask.device or device == ask.device
    ][:MOST_LINES]
    rows = np.array([row for row, _ in wanted], np.int64)
    begin, end = int(grid.first_s - grid.step_s) - 1, int(grid.last_s) + 1
    at_s, values = fleet.tables[ask.signal.table].history(ask.signal.id, rows, begin, end)
    found = means(grid, at_s, values)
    return {(ask.node, device, ""): found[:, at] for at, (_, device) in enumerate(wanted)}


def _job(fleet: FleetState, ask: Ask, grid: Grid) -> Lines:
    job = fleet.jobs.get(ask.job)
    if job is None or ask.series != "job.step_s":
        return {}
    view = job.view()
    whole = np.isfinite(view.ended_s).sum(axis=1) * 2 > view.ranks.size
    if not whole.any():
        return {}
    ended_s = np.nanmax(view.ended_s[whole], axis=1)
    step_s = np.nanmedian(view.step_s[whole], axis=1).astype(np.float32)
    return {("", "", ask.job): means(grid, ended_s, step_s[:, None])[:, 0]}
