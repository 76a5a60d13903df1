"""Names and texts from elsewhere cannot act on the terminal or break a screen."""

from dataclasses import replace

import pytest
from tests.tui import world
from tests.tui.harness import FrozenClock, console
from tests.tui.test_console import press, ready, shown
from tests.tui.test_silencing import ALERTS, SILENCES
from tests.tui.test_trends import history

from ringwatch_proto.records import Note
from ringwatch_tui.client.fake import FakeClient
from ringwatch_tui.state.model import Fleet
from ringwatch_tui.twins import machine, plain

NASTY = {
    "escapes": "n1\x1b[2J\x1b]0;owned\x07\x9b31m",
    "markup": "[red]n1[/] [@click=app.exit]x[/]",
    "bidi": "n1\u202egnp\u2066x",
    "chinese": "训练节点一号" * 8,
    "long": "x" * 300,
    "lines": "n1\nCRIT everything is fine\r\n\tx",
    "empty": "",
    "marks": "e" + "\u0301" * 200,
}


def _fleet(name: str) -> Fleet:
    whole = world.fleet()
    node = replace(
        whole.nodes[11],
        name=name,
        note=name,
        labels={"rack": name, name: name},
        gpus=tuple(world.altered(gpu, name=name, id=name) for gpu in whole.nodes[11].gpus),
    )
    incident = replace(
        world.STRAGGLER,
        summary=name,
        owner=name,
        culprit=replace(world.STRAGGLER.culprit, node=name, job=name, device=name),
        notes=(Note(at_s=1e30, author=name, text=name),),
        runbooks=(name,),
    )
    job = replace(whole.jobs[0], name=name, straggler=name, user=name, state="degraded")
    health = replace(whole.health, troubles=(name,))
    return replace(whole, nodes=(node, *whole.nodes[1:]), jobs=(job,), incidents=(incident,), health=health)


def _client(name: str) -> FakeClient:
    fake = world.client()
    fake.world = _fleet(name)
    fake.jobs[name] = replace(world.job_detail(), summary=fake.world.jobs[0])
    fake.nodes[name] = replace(world.node_detail(), summary=fake.world.nodes[0], agent_version=name)
    steps = tuple(
        replace(step, title=name, why=name, command=name, output=(name,), typed_target=name)
        for step in world.RUN.steps
    )
    fake.held_back = (
        replace(SILENCES[0], matchers=(f"node:{name}",), author=name, reason=name, incidents=(name,)),
    )
    fake.told = (replace(ALERTS[1], channel=name, incident=name, error=name, what=name, created_s=1e30),)
    fake.past["gpu.power_watts"] = replace(
        history(name), series="gpu.power_watts", lines=(replace(history().lines[0], device=name),)
    )
    fake.walks["r-17"] = replace(world.RUN, title=name, steps=steps, result=name, never=(name,))
    return fake


@pytest.mark.parametrize("kind", NASTY)
async def test_no_name_breaks_a_screen_or_reaches_the_terminal(kind: str) -> None:
    """Every screen draws, and every letter on it is printable."""
    name = NASTY[kind]
    app = console(_client(name))
    async with app.run_test(size=(100, 30)) as pilot:
        while app.session.state.fleet is None or app.top is None:
            await pilot.pause(0.02)
        texts: list[str] = []
        for mode in ("jobs", "nodes", "incidents", "silences", "alerts", "settings", "overview"):
            app.wish(mode)
            await pilot.pause(0.1)
            texts.extend(strip.text for strip in app.screen._compositor.render_strips())
        for _ in range(3):
            app.wish("grouping")
            app.wish("zoom_in")
            await pilot.pause(0.02)
            texts.extend(strip.text for strip in app.screen._compositor.render_strips())
        for what, id in (("incident", "I-142"), ("job", name), ("node", name), ("run", "r-17")):
            app.open_object(what, id)
            await pilot.pause(0.15)
            if what == "node":
                await pilot.press("t")
                await pilot.pause(0.15)
            texts.extend(strip.text for strip in app.screen._compositor.render_strips())

    assert all(text.isprintable() for text in texts)
    assert not any("owned\x07" in text or "\x1b" in text for text in texts)


@pytest.mark.parametrize("kind", NASTY)
def test_the_text_twins_print_nothing_that_acts(kind: str) -> None:
    """Text goes to logs and pipes: one printable line stays one printable line."""
    fleet = _fleet(NASTY[kind])
    texts = [
        plain.printed(plain.status(fleet, 100)),
        plain.printed(plain.incident(fleet.incidents[0], fleet, (world.BOOK,), 100)),
        plain.printed(plain.nodes(fleet, 100)),
        plain.printed(plain.jobs(fleet, 100)),
    ]

    for text in texts:
        assert all(row.isprintable() for row in text.split("\n"))
        assert "CRIT everything is fine" not in text.split("\n")


@pytest.mark.parametrize("kind", NASTY)
def test_json_is_ascii(kind: str) -> None:
    """The machine twin escapes whatever came."""
    fleet = _fleet(NASTY[kind])
    rows = [*machine.status(fleet), *machine.incidents(fleet, include_closed=True), *machine.nodes(fleet)]

    for row in rows:
        text = machine.dumped(row)
        assert text.isascii()
        assert text.isprintable()


async def test_ten_thousand_incidents_can_be_scrolled() -> None:
    """A storm makes the list long, not the console slow."""
    fake = world.client()
    many = tuple(replace(world.STRAGGLER, id=f"I-{index}") for index in range(10_000))
    fake.world = replace(fake.world, incidents=many)
    app = console(fake)
    app._draw_s = 5.0
    async with app.run_test(size=(120, 36)) as pilot:
        while app.session.state.fleet is None or app.top is None:
            await pilot.pause(0.02)
        app.wish("incidents")
        await pilot.pause(0.2)
        app.draw()
        await pilot.press("G")
        await pilot.pause(0.2)

        assert app.top is not None
        target = app.top.target()
        assert target is not None
        assert target.id == "I-9999"


async def test_a_clock_one_hour_off_and_a_collector_that_comes_back_break_no_list() -> None:
    """Ages follow the collector's clock, the skew is said, and lists are asked for again."""
    clock, fake = FrozenClock(), world.client()
    fake.held_back, fake.told = SILENCES, ALERTS
    fake.world = replace(fake.world, wall_s=world.NOW_S + 3600)
    app = console(fake, clock)
    async with app.run_test(size=(160, 36)) as pilot:
        await ready(pilot, app, "collector clock +1")
        await press(pilot, clock, "7")
        await ready(pilot, app, "over")
        assert "holds" not in shown(app)
        fake.cut()
        await ready(pilot, app, "DISCONNECTED")
        await press(pilot, clock, "S")
        await ready(pilot, app, "not while disconnected")
        fake.mend()
        await ready(pilot, app, "connected again")
        fake.held_back = ()
        await ready(pilot, app, "Nothing is held back")
