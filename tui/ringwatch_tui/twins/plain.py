"""Screens as plain text: the same lines that the console draws, without marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ringwatch_proto.records import Incident
from ringwatch_tui.state.format import iso
from ringwatch_tui.state.model import Fleet, GpuReading, JobDetail, NodeDetail, Runbook
from ringwatch_tui.state.reducer import ConsoleState, is_open
from ringwatch_tui.state.text import clean
from ringwatch_tui.views import fleet as fleet_view
from ringwatch_tui.views import gpu as gpu_view
from ringwatch_tui.views import incident as incident_view
from ringwatch_tui.views import job as job_view
from ringwatch_tui.views import node as node_view
from ringwatch_tui.views.heat import METRICS, Cell, lay_out
from ringwatch_tui.views.lines import BLANK, Line, Section, Span, document, line, plain, table_lines
from ringwatch_tui.views.marks import to_ascii

_MAP_ROWS = 24


def printed(lines: Iterable[Line], *, ascii_only: bool = False) -> str:
    """Return lines as text that is safe to print, without trailing blanks."""
    out = (clean(plain(each)).rstrip() for each in lines)
    return "\n".join(to_ascii(each) if ascii_only else each for each in out)


def _state(fleet: Fleet) -> ConsoleState:
    return ConsoleState(fleet=fleet)


def status(fleet: Fleet, cells: int) -> list[Line]:
    """Return the overview: what is open, jobs, the fleet in numbers, the map."""
    simulated = sum(1 for node in fleet.nodes if node.simulated)
    mode = f"SIMULATED ({simulated} of {len(fleet.nodes)} nodes)" if simulated else "LIVE"
    out = [
        line(f"ringwatch {fleet.collector}  {mode}  {iso(fleet.wall_s) or '-'}"),
        fleet_view.health_line(fleet, 0.0),
        BLANK,
        *incidents(fleet, cells, include_closed=False),
        BLANK,
        *jobs(fleet, cells),
        BLANK,
    ]
    sections = (
        fleet_view.fleet_section(fleet),
        Section(key="map", title="Map", build=lambda at: _map(fleet, at)),
    )
    return [*out, *document(sections)(cells)]


def _map(fleet: Fleet, cells: int) -> list[Line]:
    if not fleet.nodes:
        return fleet_view.first_steps(cells)
    laid = lay_out(fleet.nodes, cells, _MAP_ROWS, METRICS[0])
    rows = [
        tuple(Span(each.glyph) if isinstance(each, Cell) else each for each in row.items) for row in laid.rows
    ]
    legend = "s slow  W warn  F fault  x lost  D drained  ? no data > 30 s"
    return [*rows, line(f"{laid.grain} · {METRICS[0].title} · {legend}")]


def incidents(fleet: Fleet, cells: int, *, include_closed: bool) -> list[Line]:
    """Return the list of incidents with how far an empty one can be trusted."""
    shown = [each for each in fleet.incidents if include_closed or is_open(each)]
    now_s = fleet.wall_s
    state = _state(fleet)
    table = incident_view.incident_table(
        shown,
        now_s,
        runs=fleet.runs,
        devices=incident_view.device_names(fleet),
        empty=lambda _cells: fleet_view.no_incidents(state, 0.0),
    )
    return table_lines(table, cells)


def incidents_with_health(fleet: Fleet, cells: int, *, include_closed: bool) -> list[Line]:
    """Return the list of incidents, and below it how many rules ran on how complete an input."""
    rows = incidents(fleet, cells, include_closed=include_closed)
    said = not any(include_closed or is_open(each) for each in fleet.incidents)
    return rows if said else [*rows, BLANK, fleet_view.health_line(fleet, 0.0)]


def one_line(text: str) -> str:
    """Return a text that came over the wire as one line that is safe to print."""
    return clean(text)


def incident(found: Incident, fleet: Fleet, runbooks: Sequence[Runbook], cells: int) -> list[Line]:
    """Return one incident with all that is known about it."""
    books = {book.id: book for book in runbooks}
    run = next((each for each in fleet.runs if each.id == found.run), None)
    parts = incident_view.sections(
        found,
        runbooks=books,
        run=run,
        devices=incident_view.device_names(fleet, incident_view.nodes_of(found)),
    )
    return [incident_view.headline(found, fleet.wall_s), BLANK, *document(parts)(cells)]


def jobs(fleet: Fleet, cells: int) -> list[Line]:
    """Return the list of jobs."""
    return table_lines(
        job_view.job_table(fleet.jobs, empty=lambda _cells: [line("No training job reports.")]), cells
    )


def job(detail: JobDetail, fleet: Fleet, cells: int) -> list[Line]:
    """Return one job."""
    return [
        job_view.headline(detail.summary),
        BLANK,
        *document(
            job_view.sections(detail, incident_view.device_names(fleet, {each.node for each in detail.ranks}))
        )(cells),
    ]


def nodes(fleet: Fleet, cells: int) -> list[Line]:
    """Return the list of nodes."""
    return table_lines(node_view.node_table(fleet.nodes, empty=fleet_view.first_steps), cells)


def gpu(detail: NodeDetail, found: GpuReading, cells: int) -> list[Line]:
    """Return one GPU."""
    return [
        gpu_view.headline(detail, found),
        BLANK,
        *document(gpu_view.sections(detail, found))(cells),
    ]


def node(detail: NodeDetail, cells: int) -> list[Line]:
    """Return one node."""
    return [node_view.headline(detail.summary), BLANK, *document(node_view.sections(detail))(cells)]
