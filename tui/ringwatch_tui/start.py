"""Runs the console in this terminal: over a collector, or over a recording."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ringwatch_proto.dialling import credentials_from
from ringwatch_proto.recording import Kept
from ringwatch_tui import actions, palettes
from ringwatch_tui.app import Ringwatch
from ringwatch_tui.client.base import Client
from ringwatch_tui.client.live import LiveClient
from ringwatch_tui.client.read_only import ReadOnlyClient
from ringwatch_tui.client.replay import ReplayClient
from ringwatch_tui.terminal import end_with_terminal


def theme_for(environment: Mapping[str, str], wanted: str = "") -> str:
    """Return the theme: the one asked for, mono under NO_COLOR or on a dumb terminal, else dark."""
    if wanted:
        return next((name for name in palettes.THEMES if name.endswith(f"-{wanted}")), palettes.DEFAULT)
    plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return palettes.MONO if plain else palettes.DEFAULT


def run_replay(frames: Sequence[Kept], name: str, *, theme: str = "", ascii_only: bool = False) -> int:
    """Run the console over a recording until the operator leaves; return 0."""
    return _run(ReplayClient(frames, name), role=actions.VIEWER, user="", theme=theme, ascii_only=ascii_only)


def run_console(
    address: str, role: str = actions.VIEWER, user: str = "", *, theme: str = "", ascii_only: bool = False
) -> int:
    """Run the console over the collector at an address until the operator leaves; return 0."""
    return _run(
        LiveClient(address, credentials_from(os.environ)),
        role=role,
        user=user,
        theme=theme,
        ascii_only=ascii_only,
    )


def run_in_browser(address: str) -> int:
    """Run a read-only console whose terminal is a browser; nothing is written on this machine."""
    app = Ringwatch(
        ReadOnlyClient(address, credentials_from(os.environ)),
        role=actions.VIEWER,
        user="browser",
        withheld=frozenset({"diagnose", "export", "save_view"}),
    )
    app.run()
    return app.return_code or 0


def _run(client: Client, *, role: str, user: str, theme: str, ascii_only: bool) -> int:
    chosen = theme_for(os.environ, theme)
    # Textual would answer NO_COLOR with greys; the mono theme uses no colour at all.
    os.environ.pop("NO_COLOR", None)
    app = Ringwatch(
        client,
        role=role,
        user=user or os.environ.get("USER") or "operator",
        theme=chosen,
        ascii_only=ascii_only,
    )
    end_with_terminal()
    app.run()
    return app.return_code or 0
