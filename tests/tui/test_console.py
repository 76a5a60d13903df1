"""The console under an operator's hands, over a back end in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from textual.pilot import Pilot

from ringwatch_proto.records import IncidentState
from ringwatch_tui import palettes, themes
from ringwatch_tui.app import Ringwatch
from ringwatch_tui.client.fake import FakeClient
from ringwatch_tui.screens.base import RingScreen
from ringwatch_tui.screens.run import RunWalk
from ringwatch_tui.start import theme_for
from ringwatch_tui.widgets.bars import Bar
from ringwatch_tui.widgets.heatmap import HeatMap
from ringwatch_tui.widgets.vtable import VTable

# A wait in vain ends here, not after the two minutes of the whole suite.
pytestmark = pytest.mark.timeout(60)
SIZES = ((120, 36), (80, 24), (60, 18), (200, 60), (20, 5))


def shown(app: Ringwatch) -> str:
    """Return the whole terminal as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait until something holds; the test's own timeout ends a wait in vain."""
    while not holds():
        await pilot.pause(0.02)


async def ready(pilot: Pilot[None], app: Ringwatch, text: str) -> None:
    """Wait until a text is on the screen."""
    await until(pilot, lambda: text in shown(app))


async def press(pilot: Pilot[None], clock: FrozenClock, *keys: str) -> None:
    """Press keys at a human's pace."""
    for key in keys:
        clock.now_s += 1.0
        await pilot.press(key)
        await pilot.pause(0.02)


async def test_the_operator_lands_on_the_worst_incident() -> None:
    """Incidents have the focus, the worst is selected, and the header counts."""
    app = console()
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")

        assert app.screen.query_one("#incidents", VTable).has_focus
        assert app.screen.query_one("#incidents", VTable).selected == "I-142"
        text = shown(app)
        assert "SIMULATED" in text
        assert "2 CRIT 2 WARN" in text
        assert "17 rules on 98.7 % complete input, evaluated 0.3 s ago" in text


async def test_silence_is_told_apart_from_blindness() -> None:
    """No incident is only said beside how many rules ran on how complete an input."""
    fake = world.client()
    fake.world = world.quiet_fleet()
    app = console(fake)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "No open incidents")

        assert "17 rules on 98.7 % complete input" in shown(app)
        assert "Last closed I-130" in shown(app)


async def test_an_empty_fleet_says_what_to_do_next() -> None:
    """A first run is not a blank map."""
    fake = world.client()
    fake.world = replace(world.fleet(), nodes=(), jobs=(), incidents=())
    app = console(fake)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "No agents have reported")

        assert "ringwatch agent run" in shown(app)


async def test_an_incident_is_taken_from_new_to_closed() -> None:
    """Acknowledge, walk the runbook, approve by typing the target, verify, close."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "a")
        await ready(pilot, app, "Acknowledge I-142")
        await press(pilot, clock, *"mine", "enter")
        await until(pilot, lambda: fake.world.incidents[0].state is IncidentState.ACKNOWLEDGED)
        await press(pilot, clock, "r")
        await ready(pilot, app, "start compute-straggler")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "WAITING for approval")
        await press(pilot, clock, "A")
        await ready(pilot, app, "type  SIM-011-3")
        await press(pilot, clock, *"SIM-011-4", "enter")
        await ready(pilot, app, "that is not the target")
        await press(pilot, clock, "backspace", "3", "enter")
        await ready(pilot, app, "Watch it stay healthy")
        await until(pilot, lambda: fake.walks["r-17"].current == "verify")
        verified = await fake.answer("r-17", "verify", "answer", "healthy", "collector")
        await until(pilot, lambda: app.session.state.runs["r-17"].current == verified.current)
        await fake.answer("r-17", "close", "answer", "closed", "collector")
        await fake.act("I-142", "resolve", "collector", "repair proved")
        await ready(pilot, app, "SUCCEEDED")
        await press(pilot, clock, "escape", "4")
        await ready(pilot, app, "resolved")

    told = [(each.what, each.about, each.text, each.author) for each in fake.asked]
    assert told[:3] == [
        ("acknowledge", "I-142", "mine", "ana"),
        ("start", "I-142", "compute-straggler", "ana"),
        ("approve", "r-17/unlock", "SIM-011-3", "ana"),
    ]


async def test_a_viewer_can_look_and_not_act() -> None:
    """Read-only is said in the header, and a refused key says which role it needs."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock, role="viewer")
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "READ-ONLY")
        await press(pilot, clock, "a")
        await ready(pilot, app, "ack needs the role operator; this console is viewer")

    assert fake.asked == []


