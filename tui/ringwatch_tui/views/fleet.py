"""What the overview says beside its map: the fleet in numbers, jobs that need attention, and health."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ringwatch_tui.state.columns import column, states
from ringwatch_tui.state.format import age, duration, number, percent, plural, versus
from ringwatch_tui.state.model import Fleet, Health, Job, Node
from ringwatch_tui.state.reducer import ConsoleState, is_open
from ringwatch_tui.state.text import clip, pad, width
from ringwatch_tui.views.heat import node_state
from ringwatch_tui.views.lines import (
    BLANK,
    DIM,
    FAULT,
    HEAD,
    INFO,
    STRONG,
    TROUBLE,
    WARN,
    Line,
    Section,
    Span,
    line,
)
from ringwatch_tui.views.marks import job_mark, spark, state_of

_TROUBLE_ORDER: Final = ("fault", "lost", "slow", "warn", "silent", "drained", "maintenance", "unknown")
_RUN_WAITING: Final = "waiting"


def health_text(health: Health, behind_s: float) -> str:
    """Return the sentence that stands beside every list of incidents: how far silence can be trusted."""
    evaluated = age(health.evaluated_age_s + behind_s)
    complete = percent(health.input_completeness, 1)
    rules = plural(health.rules_active, "rule")
    return f"{rules} on {complete} complete input, evaluated {evaluated} ago"


def health_line(fleet: Fleet, behind_s: float) -> Line:
    """Return the health sentence with what stands in the way of trusting it."""
    health = fleet.health
    count = len(fleet.open_incidents)
    head = Span("No open incidents" if count == 0 else f"{plural(count, 'open incident')}", STRONG)
    weak = health.rules_active == 0 or not health.input_completeness >= 0.95
    text = Span("; " + health_text(health, behind_s), WARN if weak else DIM)
    trouble = Span(f" · TROUBLE: {health.troubles[0]}", FAULT) if health.troubles else Span("")
    return line(head, text, trouble)


def no_incidents(state: ConsoleState, monotonic_s: float) -> list[Line]:
    """Return what an empty incident list says: silence must be told apart from blindness."""
    fleet = state.fleet
    if fleet is None:
        return no_answer(state)
    health = health_text(fleet.health, state.behind_s(monotonic_s))
    out = [line(Span("No open incidents; ", STRONG), Span(health + ".", DIM))]
    closed = [each for each in fleet.incidents if not is_open(each) and each.closed_s is not None]
    if closed:
        last = max(closed, key=lambda each: each.closed_s or 0)
        ago = age(state.now_s(monotonic_s) - (last.closed_s or 0))
        out.append(line(Span(f"Last closed {last.id}, {ago} ago: {last.summary}", DIM)))
    return out


def no_answer(state: ConsoleState) -> list[Line]:
    """Return what a console says that has never had an answer."""
    reason = state.connection.reason
    rows = [line(Span("Waiting for the collector.", STRONG))]
    rows.extend([line(Span(reason + ".", WARN))] if reason else [])
    return [
        *rows,
        BLANK,
        line(Span("start one:   ringwatch collector run", DIM)),
        line(Span("elsewhere:   ringwatch console --collector HOST:7701", DIM)),
        line(Span("just a look: ringwatch demo", DIM)),
    ]


def first_steps(cells: int) -> list[Line]:
    """Return what a console over an empty fleet says."""
    rows = (
        "No agents have reported to this collector yet.",
        "",
        "1  start one on each node:      ringwatch agent run --collector HOST:7701",
        "2  no fleet at hand?            ringwatch demo",
        "3  see what a node would send:  ringwatch agent sources",
    )
    return [line(Span(clip(row, cells), STRONG if index == 0 else DIM)) for index, row in enumerate(rows)]


def fleet_section(fleet: Fleet) -> Section:
    """Return the fleet in numbers."""
    return Section(key="fleet", title="Fleet", build=lambda cells: _fleet_lines(fleet, cells))


def _fleet_lines(fleet: Fleet, cells: int) -> list[Line]:
    health = fleet.health
    gpus = _gpu_counts(fleet.nodes)
    known = max(health.nodes_known, len(fleet.nodes))
    nodes_mark = WARN if health.nodes_reporting < known else ""
    simulated = fleet.simulated_nodes
    out = [
        _pair("Nodes", Span(f"{health.nodes_reporting} of {known} reporting", nodes_mark)),
        *_count_lines("", Counter(node_state(node) for node in fleet.nodes), cells),
        _pair("GPUs", Span(f"{gpus['ok']:,} of {gpus.total():,} ok")),
        *_count_lines("", gpus, cells),
        _pair("Jobs", Span(_job_counts(fleet.jobs))),
        _pair("Power", Span(_power(fleet.nodes))),
        _pair("Input", Span(f"{percent(health.input_completeness, 1)} complete")),
        _pair("Rules", Span(f"{health.rules_active} active, {number(health.tick_ms)} ms a look")),
    ]
    if health.messages_refused:
        out.append(_pair("Refused", Span(plural(health.messages_refused, "message"), WARN)))
    if health.readings_dropped:
        out.append(_pair("Dropped", Span(plural(health.readings_dropped, "reading"), WARN)))
    if simulated:
        out.append(_pair("Source", Span(f"{simulated} of {len(fleet.nodes)} simulated", DIM)))
    out.extend(line(Span(clip(text, cells), TROUBLE)) for text in (*health.troubles, *fleet.unread))
    return out


def _pair(label: str, value: Span) -> Line:
    return line(Span(pad(label, 8), HEAD), value)


def _gpu_counts(nodes: Sequence[Node]) -> Counter[str]:
    """Return how many GPUs are in each state."""
    counts: Counter[str] = Counter()
    for node in nodes:
        counts.update(states(node.gpus))
    return counts


def _count_lines(label: str, counts: Counter[str], cells: int) -> list[Line]:
    spans: list[Span] = []
    for state in _TROUBLE_ORDER:
        if counts[state]:
            letter, mark, _ = state_of(state)
            spans.append(Span(f"{counts[state]} {state} {letter}  ", TROUBLE if mark == FAULT else mark))
    rows: list[Line] = []
    room = max(8, cells - 8)
    while spans:
        row = [Span(pad(label, 8)), spans.pop(0)]
        while spans and sum(width(each.text) for each in row[1:]) + width(spans[0].text) <= room:
            row.append(spans.pop(0))
        rows.append(tuple(row))
    return rows


def _job_counts(jobs: Sequence[Job]) -> str:
    counts = Counter(job.state for job in jobs)
    order = ("running", "degraded", "stalled", "silent", "starting", "ended")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts[state]) or "none"


def _power(nodes: Sequence[Node]) -> str:
    total, known = 0.0, False
    for node in nodes:
        watts = column(node.gpus, "power_watts")
        part = sum(watts)
        if part != part:  # noqa: PLR0124  (NaN: some are absent)
            watts = [value for value in watts if math.isfinite(value)]
            part = sum(watts)
        total, known = total + part, known or bool(watts)
    if not known:
        return "-"
    return f"{total / 1e6:.2f} MW" if total >= 1e6 else f"{total / 1e3:.1f} kW"


def attention_section(fleet: Fleet) -> Section:
    """Return the jobs, those in trouble first, in two lines each."""
    return Section(
        key="attention",
        title="Jobs needing attention",
        build=lambda cells: _attention_lines(fleet.jobs, cells),
    )


def _attention_lines(jobs: Sequence[Job], cells: int) -> list[Line]:
    shown = [job for job in jobs if job.state != "ended"]
    if not shown:
        return [line(Span("No job has a rank that reports.", DIM))]
    order = ("stalled", "degraded", "silent", "starting", "running")
    shown.sort(key=lambda job: (order.index(job.state) if job.state in order else 0, job.name))
    out: list[Line] = []
    for job in shown:
        mark = job_mark(job.state)
        bang = "!" if job.state in ("stalled", "degraded", "silent") else " "
        out.append(
            line(
                Span(f"{bang} ", mark), Span(clip(job.name, cells - 12), STRONG), Span("  " + job.state, mark)
            )
        )
        step = f"  step {duration(job.step_s)} (base {duration(job.baseline_step_s)})"
        out.append(line(Span(clip(step, cells), DIM)))
        if job.straggler:
            out.append(line(Span(clip(f"  late: {job.straggler}", cells), mark)))
        elif job.recent_step_s:
            out.append(line(Span("  " + spark(job.recent_step_s, max(4, cells - 4)), DIM)))
    return out


def summary_lines(fleet: Fleet, cells: int) -> list[Line]:
    """Return the fleet in two lines, for screens that have no room for panels."""
    gpus = _gpu_counts(fleet.nodes)
    health = fleet.health
    counts = (
        f"GPUs {gpus['ok']:,}/{gpus.total():,} ok · "
        f"nodes {health.nodes_reporting}/{max(health.nodes_known, len(fleet.nodes))} reporting · "
        f"jobs {_job_counts(fleet.jobs)}"
    )
    return [line(Span(clip(counts, cells), DIM))]


def waiting_runs(fleet: Fleet) -> Line:
    """Return the banner for runs that wait for a person; empty when none does."""
    waiting = [run for run in fleet.runs if run.state == _RUN_WAITING]
    if not waiting:
        return BLANK
    run = waiting[0]
    more = f" (+{len(waiting) - 1} more)" if len(waiting) > 1 else ""
    what = {"answer": "an answer", "approval": "approval"}.get(
        run.waiting_for, run.waiting_for or "an answer"
    )
    text = f"run {run.id} of {run.runbook} on {run.incident} waits for {what}{more}"
    return line(Span(text, INFO))


def job_delta(job: Job) -> Span:
    """Return how far the step time is from the job's own normal."""
    text = versus(job.step_s, job.baseline_step_s)
    return Span(text, WARN if job.state in ("degraded", "stalled") else "")
