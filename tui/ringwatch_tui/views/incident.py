"""What is said about incidents: the list, and one incident with cause, evidence, rivals and cost."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from operator import attrgetter

from ringwatch_proto.records import Evidence, Finding, Incident, IncidentState, Subject
from ringwatch_tui.state.format import age, clock, number, plural
from ringwatch_tui.state.model import Fleet, Run, Runbook, RunBrief
from ringwatch_tui.state.query import Term, matches
from ringwatch_tui.state.reducer import is_open
from ringwatch_tui.state.text import clean, clip, pad, wrap
from ringwatch_tui.views.lines import (
    BLANK,
    DIM,
    HEAD,
    INFO,
    STRONG,
    WARN,
    Build,
    Column,
    LazyRows,
    Line,
    Row,
    Section,
    Span,
    Table,
    labelled,
    line,
    paragraph,
)
from ringwatch_tui.views.marks import BEARING, incident_state_span, severity_span

_COLUMNS = (
    Column(key="sev", title="SEV", cells=4),
    Column(key="id", title="ID", cells=5),
    Column(key="age", title="AGE", cells=6, align="right", priority=1),
    Column(key="what", title="WHAT", cells=44, flex=1),
    Column(key="where", title="WHERE", cells=14, priority=2),
    Column(key="job", title="JOB", cells=12, priority=6),
    Column(key="conf", title="CONF", cells=4, align="right", priority=7),
    Column(key="state", title="STATE", cells=10),
    Column(key="owner", title="OWNER", cells=7, priority=5),
)


_OPENED = attrgetter("opened_s")
_SEVERITY = attrgetter("severity")


def incident_table(
    incidents: Sequence[Incident],
    now_s: float,
    *,
    runs: Sequence[RunBrief] = (),
    devices: Mapping[str, str] | None = None,
    terms: tuple[Term, ...] = (),
    empty: Build = lambda _cells: (),
) -> Table:
    """Return the incidents, open ones first, worst and newest on top."""
    by_id = {run.id: run for run in runs}
    names = devices or {}
    kept = [each for each in by_urgency(incidents) if not terms or matches(terms, _fields(each, names))]
    rows = LazyRows(
        [each.id for each in kept],
        lambda place: _row(kept[place], now_s, by_id.get(kept[place].run), names),
    )
    return Table(columns=_COLUMNS, rows=rows, empty=empty)


def by_urgency(incidents: Sequence[Incident]) -> list[Incident]:
    """Return the incidents in the order of lists: by ``urgency``, two quick sorts for one slow key."""
    found = sorted(incidents, key=_OPENED, reverse=True)
    found.sort(key=_SEVERITY, reverse=True)
    return [each for each in found if is_open(each)] + [each for each in found if not is_open(each)]


def urgency(incident: Incident) -> tuple[int, int, float]:
    """Return the sort key of lists: open before closed, severe before mild, new before old."""
    return (0 if is_open(incident) else 1, -int(incident.severity), -incident.opened_s)


def device_names(fleet: Fleet | None, nodes: Container[str] | None = None) -> dict[str, str]:
    """Return what operators call the devices of these nodes, by id; None: of those that incidents name."""
    if fleet is None:
        return {}
    wanted = {each.culprit.node for each in fleet.incidents} if nodes is None else nodes
    return {gpu.id: gpu.name for node in fleet.nodes if node.name in wanted for gpu in node.gpus}


def nodes_of(incident: Incident) -> set[str]:
    """Return the nodes that an incident and its findings name."""
    findings = [each.culprit.node for each in incident.findings]
    victims = [victim.node for each in incident.findings for victim in each.victims]
    return {incident.culprit.node, *findings, *victims}


def place(subject: Subject, devices: Mapping[str, str]) -> str:
    """Return where a subject is, in few cells: ``n011 gpu3``, ``n011 rank 91``, ``n003 -> n004``."""
    device = devices.get(subject.device, subject.device)
    if subject.kind == "rank" and subject.node:
        return f"{subject.node} rank {subject.rank}"
    if subject.kind == "link":
        return f"{subject.node} -> {subject.peer}" if subject.peer else f"{subject.node} {device}".strip()
    if subject.kind in ("node", "gpu"):
        return " ".join(part for part in (subject.node, device) if part)
    return "-" if subject.kind == "none" else str(subject)


def named(subject: Subject, devices: Mapping[str, str]) -> str:
    """Return the subject in full: with its job and what the device is called."""
    if subject.kind == "none":
        return "nobody"
    device = devices.get(subject.device, subject.device)
    where = place(subject, devices)
    if subject.kind == "rank":
        on = " ".join(part for part in (subject.node, device) if part)
        where = f"rank {subject.rank}" + (f" on {on}" if on else "")
    job = f" of {subject.job}" if subject.job and subject.kind != "job" else ""
    return where + job


def _row(incident: Incident, now_s: float, run: RunBrief | None, devices: Mapping[str, str]) -> Row:
    culprit = incident.culprit
    where = place(culprit, devices)
    job = _job(incident)
    state = state_span(incident, run)
    return Row(
        id=incident.id,
        values={
            "sev": severity_span(incident.severity),
            "id": Span(incident.id),
            "age": Span(age(now_s - incident.opened_s), DIM),
            "what": Span(incident.summary, STRONG if incident.state is IncidentState.NEW else ""),
            "where": Span(where),
            "job": Span(job or "-"),
            "conf": Span(number(incident.confidence, 2), DIM),
            "state": state,
            "owner": Span(incident.owner or "-"),
        },
        fields=_fields(incident, devices),
    )


def _job(incident: Incident) -> str:
    return incident.culprit.job or next(
        (each.culprit.job for each in incident.findings if each.culprit.job), ""
    )


def _fields(incident: Incident, devices: Mapping[str, str]) -> dict[str, str]:
    return {
        "sev": incident.severity.word.lower(),
        "id": incident.id,
        "what": incident.summary,
        "where": place(incident.culprit, devices),
        "job": _job(incident),
        "state": incident.state.value,
        "owner": incident.owner,
        "kind": incident.kind.value,
        "cause": incident.cause,
    }


def state_span(incident: Incident, run: RunBrief | None = None) -> Span:
    """Return the state, or how far the runbook is when one is being walked."""
    if run is not None and run.state in ("running", "waiting") and is_open(incident):
        return Span(f"run {run.step}/{run.steps}" + (" >>" if run.state == "waiting" else ""), INFO)
    if not incident.active and incident.state in (IncidentState.NEW, IncidentState.ACKNOWLEDGED):
        return Span(f"{incident_state_span(incident.state).text} quiet", DIM)
    return incident_state_span(incident.state)


def headline(incident: Incident, now_s: float) -> Line:
    """Return the incident in one line: severity, id, state, age, owner, kind."""
    state = "CLOSED" if not is_open(incident) else incident.state.value.upper()
    since = incident.closed_s if incident.closed_s is not None and not is_open(incident) else now_s
    silenced = incident.state is IncidentState.SILENCED
    return line(
        severity_span(incident.severity),
        "  ",
        Span(incident.id, STRONG),
        "  ",
        Span(state, STRONG if incident.state is IncidentState.NEW else ""),
        Span(f"  for {age(since - incident.opened_s)}", DIM),
        Span("  owner ", DIM),
        Span(incident.owner or "nobody", "" if incident.owner else WARN),
        Span(f"  {incident.kind.value}", DIM),
        Span(f"  silenced until {clock(incident.silenced_until_s)}{_by(incident)}" if silenced else "", DIM),
        Span(_lapses(incident, now_s), DIM),
        Span(f"  opened again {incident.reopened} times" if incident.reopened else "", WARN),
    )


def _by(incident: Incident) -> str:
    return f" by {incident.silenced_by}" if incident.silenced_by else ""


def _lapses(incident: Incident, now_s: float) -> str:
    """Return when an acknowledgement ends by itself; it pages again then, if the trouble is still seen."""
    until_s = incident.acknowledged_until_s
    if incident.state is not IncidentState.ACKNOWLEDGED or until_s is None:
        return ""
    return f"  ack lapses at {clock(until_s)}, in {age(max(0.0, until_s - now_s))}"


def sections(
    incident: Incident,
    *,
    runbooks: Mapping[str, Runbook],
    devices: Mapping[str, str],
    run: Run | RunBrief | None = None,
) -> tuple[Section, ...]:
    """Return all that is known about an incident, the most important first."""
    lead = incident.findings[0] if incident.findings else None
    confidence = number(incident.confidence, 2)
    return (
        Section(
            key="cause",
            title=f"What we think ({confidence})",
            build=lambda cells: _cause(incident, devices, cells),
        ),
        Section(key="evidence", title="Evidence", build=lambda cells: evidence_lines(incident, cells)),
        Section(
            key="runbooks",
            title="Runbooks",
            build=lambda cells: _runbooks(incident, runbooks, run, cells),
        ),
        Section(key="why", title="Why", build=lambda cells: _why(lead, cells) if lead else []),
        Section(key="notes", title="Notes", build=lambda cells: _notes(incident, cells)),
    )


def _cause(incident: Incident, devices: Mapping[str, str], cells: int) -> list[Line]:
    cause = incident.cause.replace("_", " ") or "not known"
    out = [
        *paragraph(incident.summary, cells, STRONG),
        BLANK,
        *labelled("CULPRIT", named(incident.culprit, devices), cells),
        *labelled("CAUSE", cause, cells),
        *labelled("VERDICT", incident.verdict.value.replace("_", " "), cells),
    ]
    lead = incident.findings[0] if incident.findings else None
    victims = len({str(each) for finding in incident.findings for each in finding.victims})
    cost = f"{incident.gpu_hours_lost:.2f} GPU-hours so far"
    held = sum(each.gpus_held for each in incident.findings)
    cost += f", {held:.0f} GPUs held up now" if held and incident.active else ""
    cost += f", explains {plural(victims, 'other symptom')}" if victims else ""
    out.extend(labelled("COST", cost, cells))
    out.extend(labelled("SIGNAL", _signal(incident, lead), cells))
    ruled_out = {(each.cause, each.reason) for finding in incident.findings for each in finding.ruled_out}
    out.append(BLANK)
    out.append(line(Span("RULED OUT", HEAD), Span("" if ruled_out else " nothing yet", DIM)))
    for rival, reason in sorted(ruled_out):
        out.extend(_rival(rival.replace("_", " "), reason, cells))
    unsure = tuple(dict.fromkeys(text for finding in incident.findings for text in finding.unsure))
    if unsure:
        out.append(line(Span("UNSURE", HEAD)))
        for text in unsure:
            out.extend(paragraph(text, cells, WARN, indent="  "))
    return out


def _rival(rival: str, reason: str, cells: int) -> list[Line]:
    """Return a rival cause and beside it what rules it out; later lines hang below."""
    first, *rest = wrap(f"{clean(rival)}: {reason}", cells - 4)
    head, colon, tail = first.partition(":")
    out = [line("  ", Span(head + colon, HEAD), Span(tail))]
    return out + [line("    ", Span(row)) for row in rest]


def _signal(incident: Incident, lead: Finding | None) -> str:
    if not is_open(incident):
        return f"closed {clock(incident.closed_s)}"
    if lead is not None and lead.latched:
        return "an event that does not unhappen: stays until the repair is proved"
    return "still seen" if incident.active else f"not seen for {age(incident.quiet_s)}"


def evidence(incident: Incident) -> tuple[Evidence, ...]:
    """Return the evidence of all findings, oldest first, each once."""
    unique = {
        (each.at_s, each.bearing, each.text, each.source): each
        for finding in incident.findings
        for each in finding.evidence
    }
    return tuple(sorted(unique.values(), key=lambda each: (each.at_s, each.text)))


def evidence_lines(incident: Incident, cells: int) -> list[Line]:
    """Return the time line: when, what it does to the conclusion, what, where from."""
    moments: list[tuple[float, list[Line]]] = [
        (each.at_s, _evidence_line(each, cells)) for each in evidence(incident)
    ]
    opened = line(Span(f"{clock(incident.opened_s)} ", DIM), Span("  opened " + incident.id, DIM), Span(""))
    moments.append((incident.opened_s, [opened]))
    if incident.closed_s is not None and not is_open(incident):
        moments.append((incident.closed_s, [line(Span(f"{clock(incident.closed_s)}   closed", DIM))]))
    moments.sort(key=lambda item: item[0])
    key = "● supports  ○ rules out a rival  ▲ change  · context"
    return [row for _, rows in moments for row in rows] + [BLANK, line(Span(clip(key, cells), DIM))]


def _evidence_line(item: Evidence, cells: int) -> list[Line]:
    glyph, mark, _ = BEARING.get(item.bearing.value, BEARING["context"])
    source = " · ".join(part for part in (item.source, item.node) if part)
    if item.order_uncertain:
        source += " · order uncertain"
    room = cells - 11
    rows = wrap(item.text, room)
    out = [line(Span(f"{clock(item.at_s)} ", DIM), Span(f"{glyph} ", mark), Span(rows[0]))]
    out.extend(line(" " * 11, Span(row)) for row in rows[1:])
    last = len(rows[-1]) + 2
    if last + len(source) <= room:
        out[-1] = (*out[-1], Span("  " + source, DIM))
    else:
        out.append(line(" " * 11, Span(clip(source, room), DIM)))
    return out


def _runbooks(
    incident: Incident, known: Mapping[str, Runbook], run: Run | RunBrief | None, cells: int
) -> list[Line]:
    out: list[Line] = []
    if run is not None:
        out.append(
            line(
                Span(f"run {run.id} ", INFO),
                Span(f"of {run.runbook}: {run.state}"),
                Span("   r to open it", DIM),
            )
        )
    for index, id in enumerate(incident.runbooks):
        book = known.get(id)
        title = book.title if book is not None else ""
        steps = f"  {len(book.steps)} steps" if book is not None else ""
        approvals = sum(1 for step in book.steps if step.approval) if book is not None else 0
        tail = steps + (f", {approvals} to approve" if approvals else "")
        out.append(line(Span(id, STRONG if index == 0 else ""), Span(tail, DIM)))
        out.extend(paragraph(title, cells, indent="  ") if title else [])
    if not incident.runbooks and run is None:
        out.append(line(Span("No runbook fits this kind of incident.", DIM)))
    return out


def _why(finding: Finding, cells: int) -> list[Line]:
    why = finding.why
    out = labelled("RULE", why.rule or finding.detector, cells)
    if why.source:
        out.extend(labelled("SOURCE", why.source, cells, mark=DIM))
    names = sorted({*why.inputs, *why.thresholds})
    room = min(34, max((len(name) for name in names), default=0) + 2)
    for name in names:
        value = _value(why.inputs.get(name))
        limit = _value(why.thresholds.get(name))
        text = pad(name, room) + pad(value, 12, "right") + (f"   limit {limit}" if limit else "")
        out.append(line(Span(clip(text, cells), DIM)))
    return out


def _value(value: float | None) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def _notes(incident: Incident, cells: int) -> list[Line]:
    out: list[Line] = [] if incident.notes else [line(Span("No notes.", DIM))]
    for note in incident.notes:
        head = f"{clock(note.at_s)} {note.author}: "
        rows = wrap(note.text, cells - len(head))
        out.append(line(Span(head, DIM), Span(rows[0])))
        out.extend(line(" " * len(head), Span(row)) for row in rows[1:])
    return out
