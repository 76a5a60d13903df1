"""Pictures of the screens: a change of any of them is looked at by a person before it is accepted."""

from collections.abc import Callable

import pytest
from tests.tui.harness import console
from textual.pilot import Pilot

from ringwatch_tui import themes
from ringwatch_tui.app import Ringwatch

Compare = Callable[..., bool]
OBJECTS = {
    "overview": ("", ""),
    "incidents": ("", ""),
    "incident": ("incident", "I-142"),
    "run": ("run", "r-17"),
}
MORE = {"jobs": ("", ""), "nodes": ("", ""), "job": ("job", "llm-70b"), "node": ("node", "n011")}
SIZES = {"120x36": (120, 36), "80x24": (80, 24)}


def _opened(app: Ringwatch, screen: str) -> Callable[[Pilot[None]], object]:
    kind, id = {**OBJECTS, **MORE}[screen]

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
    details = {"job": state.jobs, "node": state.nodes, "run": state.runs}
    return bool(state.runbooks) and (kind not in details or id in details[kind])


@pytest.mark.parametrize("theme", [themes.DEFAULT, themes.MONO])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", OBJECTS)
def test_picture(snap_compare: Compare, screen: str, size: str, theme: str) -> None:
    """The screens an operator takes an incident through, at two sizes, with and without colour."""
    app = console(theme=theme)

    assert snap_compare(app, terminal_size=SIZES[size], run_before=_opened(app, screen))


@pytest.mark.parametrize("screen", MORE)
def test_picture_of_the_fleet(snap_compare: Compare, screen: str) -> None:
    """The screens of jobs and nodes."""
    app = console()

    assert snap_compare(app, terminal_size=SIZES["120x36"], run_before=_opened(app, screen))