async def test_a_lost_collector_freezes_the_picture_and_refuses_changes() -> None:
    """The header says since when; what was seen stays; nothing can be changed; return is told."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        fake.cut()
        await ready(pilot, app, "DISCONNECTED 00:0")
        clock.now_s += 42
        await ready(pilot, app, "DISCONNECTED 00:4")

        assert "I-142" in shown(app)
        assert app.screen.has_class("-frozen")
        await press(pilot, clock, "a")
        await ready(pilot, app, "not while disconnected")
        clock.now_s += 10
        fake.mend()
        await ready(pilot, app, "connected again")
        assert not app.screen.has_class("-frozen")

    assert fake.asked == []


async def test_keys_meant_for_what_was_there_before_are_ignored_by_a_dialog() -> None:
    """A dialog takes no answer within 300 ms of opening."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "a")
        await ready(pilot, app, "Acknowledge I-142")
        await pilot.press("enter")
        await pilot.pause(0.1)

        assert fake.asked == []
        await press(pilot, clock, "escape")
        await pilot.pause(0.1)
        assert fake.asked == []


async def test_the_selection_follows_the_object_and_not_the_row() -> None:
    """A new incident on top does not move what the operator holds."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "j")
        newest = replace(world.OFF_BUS, id="I-150", opened_s=world.NOW_S)
        fake.show(replace(fake.world, incidents=(newest, *fake.world.incidents)))
        await ready(pilot, app, "I-150")

        assert app.screen.query_one("#incidents", VTable).selected == "I-141"
        await pilot.press("o")
        await ready(pilot, app, "the list has just moved")
        assert fake.asked == []


async def test_one_press_of_q_does_not_leave() -> None:
    """Leaving takes two presses within two seconds; esc never leaves."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "escape", "q")
        await ready(pilot, app, "press q again to leave")
        clock.now_s += 5
        await press(pilot, clock, "q")
        assert app.is_running
        await press(pilot, clock, "q")
        await pilot.pause()

        assert not app.is_running or app._exit


async def test_the_map_finds_what_is_not_ok() -> None:
    """n goes from one abnormal cell to the next; enter opens its node."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "n")
        heat = app.screen.query_one(HeatMap)
        assert heat.selected is not None
        assert heat.selected.title == "n011 gpu3 slow"
        await press(pilot, clock, "n", "N", "enter")
        await ready(pilot, app, "SLOW")

        assert app.top is not None
        assert app.top.object_id == "n011"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("2", "enter"), "rank 91"),
        (("2",), "llm-70b"),
        (("3",), "RMA-331"),
        (("4",), "resolved"),
        (("colon", *"n011", "enter"), "permission"),
        (("colon", *"nosuch", "enter"), "nothing is called nosuch"),
        (("question_mark",), "Keys on this screen (overview)"),
        (("semicolon",), "Search for commands"),
        (("enter", "enter"), "degraded".upper()),
        (("p",), "PAUSED"),
    ],
)
async def test_every_screen_is_a_few_keys_away(keys: tuple[str, ...], expected: str) -> None:
    """From the overview to each screen by plain letters."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        for key in keys:
            if key == "enter":
                await pilot.pause(0.15)
            await press(pilot, clock, key)
        if keys == ("2", "enter"):
            assert app.top is not None
            await press(pilot, clock, "escape", "j")
            app.open_object("job", "llm-70b")
        await ready(pilot, app, expected)


async def test_help_runs_the_action_that_is_chosen() -> None:
    """The help is a menu of what works here."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "question_mark")
        await ready(pilot, app, "Keys on this screen")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "What we think")


async def test_a_filter_is_kept_shown_and_cleared() -> None:
    """The filter stands over the list until esc, and says what it hides."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "4", "slash", *"state:new", "enter")
        await ready(pilot, app, "2 of 5 incidents")
        assert "state:new" in shown(app)
        await press(pilot, clock, "slash", *"zzz", "enter")
        await ready(pilot, app, "Nothing matches")
        await press(pilot, clock, "escape")
        await ready(pilot, app, "5 incidents")


