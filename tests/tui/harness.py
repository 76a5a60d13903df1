"""Starts the console over a fake back end with frozen clocks."""

from __future__ import annotations

from tests.tui import world

from ringwatch_tui import palettes
from ringwatch_tui.app import Ringwatch
from ringwatch_tui.client.base import Client
from ringwatch_tui.saved_views import ViewsBook
from ringwatch_tui.session import Clocks


class FrozenClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        """Return seconds since some start."""
        return self.now_s

    def wall(self) -> float:
        """Return the time of day, in step with the collector's."""
        return world.NOW_S + self.now_s - 1000.0


def console(
    client: Client | None = None,
    clock: FrozenClock | None = None,
    *,
    role: str = "operator",
    theme: str = palettes.DEFAULT,
    ascii_only: bool = False,
    views: ViewsBook | None = None,
) -> Ringwatch:
    """Return a console that has not been started."""
    clock = clock or FrozenClock()
    return Ringwatch(
        client or world.client(),
        role=role,
        user="ana",
        theme=theme,
        ascii_only=ascii_only,
        clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall),
        draw_s=0.1,
        views=views,
    )
