"""The state moves on by a pure function."""

from dataclasses import replace

from tests.tui import world

from ringwatch_proto.records import IncidentState, Severity
from ringwatch_tui.state import events
from ringwatch_tui.state.reducer import DISCONNECTED, LIVE, ConsoleState, reduce


def _live() -> ConsoleState:
    return reduce(
        ConsoleState(),
        events.FleetReceived(fleet=world.fleet(), monotonic_s=100.0, wall_s=world.NOW_S),
    )


def test_a_snapshot_makes_the_console_live() -> None:
    """The first picture is the end of connecting."""
    state = _live()

    assert state.connection.kind == LIVE
    assert state.open_count(Severity.CRITICAL) == 2
    assert state.open_count(Severity.WARNING) == 2
    assert state.simulated


def test_ages_go_on_while_live_and_stand_still_while_disconnected() -> None:
    """A held picture does not grow older by pretending to be current."""
    state = _live()
    lost = reduce(state, events.ConnectionLost(reason="gone", monotonic_s=110.0, retry_at_s=111.0))

    assert state.now_s(105.0) == world.NOW_S + 5
    assert lost.connection.kind == DISCONNECTED
    assert lost.now_s(500.0) == world.NOW_S + 10


def test_a_second_failure_keeps_when_the_connection_was_lost() -> None:
    """DISCONNECTED counts from the first failure, not from the last try."""
    lost = reduce(_live(), events.ConnectionLost(reason="gone", monotonic_s=110.0, retry_at_s=111.0))
    again = reduce(lost, events.ConnectionLost(reason="gone", monotonic_s=140.0, retry_at_s=150.0))

    assert again.connection.since_s == 110.0
    assert again.connection.retry_at_s == 150.0


def test_coming_back_says_what_happened_meanwhile() -> None:
    """One line sums up what was missed."""
    lost = reduce(_live(), events.ConnectionLost(reason="gone", monotonic_s=110.0, retry_at_s=111.0))
    later = replace(
        world.fleet(),
        incidents=(
            replace(world.STRAGGLER, state=IncidentState.RESOLVED),
            world.OFF_BUS,
            replace(world.HOT, id="I-200"),
        ),
    )
    back = reduce(lost, events.FleetReceived(fleet=later, monotonic_s=150.0, wall_s=world.NOW_S + 50))

    assert back.notice is not None
    assert "+1 incident, 1 resolved" in back.notice.text


def test_the_answer_to_an_action_shows_before_the_next_snapshot() -> None:
    """Who acknowledges sees it at once."""
    mine = replace(world.STRAGGLER, state=IncidentState.ACKNOWLEDGED, updated_s=world.NOW_S)
    state = reduce(_live(), events.IncidentReceived(incident=mine))

    found = state.incident("I-142")
    assert found is not None
    assert found.state is IncidentState.ACKNOWLEDGED


def test_an_older_answer_does_not_undo_a_newer_picture() -> None:
    """A late answer never takes an incident back in time."""
    stale = replace(world.STRAGGLER, state=IncidentState.SILENCED, updated_s=world.NOW_S - 100)
    state = reduce(_live(), events.IncidentReceived(incident=stale))

    found = state.incident("I-142")
    assert found is not None
    assert found.state is IncidentState.NEW


def test_a_missing_object_is_forgotten_once_it_comes() -> None:
    """A job that was not known a moment ago is not called missing for ever."""
    missing = reduce(_live(), events.DetailMissing(kind="job", id="llm-70b", reason="no job"))
    found = reduce(missing, events.JobReceived(detail=world.job_detail()))

    assert missing.missing == {("job", "llm-70b"): "no job"}
    assert found.missing == {}


def test_missed_pictures_are_counted_while_paused() -> None:
    """Pause holds the picture, not the truth."""
    paused = reduce(_live(), events.PauseToggled())
    for _ in range(3):
        paused = reduce(
            paused, events.FleetReceived(fleet=world.fleet(), monotonic_s=101.0, wall_s=world.NOW_S)
        )

    assert paused.missed == 3
    assert reduce(paused, events.PauseToggled()).missed == 0


def test_details_do_not_pile_up() -> None:
    """A console that runs for months stays small."""
    state = _live()
    for index in range(200):
        detail = replace(world.job_detail(), summary=replace(world.JOBS[0], name=f"job-{index}"))
        state = reduce(state, events.JobReceived(detail=detail))

    assert len(state.jobs) <= 32
    assert "job-199" in state.jobs
