"""Several incidents at once, and letters to jump by."""

from dataclasses import replace

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.test_console import press, ready, shown, until

from ringwatch_tui.widgets.vtable import VTable

pytestmark = pytest.mark.timeout(60)


async def test_what_is_marked_is_acknowledged_together_after_one_look() -> None:
    """x marks; the dialog lists all; each gets the comment; resolving is for one at a time; esc unmarks."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "x", "x")
        table = app.screen.query_one("#incidents", VTable)
        assert list(table.marked) == ["I-142", "I-141"]
        assert " *CRIT  I-142" in shown(app)
        await press(pilot, clock, "R")
        await ready(pilot, app, "one at a time")
        await press(pilot, clock, "a")
        await ready(pilot, app, "Acknowledge 2 incidents")
        assert "I-141" in shown(app).partition("Acknowledge 2 incidents")[2]
        await press(pilot, clock, *"both", "enter")
        await ready(pilot, app, "acknowledge by ana: 2 incidents")
        await press(pilot, clock, "escape")
        assert not table.marked

    told = [(each.what, each.about, each.text) for each in fake.asked]
    assert told == [("acknowledge", "I-142", "both"), ("acknowledge", "I-141", "both")]


async def test_a_mark_goes_with_its_object() -> None:
    """Rows move and go; a mark never lands on another incident."""
    clock, fake = FrozenClock(), world.client()
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "4")
        await ready(pilot, app, "5 incidents")
        await press(pilot, clock, "x")
        table = app.screen.query_one(VTable)
        (marked,) = table.marked
        others = tuple(each for each in fake.world.incidents if each.id != marked)
        fake.show(replace(fake.world, incidents=others))
        await ready(pilot, app, "4 incidents")

        assert table.marked == ()


async def test_a_letter_selects_the_row_it_stands_before() -> None:
    """f offers letters; one of them jumps; any other key only takes them away."""
    clock = FrozenClock()
    app = console(clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        table = app.screen.query_one("#incidents", VTable)
        await press(pilot, clock, "f")
        await until(pilot, lambda: "c CRIT" in shown(app) or "c WARN" in shown(app))
        await press(pilot, clock, "c")
        assert table.selected == [row.id for row in table.rows][2]
        await press(pilot, clock, "f", "1")
        assert "a CRIT" not in shown(app)
        assert app.top is not None
        assert app.top.SCREEN == "overview"
