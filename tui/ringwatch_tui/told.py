"""What the settings screen says: what holds for this console, in words. It changes no setting."""

from __future__ import annotations

from pathlib import Path

from ringwatch_tui import actions
from ringwatch_tui.state.reducer import ConsoleState

Facts = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def facts(
    *,
    collector: str,
    user: str,
    role: str,
    theme: str,
    ascii_only: bool,
    withheld: frozenset[str],
    views: Path,
    state: ConsoleState,
) -> Facts:
    """Return the settings by topic, each with its value in words."""
    return (
        ("You", (("User", user or "nobody"), ("Role", _role(role)))),
        ("Collector", (("Address", collector), ("Name", _name(state)), ("Wire", _wire(state)))),
        (
            "Looks",
            (
                ("Theme", f"{theme.removeprefix('ringwatch-')}   T takes the next of eight"),
                ("Letters", ("ASCII only" if ascii_only else "blocks and lines") + "   U changes it"),
            ),
        ),
        (
            "Kept",
            (
                ("Here", "nothing is written here" if "save_view" in withheld else f"saved views: {views}"),
                (
                    "Exports",
                    "off in this console" if "export" in withheld else "in the folder it was started in",
                ),
                ("There", "runs, notes and what you do, under your name, in the collector's audit log (6)"),
                (
                    "Pictures",
                    "the collector keeps pictures of the fleet to go back to (H), if [recording] is on",
                ),
            ),
        ),
    )


def _role(role: str) -> str:
    may = sum(1 for each in actions.ACTIONS if each.changes and actions.allowed(each, role))
    return f"{role}: read-only" if not may else f"{role}: may change incidents, runs and silences"


def _name(state: ConsoleState) -> str:
    return state.fleet.collector if state.fleet is not None else "not known yet"


def _wire(state: ConsoleState) -> str:
    if state.fleet is None:
        return "not known yet"
    if state.fleet.health.plaintext_off_loopback:
        return "PLAINTEXT beyond this machine"
    return "TLS, or plaintext that does not leave the collector's machine"
