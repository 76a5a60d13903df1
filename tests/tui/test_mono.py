"""Colour only repeats what a letter or word has said."""

from dataclasses import replace

import pytest
from tests.tui import world

from ringwatch_proto.records import IncidentState, Severity
from ringwatch_tui.state.model import Fleet, RunBrief
from ringwatch_tui.twins.plain import printed
from ringwatch_tui.views import marks
from ringwatch_tui.views.heat import METRICS, lay_out
from ringwatch_tui.views.incident import incident_table
from ringwatch_tui.views.job import job_table
from ringwatch_tui.views.lines import Span, line, table_lines
from ringwatch_tui.views.node import node_table
from ringwatch_tui.views.run import headline, step_table


def _glyphs(state: str) -> str:
    node = world.fleet().nodes[0]
    gpus = tuple(world.altered(gpu, state=state) for gpu in node.gpus)
    laid = lay_out((replace(node, state=state, gpus=gpus),), 80, 10, METRICS[0])
    return "".join(cell.glyph for _, _, cell in laid.placed())


def test_each_state_of_a_gpu_has_its_own_letter() -> None:
    """On the map without colour no two states look alike, but those that both mean no data."""
    shown = {state: _glyphs(state) for state in marks.STATES}

    assert shown["silent"] == shown["unknown"] == "?" * 8
    distinct = [shown[state] for state in marks.STATES if state != "unknown"]
    assert len(set(distinct)) == len(distinct)


@pytest.mark.parametrize("state", marks.STATES)
def test_each_state_of_a_node_is_a_word_in_the_list(state: str) -> None:
    """The list says the state in full."""
    node = replace(world.fleet().nodes[0], state=state)

    assert state in printed(table_lines(node_table([node]), 120))


@pytest.mark.parametrize("state", ["starting", "running", "degraded", "stalled", "silent", "ended"])
def test_each_state_of_a_job_is_a_word(state: str) -> None:
    """The list says the state in full."""
    assert state in printed(table_lines(job_table([replace(world.JOBS[0], state=state)]), 120))


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("state", IncidentState)
def test_severity_and_state_of_an_incident_are_words(severity: Severity, state: IncidentState) -> None:
    """CRIT, WARN or INFO, and new, ack, silenced or resolved."""
    found = replace(world.STRAGGLER, severity=severity, state=state)
    text = printed(table_lines(incident_table([found], world.NOW_S), 120))

    assert severity.word in text
    assert marks.incident_state_span(state).text in text


def test_a_walk_that_waits_is_seen_in_the_list() -> None:
    """An incident whose runbook waits for a person says so."""
    brief = RunBrief(id="r-1", runbook="b", incident="I-142", state="waiting", step=3, steps=5)
    table = incident_table([replace(world.STRAGGLER, run="r-1")], world.NOW_S, runs=[brief])

    assert "run 3/5 >>" in printed(table_lines(table, 120))


def test_each_state_of_a_step_has_its_own_sign() -> None:
    """ok, >>, .., !!, -- and nothing."""
    signs = [sign for sign, _ in marks.STEP_STATE.values()]

    assert len(set(signs)) == len(signs)
    text = printed(table_lines(step_table(world.RUN), 40))
    assert "ok" in text
    assert ">>" in text


@pytest.mark.parametrize(
    "state",
    [
        "running",
        "waiting",
        "succeeded",
        "mitigated",
        "no_fault",
        "redirected",
        "handed_over",
        "failed",
        "aborted",
    ],
)
def test_each_end_of_a_run_is_a_word(state: str) -> None:
    """How a run ended is said in capitals."""
    text = printed([headline(replace(world.RUN, state=state), "n011 gpu3")])

    assert state.upper().replace("_", " ") in text


def test_ascii_has_no_other_letters_of_ours() -> None:
    """With --ascii nothing that we draw ourselves is outside ASCII."""
    ours = marks.RAMP + "█░●○▲·…─│›"

    assert printed([line(Span(ours))], ascii_only=True).isascii()


def test_a_fleet_is_not_called_fine_by_colour_alone() -> None:
    """The words of the fleet panel name every state that occurs."""
    fleet: Fleet = world.fleet()
    from ringwatch_tui.views.fleet import fleet_section

    text = printed(fleet_section(fleet).build(34))

    for word in ("1 fault F", "1 slow s", "1 silent ?", "1 drained D", "1 lost x", "63 of 64 reporting"):
        assert word in text
