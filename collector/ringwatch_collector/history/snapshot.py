"""What the fleet reads at one instant, copied on the collector's loop so that another thread can write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ringwatch_collector.view import FleetView, Floats, Ints, JobView, TableView
from ringwatch_proto.records import Incident, IncidentState
from ringwatch_proto.signals import Table, columns_of

Labels = tuple[tuple[str, str], ...]

_SEVERITIES = {1: "info", 2: "warning", 3: "critical"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSnapshot:
    """One table: who its rows are, and each signal's newest values; NaN for what is not fresh."""

    table: Table
    node_of: Ints  # (rows,) index into names
    names: Sequence[str]
    devices: Sequence[str]
    values: Mapping[str, Floats]  # metric -> (rows,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The fleet: its tables, and the few series that belong to no row."""

    at_s: float
    tables: Sequence[TableSnapshot]
    singles: Sequence[tuple[Labels, float]]


def take(view: FleetView, incidents: Iterable[Incident], tables: Sequence[Table], fresh_s: float) -> Snapshot:
    """Copy what is worth keeping; a reading that is older than ``fresh_s`` is absent."""
    views = {Table.GPU: view.gpu, Table.PORT: view.port, Table.HOST: view.host, Table.SOURCE: view.source}
    return Snapshot(
        at_s=view.now_s,
        tables=[_table(table, views[table], view, fresh_s) for table in tables],
        singles=[*_jobs(view.jobs, view.now_s, fresh_s), *_incidents(incidents)],
    )


def _table(table: Table, seen: TableView, view: FleetView, fresh_s: float) -> TableSnapshot:
    stale = seen.age_s(view.now_s) > fresh_s
    values = {}
    for signal in columns_of(table):
        newest = np.array(seen.latest(signal.id), np.float32)
        newest[stale] = np.nan
        if not np.isnan(newest).all():
            values[signal.metric] = newest
    return TableSnapshot(
        table=table,
        node_of=seen.node_of.copy(),
        names=list(view.nodes.names),
        devices=list(seen.devices),
        values=values,
    )


def _jobs(jobs: Sequence[JobView], now_s: float, fresh_s: float) -> Iterable[tuple[Labels, float]]:
    for job in jobs:
        labels = ("job", job.job)
        yield (("__name__", "ringwatch_job_ranks"), labels), float(np.count_nonzero(job.states.alive))
        step_s = newest_step_s(job, now_s, fresh_s)
        if step_s is not None:
            yield (("__name__", "ringwatch_job_step_seconds"), labels), step_s
        if job.reference_steps:
            yield (("__name__", "ringwatch_job_reference_step_seconds"), labels), job.reference_step_s


def newest_step_s(job: JobView, now_s: float, fresh_s: float) -> float | None:
    """Return the median over ranks of the newest step that most of them ended lately, None without one."""
    ended = np.isfinite(job.ended_s)
    whole = np.flatnonzero(ended.sum(axis=1) * 2 > job.ranks.size)
    if not whole.size or now_s - float(np.nanmax(job.ended_s[whole[-1]])) > fresh_s:
        return None
    return float(np.nanmedian(job.step_s[whole[-1]]))


def _incidents(incidents: Iterable[Incident]) -> Iterable[tuple[Labels, float]]:
    counts = Counter(
        (_SEVERITIES[incident.severity], incident.state.value)
        for incident in incidents
        if incident.state is not IncidentState.RESOLVED
    )
    for (severity, state), count in counts.items():
        labels = (("__name__", "ringwatch_incidents"), ("severity", severity), ("state", state))
        yield labels, float(count)
