"""Pictures of the screens: a change of any of them is looked at by a person before it is accepted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tui import world
from tests.tui.harness import console
from tests.tui.test_record import LOG
from tests.tui.test_silencing import ALERTS, SILENCES
from textual.pilot import Pilot

from ringwatch_tui import palettes
from ringwatch_tui.app import Ringwatch
from ringwatch_tui.saved_views import ViewsBook

Compare = Callable[..., bool]
# Each screen, with the object that it is opened on.
SCREENS = {
    "overview": ("", ""),
    "jobs": ("", ""),
    "nodes": ("", ""),
    "incidents": ("", ""),
    "runbooks": ("", ""),
    "audit": ("", ""),
    "silences": ("", ""),
    "alerts": ("", ""),
    "settings": ("", ""),
    "incident": ("incident", "I-142"),
    "job": ("job", "llm-70b"),
    "node": ("node", "n011"),
    "gpu": ("gpu", "n011/gpu3"),
    "runbook_page": ("runbook", "compute-straggler"),
    "run": ("run", "r-17"),
}
SIZES = {"120x36": (120, 36), "80x24": (80, 24)}


def _opened(app: Ringwatch, screen: str) -> Callable[[Pilot[None]], object]:
    kind, id = SCREENS[screen]

    async def run_before(pilot: Pilot[None]) -> None:
        while app.session.state.fleet is None or app.top is None:
            await pilot.pause(0.02)
        if kind:
            app.open_object(kind, id)
        else:
            app.wish(screen)
        while app.top is None or screen != app.top.SCREEN or not _known(app, kind, id):
            await pilot.pause(0.02)
        app.draw()
        await pilot.pause(0.2)

    return run_before


def _known(app: Ringwatch, kind: str, id: str) -> bool:
    state = app.session.state
    details = {"job": state.jobs, "node": state.nodes, "run": state.runs, "gpu": state.nodes}
    wanted = id.partition("/")[0]
    return bool(state.runbooks) and (kind not in details or wanted in details[kind])


@pytest.mark.parametrize("theme", [palettes.DEFAULT, palettes.MONO])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
def test_picture(snap_compare: Compare, screen: str, size: str, theme: str) -> None:
    """Every screen at two sizes, with and without colour."""
    fake = world.client()
    fake.log, fake.held_back, fake.told = LOG, SILENCES, ALERTS
    app = console(fake, theme=theme, views=ViewsBook(Path("views.json")))

    assert snap_compare(app, terminal_size=SIZES[size], run_before=_opened(app, screen))
