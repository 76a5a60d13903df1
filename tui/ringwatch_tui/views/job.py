"""What is said about jobs: the list, and one job with its steps, ranks and flows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from ringwatch_tui.state.format import age, clock, duration, number, plural
from ringwatch_tui.state.model import Flow, Job, JobDetail, Rank
from ringwatch_tui.state.query import Term, matches
from ringwatch_tui.state.text import clip, pad
from ringwatch_tui.views.fleet import job_delta
from ringwatch_tui.views.lines import (
    DIM,
    FAULT,
    HEAD,
    STRONG,
    WARN,
    Build,
    Column,
    Line,
    Row,
    Section,
    Span,
    Table,
    labelled,
    line,
    table_lines,
)
from ringwatch_tui.views.marks import job_mark, ramp, spark

_COLUMNS = (
    Column(key="job", title="NAME", cells=14, flex=2),
    Column(key="state", title="STATE", cells=9),
    Column(key="ranks", title="RANKS", cells=9, align="right", priority=3),
    Column(key="step", title="STEP s", cells=8, align="right"),
    Column(key="delta", title="vs BASE", cells=7, align="right", priority=1),
    Column(key="recent", title="RECENT STEPS", cells=20, priority=6),
    Column(key="straggler", title="LATE", cells=18, flex=1, priority=2),
    Column(key="wait", title="WAIT", cells=5, align="right", priority=4),
    Column(key="nodes", title="NODES", cells=5, align="right", priority=7),
    Column(key="user", title="USER", cells=8, priority=8),
    Column(key="age", title="AGE", cells=6, align="right", priority=5),
)
_ORDER = ("stalled", "degraded", "silent", "starting", "running", "ended")


def job_table(
    jobs: Sequence[Job], *, terms: tuple[Term, ...] = (), empty: Build = lambda _cells: ()
) -> Table:
    """Return the jobs, those in trouble first."""
    ordered = sorted(jobs, key=lambda job: (_ORDER.index(job.state) if job.state in _ORDER else 0, job.name))
    rows = (_row(job) for job in ordered)
    return Table(columns=_COLUMNS, rows=tuple(row for row in rows if matches(terms, row.fields)), empty=empty)


def _row(job: Job) -> Row:
    mark = job_mark(job.state)
    short = job.ranks_reporting < job.world_size and job.state != "ended"
    return Row(
        id=job.name,
        values={
            "job": Span(job.name, STRONG if mark else ""),
            "state": Span(job.state, mark),
            "ranks": Span(f"{job.ranks_reporting}/{job.world_size}", WARN if short else ""),
            "step": Span(number(job.step_s, 3)),
            "delta": job_delta(job),
            "recent": Span(spark(job.recent_step_s, 20), DIM),
            "straggler": Span(job.straggler or "-", mark if job.straggler else DIM),
            "wait": Span(number(job.wait_percent, 0, "%")),
            "nodes": Span(str(job.nodes)),
            "user": Span(job.user or "-"),
            "age": Span(age(job.age_s), DIM),
        },
        fields={"job": job.name, "state": job.state, "user": job.user, "late": job.straggler},
    )


def headline(job: Job) -> Line:
    """Return the job in one line."""
    return line(
        Span(job.name, STRONG),
        "  ",
        Span(job.state.upper(), job_mark(job.state)),
        Span(f"  step {job.step:,}  {duration(job.step_s)}, base {duration(job.baseline_step_s)} "),
        job_delta(job),
        Span(
            f"  {job.ranks_reporting}/{job.world_size} ranks on {plural(job.nodes, 'node')}"
            f"  wait {number(job.wait_percent, 0, '%')}",
            DIM,
        ),
    )


def sections(detail: JobDetail, devices: Mapping[str, str]) -> tuple[Section, ...]:
    """Return the job: how long steps take, who is late, where the traffic goes."""
    return (
        Section(key="steps", title="Step time", build=lambda cells: step_lines(detail, cells)),
        Section(key="waits", title="Who waits", build=lambda cells: wait_lines(detail, cells)),
        Section(
            key="ranks", title="Ranks, late first", build=lambda cells: _rank_lines(detail, devices, cells)
        ),
        Section(key="flows", title="Flows", build=lambda cells: flow_lines(detail.flows, cells)),
    )


def step_lines(detail: JobDetail, cells: int) -> list[Line]:
    """Return the strip of recent steps: slowest rank above, median below, on one scale from zero."""
    room = max(8, cells - 22)
    slowest, median = detail.step_s_max[-room:], detail.step_s_median[-room:]
    known = [value for value in (*slowest, *median) if math.isfinite(value)]
    if not known:
        return [line(Span("No step has ended yet.", DIM))]
    top = max(known)
    out = [
        _strip("slowest", slowest, top, WARN if detail.summary.state in ("degraded", "stalled") else ""),
        _strip("median", median, top, ""),
    ]
    ends = (detail.steps[-len(median)], detail.steps[-1]) if detail.steps and median else (0, 0)
    axis = f"step {ends[0]:,}".ljust(max(1, len(median) - len(f"{ends[1]:,}"))) + f"{ends[1]:,}"
    out.append(line(" " * 9, Span(axis, DIM)))
    if detail.change_point_s is not None:
        out.extend(
            labelled("CHANGE", f"step time changed at {clock(detail.change_point_s)}", cells, indent=9)
        )
    return out


def _strip(label: str, values: tuple[float, ...], top: float, mark: str) -> Line:
    blocks = "".join(ramp(value, 0.0, top) for value in values)
    newest = duration(values[-1]) if values else "-"
    return line(Span(pad(label, 9), HEAD), Span(blocks, mark), Span(f"  {newest}"))


def wait_lines(detail: JobDetail, cells: int) -> list[Line]:
    """Return waits by rank and step; the row that stays low is the one that the others wait for."""
    count, steps = len(detail.ranks), len(detail.steps)
    if not count or len(detail.wait_s) != count * steps:
        return []
    room = max(8, cells - 22)
    rows = [detail.wait_s[index * steps : (index + 1) * steps][-room:] for index in range(count)]
    known = [value for row in rows for value in row if math.isfinite(value)]
    top = max(known, default=0.0)
    if top <= 0:
        return []
    shown = rows if count <= 16 else _folded(rows)
    out = []
    for index, row in enumerate(shown):
        name = f"rank {detail.ranks[index].rank}" if count <= 16 else _range(index, count, len(shown))
        out.append(line(Span(pad(name, 9), HEAD), Span("".join(ramp(value, 0.0, top) for value in row))))
    note = f"taller = waits longer, full = {duration(top)}; the row that stays low is waited for"
    return [*out, line(Span(clip(note, cells), DIM))]


def _folded(rows: list[tuple[float, ...]], lines: int = 16) -> list[tuple[float, ...]]:
    """Return fewer rows; each is the least wait of its ranks, so that a late rank still shows."""
    size = math.ceil(len(rows) / lines)
    return [
        tuple(_least(column) for column in zip(*rows[start : start + size], strict=True))
        for start in range(0, len(rows), size)
    ]


def _least(values: tuple[float, ...]) -> float:
    return min((value for value in values if math.isfinite(value)), default=math.nan)


def _range(index: int, count: int, lines: int) -> str:
    size = math.ceil(count / lines)
    return f"{index * size}-{min(count, (index + 1) * size) - 1}"


_RANKS = (
    Column(key="rank", title="RANK", cells=5, align="right"),
    Column(key="where", title="NODE GPU", cells=14, flex=1),
    Column(key="state", title="STATE", cells=10),
    Column(key="late", title="LATE", cells=8, align="right"),
    Column(key="ratio", title="COMPUTE", cells=7, align="right", priority=1),
    Column(key="step_s", title="STEP", cells=8, align="right", priority=3),
    Column(key="compute", title="COMP", cells=8, align="right", priority=4),
    Column(key="wait", title="WAIT", cells=8, align="right", priority=2),
    Column(key="data", title="DATA", cells=8, align="right", priority=5),
    Column(key="step", title="AT STEP", cells=9, align="right", priority=6),
    Column(key="beat", title="BEAT", cells=6, align="right", priority=7),
)


def rank_table(detail: JobDetail, devices: Mapping[str, str]) -> Table:
    """Return the ranks, the latest first; marked is whom the collector blames, not who is late."""
    ordered = sorted(
        detail.ranks, key=lambda each: (-(each.late_s if math.isfinite(each.late_s) else -1), each.rank)
    )
    blamed = {int(number) for number in re.findall(r"\brank ([0-9]{1,9})\b", detail.summary.straggler)}
    rows = tuple(_rank_row(each, each.rank in blamed, devices) for each in ordered)
    return Table(columns=_RANKS, rows=rows, empty=lambda _cells: [line(Span("No rank has reported.", DIM))])


def _rank_row(rank: Rank, late: bool, devices: Mapping[str, str]) -> Row:
    mark = WARN if late else ""
    bad = FAULT if rank.state in ("dead", "died", "stopped", "hung", "lost") else ""
    ratio = f"{rank.compute_ratio:.2f}x" if math.isfinite(rank.compute_ratio) else "-"
    return Row(
        id=str(rank.rank),
        values={
            "rank": Span(str(rank.rank), STRONG if late else ""),
            "where": Span(f"{rank.node} {devices.get(rank.gpu, rank.gpu)}".strip()),
            "state": Span("late" if late and not bad else rank.state or "-", bad or mark),
            "late": Span(duration(rank.late_s), mark),
            "ratio": Span(ratio, mark),
            "step_s": Span(duration(rank.step_s)),
            "compute": Span(duration(rank.compute_s)),
            "wait": Span(duration(rank.wait_s)),
            "data": Span(duration(rank.data_s)),
            "step": Span(f"{rank.step:,}"),
            "beat": Span(age(rank.beat_age_s), WARN if rank.beat_age_s > 10 else DIM),
        },
        fields={"rank": str(rank.rank), "node": rank.node, "state": rank.state},
    )


def _rank_lines(detail: JobDetail, devices: Mapping[str, str], cells: int) -> list[Line]:
    return table_lines(rank_table(detail, devices), cells)


_FLOWS = (
    Column(key="link", title="FROM -> TO", cells=18, flex=1),
    Column(key="rate", title="DELIVERS", cells=14, align="right"),
    Column(key="busy", title="BUSY", cells=5, align="right"),
    Column(key="unsent", title="UNSENT", cells=10, align="right", priority=1),
    Column(key="rtt", title="RTT", cells=8, align="right", priority=2),
    Column(key="retransmits", title="RETRANS/s", cells=9, align="right", priority=3),
)


def flow_lines(flows: Sequence[Flow], cells: int) -> list[Line]:
    """Return the flows between the job's nodes, the slowest delivery first."""
    if not flows:
        return [line(Span("No flow between nodes was read.", DIM))]
    ordered = sorted(
        flows, key=lambda flow: flow.delivery_mbit_s if math.isfinite(flow.delivery_mbit_s) else math.inf
    )
    rows = tuple(
        Row(
            id=f"{flow.node}>{flow.peer}",
            values={
                "link": Span(f"{flow.node} -> {flow.peer}"),
                "rate": Span(number(flow.delivery_mbit_s, 0, "Mbit/s")),
                "busy": Span(number(flow.busy_share * 100, 0, "%")),
                "unsent": Span(number(flow.unsent_kib, 0, "KiB")),
                "rtt": Span(number(flow.rtt_ms, 1, "ms")),
                "retransmits": Span(number(flow.retransmits_per_s, 1)),
            },
        )
        for flow in ordered
    )
    return table_lines(Table(columns=_FLOWS, rows=rows), cells)