async def test_back_goes_where_one_came_from() -> None:
    """Each of the four screens keeps what was opened on it."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "What we think")
        await press(pilot, clock, "2")
        await ready(pilot, app, "vs BASE")
        await press(pilot, clock, "1")
        await ready(pilot, app, "What we think")
        await press(pilot, clock, "escape")
        await ready(pilot, app, "Fleet map")


@pytest.mark.parametrize(
    ("size", "theme"), [*((size, palettes.DEFAULT) for size in SIZES), ((80, 24), palettes.MONO)]
)
async def test_no_size_breaks_a_screen(size: tuple[int, int], theme: str) -> None:
    """From 20x5 to 200x60 every screen draws, and the header never loses its mode where it fits."""
    app = console(theme=theme)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.state.fleet is not None and app.top is not None)
        for mode in ("jobs", "nodes", "incidents", "silences", "alerts", "settings", "overview"):
            app.wish(mode)
            await pilot.pause(0.06)
        for key in ("b", "plus", "plus", "plus", "n", "minus", "f", "x"):
            await pilot.press(key)
        for kind, id in (("incident", "I-142"), ("job", "llm-70b"), ("node", "n011"), ("run", "r-17")):
            app.open_object(kind, id)
            await pilot.pause(0.06)
            await pilot.resize_terminal(size[0] + 1, size[1])
            await pilot.resize_terminal(*size)
        assert isinstance(app.screen, RingScreen)
        if size[0] >= 60:
            assert "SIMULATED" in app.screen.query_one("#header", Bar).text


async def test_a_theme_change_redraws_at_once() -> None:
    """T goes through the themes and ends where it began."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        seen = []
        for _ in palettes.THEMES:
            await press(pilot, clock, "T")
            seen.append(app.theme)

    assert sorted(seen) == sorted(palettes.THEMES)
    assert app.theme == palettes.DEFAULT


def test_no_color_means_no_colour() -> None:
    """NO_COLOR and dumb terminals get the theme without any."""
    assert theme_for({"NO_COLOR": "1"}) == palettes.MONO
    assert theme_for({"TERM": "dumb"}) == palettes.MONO
    assert theme_for({"NO_COLOR": ""}) == palettes.DEFAULT
    assert theme_for({"NO_COLOR": "1"}, "light") == "ringwatch-light"


def test_mono_sets_no_colour_anywhere() -> None:
    """Bold, dim and reverse only."""
    for style in themes.looks(palettes.MONO).values():
        assert style.color is None
        assert style.bgcolor is None


async def test_a_second_console_sees_the_first_one_acknowledge() -> None:
    """Two operators on one fleet share what they say."""
    clock, fake = FrozenClock(), world.client()
    other = console(fake, clock)
    async with other.run_test(size=(120, 36)) as pilot:
        await ready(pilot, other, "I-142")
        await fake.act("I-142", "own", "joe", "")
        await ready(pilot, other, "joe")


async def test_the_connection_is_closed_on_leaving() -> None:
    """Nothing is left open."""
    fake = FakeClient(world.fleet())
    app = console(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot, app, "I-142")
    await asyncio.sleep(0)

    assert fake.closed


async def test_a_walk_on_the_screen_is_at_rest() -> None:
    """Looking at a run asks for nothing over and over: the step that is open stays selected."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        app.open_object("run", "r-17")
        await ready(pilot, app, "APPROVAL")
        await pilot.pause(0.5)

        assert isinstance(app.top, RunWalk)
        assert app.top._looked_at == ""
        assert app.screen.query_one("#walk", VTable).selected == "unlock"


async def test_incidents_that_were_not_sent_are_counted() -> None:
    """A storm of ten thousand must not look like one of five hundred."""
    fake = world.client()
    fake.world = replace(world.fleet(), open_left_out=9_500)
    app = console(fake)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "2 CRIT 2 WARN +9,500 more")
