"""The screens of runbooks and of what people did."""

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.server import serving
from tests.tui.test_console import press, ready, shown, until

from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.state.model import AuditLog, AuditRecord
from ringwatch_tui.widgets.vtable import VTable

pytestmark = pytest.mark.timeout(60)
LOG = AuditLog(
    records=(
        AuditRecord(
            sequence=1,
            at_s=world.NOW_S - 60,
            actor="ana",
            action="acknowledge",
            target="n011",
            incident="I-142",
        ),
        AuditRecord(
            sequence=2,
            at_s=world.NOW_S,
            actor="bo",
            action="node.reboot",
            target="n040",
            reason="off the bus",
            result="refused: the node's policy does not allow it",
        ),
    )
)


async def test_the_log_shows_the_newest_first_and_is_filtered() -> None:
    """Who, what, on what, why, and what came of it."""
    clock, fake = FrozenClock(), world.client()
    fake.log = LOG
    app = console(fake, clock)
    async with app.run_test(size=(140, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "6")
        await ready(pilot, app, "node.reboot")
        assert [row.id for row in app.screen.query_one(VTable).rows] == ["2", "1"]
        assert "refused" in shown(app)
        await press(pilot, clock, "slash", *"who:ana", "enter")
        await until(pilot, lambda: [row.id for row in app.screen.query_one(VTable).rows] == ["1"])
        await press(pilot, clock, "enter")
        assert "acknowledge" in shown(app)


async def test_a_broken_chain_is_said_over_the_list() -> None:
    """A log that was tampered with must not look like one that was not."""
    clock, fake = FrozenClock(), world.client()
    fake.log = AuditLog(records=LOG.records, intact=False)
    app = console(fake, clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "6")
        await ready(pilot, app, "chain is broken")


async def test_a_runbook_is_read_before_it_is_needed() -> None:
    """The library lists it, enter shows it as written, esc goes back."""
    clock = FrozenClock()
    app = console(world.client(), clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await ready(pilot, app, "I-142")
        await press(pilot, clock, "5")
        await ready(pilot, app, "compute-straggler")
        await press(pilot, clock, "enter")
        await ready(pilot, app, "As written")
        assert "NEVER" in shown(app)
        await press(pilot, clock, "escape")
        await ready(pilot, app, "WHAT FOR")


async def test_a_collector_without_a_log_answers_in_words() -> None:
    """An older collector does not know the question; the screen stays."""
    async with serving() as (address, _):
        client = LiveClient(address)
        app = console(client)
        async with app.run_test(size=(120, 36)) as pilot:
            await ready(pilot, app, "I-142")
            await pilot.press("6")
            await ready(pilot, app, "Nobody has done anything yet")
